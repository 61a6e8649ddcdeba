#pragma once
/// \file
/// Tiles that the blocks of one-pass encoders take one after another, and their positions.
///
/// Blocks stay; the block that comes first takes no tile, but adds up the counts of all tiles in
/// their order and answers with their positions. The input of the next tile is on its way while one
/// is encoded.

#include "spiketune/core/bits.hpp"
#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {

inline constexpr std::uint64_t no_tile = ~std::uint64_t{0};

/// Takes the next tile that nobody has taken; the first to ask gets no_tile, and is to place them.
/// One thread calls.
__device__ inline std::uint64_t take_tile(const TileTask& task) {
  auto* taken = reinterpret_cast<unsigned long long*>(task.states + task.tiles);
  return std::uint64_t{atomicAdd(taken, 1ull)} - 1;
}

/// encode(bits, tile) for each tile that a block gets, its bits packed; all threads call, and a
/// barrier is between two calls. Tiles are taken in order.
template <DType storage, class Encode>
__device__ void for_each_tile(const TileTask& task, uint4* raw, std::uint32_t* words,
                              Encode&& encode) {
  __shared__ std::uint64_t shared_first;
  __shared__ std::uint64_t shared_next;
  if (threadIdx.x == 0) shared_first = take_tile(task);
  __syncthreads();
  std::uint64_t next = shared_first;
  if (next == no_tile) {
    const std::uint64_t all = scan_tiles(task.states, task.tiles);
    if (threadIdx.x == 0) task.status->needed = all;
    return;
  }
  std::uint64_t tile = task.tiles;  // none yet
  TileBits bits(task, 0, words);
  for (;;) {
    const bool more = next < task.tiles;
    const TileBits next_bits(task, more ? next : 0, words);
    if (more) fetch_tile<storage>(task, next_bits, raw);
    if (tile != task.tiles) {
      encode(bits, tile);
      __syncthreads();
    }
    if (!more) return;
    tile = next;
    bits = next_bits;
    if (threadIdx.x == 0) next = take_tile(task);
    pack_fetched_tile<storage>(task, bits, raw, words);
    if (threadIdx.x == 0) shared_next = next;
    __syncthreads();
    next = shared_next;
  }
}

/// Position of a tile's first unit among all. All threads call; a barrier is inside.
__device__ inline std::uint64_t wait_for_position(const TileTask& task, std::uint64_t tile) {
  __shared__ std::uint64_t position;
  if (threadIdx.x == 0) position = position_of(task.states, tile, 0);
  __syncthreads();
  return position;
}

__device__ inline std::uint32_t column_of(std::uint32_t unit) {
  return unit & 0xffffu;
}
__device__ inline std::uint32_t group_of(std::uint32_t unit) {
  return unit >> 16;
}

/// Blocks that stay; one of them places what the others count.
inline unsigned resident_tile_blocks(const CudaContext& context, const TileTask& task) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  return static_cast<unsigned>(std::min<std::uint64_t>(
      task.tiles + 1, static_cast<std::uint64_t>(multiprocessors) * tile_blocks_per_sm));
}

}  // namespace spiketune::cuda
