#pragma once
/// \file
/// Positions of the tiles that blocks encode side by side: each tells how many units it has, and
/// finds how many are before it.

#include <cuda/atomic>

#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {

namespace atomics = ::cuda;

using State = atomics::atomic_ref<std::uint64_t, atomics::thread_scope_device>;

/// A state is value · 4 + flag; flag 0: nothing yet, 1: units of the tile, 2: units before it.
/// One thread calls.
__device__ inline void publish(std::uint64_t* states, std::uint64_t tile, std::uint32_t units) {
  State(states[tile]).store(std::uint64_t{units} << 2 | 1, atomics::memory_order_relaxed);
}

__device__ inline std::uint64_t load_state(std::uint64_t* states, std::uint64_t tile) {
  return State(states[tile]).load(atomics::memory_order_relaxed);
}

/// Units before a tile, of which `state` was seen; waits until that is known. Cannot deadlock:
/// tiles are taken in order by blocks that run, and a block waits for a tile before those that it
/// has not counted.
__device__ inline std::uint64_t position_of(std::uint64_t* states, std::uint64_t tile,
                                            std::uint64_t state) {
  while ((state & 2) == 0) state = load_state(states, tile);
  return state >> 2;
}

/// Turns the counts of `tiles` tiles into positions, as they come; returns the sum of all. A block
/// of `threads` calls. A turn looks at four tiles a thread and takes those from the first on
/// that have told their counts.
template <int threads = tile_threads>
__device__ std::uint64_t scan_tiles(std::uint64_t* states, std::uint64_t tiles) {
  constexpr std::uint32_t warps = threads / 32;
  constexpr std::uint32_t each = 4;
  __shared__ uint2 seen[2][warps];  // tiles that are ready, and their sum
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t before = 0;
  std::uint64_t first = 0;
  for (std::uint32_t turn = 0; first < tiles; turn ^= 1) {
    const std::uint64_t tile = first + each * threadIdx.x;
    std::uint64_t found[each];
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      found[i] = tile + i < tiles ? load_state(states, tile + i) : 0;
    }
    std::uint32_t ready = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) ready += ready == i && (found[i] & 1) != 0;
    const std::uint32_t whole = __ballot_sync(all_lanes, ready == each);
    const std::uint32_t leading = whole == all_lanes ? 32 : lowest_bit(~whole);
    if (lane > leading) ready = 0;
    std::uint32_t sum = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      if (i < ready) sum += static_cast<std::uint32_t>(found[i] >> 2);
    }
    const std::uint32_t before_in_warp = warp_exclusive_sum(sum);
    const std::uint32_t all_ready = warp_sum(ready);
    if (lane == 31) seen[turn][warp] = {all_ready, before_in_warp + sum};
    __syncthreads();
    std::uint32_t tiles_taken = 0;
    std::uint32_t units_taken = 0;
    std::uint32_t before_warp = 0;
    bool open = true;  // all warps so far saw all of their tiles ready
    bool mine = false;
#pragma unroll
    for (std::uint32_t other = 0; other < warps; ++other) {
      const uint2 of = seen[turn][other];
      if (other == warp) {
        mine = open;
        before_warp = units_taken;
      }
      if (open) {
        tiles_taken += of.x;
        units_taken += of.y;
      }
      open = open && of.x == 32 * each;
    }
    std::uint64_t at = before + before_warp + before_in_warp;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      if (!mine || i >= ready) continue;
      State(states[tile + i]).store(at << 2 | 2, atomics::memory_order_relaxed);
      at += found[i] >> 2;
    }
    before += units_taken;
    first += tiles_taken;
  }
  return before;
}

}  // namespace spiketune::cuda
