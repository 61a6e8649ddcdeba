#pragma once
/// \file
/// S·W with S a bitmap in tiles of 256 × 128, for Hopper: those that large products take. A warp
/// copies 64 × 128 of W by TMA, some steps ahead; each of two warpgroups makes operands A of 128
/// rows in registers and multiplies with wgmma.
///
/// Sums take 128 registers of a thread. Operands are made of half a step at a time, of 32 columns
/// of S, while the other half's products run; words of S come four steps at a time. The second
/// warpgroup stays some steps behind the first one.
///
/// Which rows of S a tile has, and what becomes of its sums, says an `Out`:
///
///   static constexpr std::uint32_t shared_bytes;  its shared memory
///   tiles_m()                    tiles of rows
///   parts()                      of each, which a block makes one after another
///   steps(bitmap, tile)          of a tile of rows
///   row(tile, part, i)           the lane's row lane / 4 + i % 2 · 8 of its warp's 16 of block
///                                i / 2; they ascend
///   put(sums, tile, part, column, shared)

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"

namespace spiketune::cuda::tall {

inline constexpr int threads = 384;
inline constexpr std::uint32_t consumer_warps = 8;
inline constexpr int blocks = 2;  // of 64 rows, of a warpgroup
inline constexpr std::uint32_t tile_m = 128 * blocks;
inline constexpr int tile_n = 128;
inline constexpr std::uint32_t stages = 8;
/// Steps between the warpgroups: fewer than W's buffers, and than most tiles have.
inline constexpr std::uint32_t steps_apart = 3;
inline constexpr std::uint32_t weights_bytes = stages * stage_bytes<tile_n>;
using Sums = float[blocks][tile_n / 2];

template <class W, class Out>
__global__ void __launch_bounds__(threads, 1)
    expand_wgmma(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ Bitmap bitmap,
                 const __grid_constant__ Out out, std::uint32_t n) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages];
  __shared__ std::uint64_t empty_states[stages];
  const Ring ring(full_states, empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages; ++i) ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();

  const std::uint32_t tiles_m = out.tiles_m();
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(n, tile_n));
  const std::uint32_t lane = threadIdx.x % 32;
  CountedTurn<stages> turn;
  if (threadIdx.x / 32 >= consumer_warps) {
    leave_registers<24>();
    if (threadIdx.x / 32 != consumer_warps) return;
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const std::uint32_t column = tile / tiles_m * tile_n;
      for (std::uint32_t part = 0; part < out.parts(); ++part) {
        Steps steps = out.steps(bitmap, tile % tiles_m);
        for (std::uint32_t step; (step = steps.next()) < steps.count(); turn.advance()) {
          if (lane == 0) {
            ring.empty.wait(turn.stage(), turn.parity() ^ 1);
            ring.full.arrive_expecting(turn.stage(), stage_bytes<tile_n>);
            copy_rows<tile_n>(buffers + turn.stage() * stage_bytes<tile_n>, w_map, column,
                              step * depth, ring.full.at(turn.stage()));
          }
          __syncwarp();
        }
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint64_t described = describe_rows(buffers);
  using Cursor = FourStepCursor<blocks, 1>;
  const auto begin = [&](std::uint32_t tile, std::uint32_t part) {
    return Cursor(bitmap, out.steps(bitmap, tile % tiles_m),
                  [&](int i) { return out.row(tile % tiles_m, part, i); });
  };
  Cursor cursor = begin(blockIdx.x, 0);
  // Where no tile follows, no sums are put away beside products.
  const bool follows = tiles > gridDim.x || out.parts() > 1;
  Apart apart(threadIdx.x / 128, follows ? steps_apart : 0);
  bool pending = false;  // products of the step before
  const auto release = [&] {
    if (pending && lane == 0) ring.empty.arrive(turn.previous_stage());
  };
  std::uint32_t part = 0;
  for (std::uint32_t tile = blockIdx.x; tile < tiles;) {
    Sums sums = {};
    std::uint32_t operands[2][blocks][2][4];
    for (bool more = true; more;) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        more = more && cursor.step(j) < cursor.count();
        if (!more) continue;
        apart.step();
        ring.full.wait(turn.stage(), turn.parity());
        const std::uint64_t b = described + turn.stage() * (stage_bytes<tile_n> >> 4);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          cursor.template expand<1>(j, lane, half, operands[half]);
          if (half == 1) cursor.advance(j);
          begin_products();
#pragma unroll
          for (int sixteen = 0; sixteen < 2; ++sixteen) {
#pragma unroll
            for (int block = 0; block < blocks; ++block) {
              multiply<W, tile_n>(sums[block], operands[half][block][sixteen],
                                  b + (2 * half + sixteen) * sixteen_rows);
            }
          }
          commit_products();
          wait_for_products<1>();
          if (half == 0) release();
        }
        pending = true;
        turn.advance();
      }
    }
    // The next tile's first words come while this one's products end and its sums are put away.
    const std::uint32_t next_part = part + 1 < out.parts() ? part + 1 : 0;
    const std::uint32_t next = next_part == 0 ? tile + gridDim.x : tile;
    if (next < tiles) cursor = begin(next, next_part);
    wait_for_products<0>();
    release();
    pending = false;
#pragma unroll
    for (int block = 0; block < blocks; ++block) keep_in_place(sums[block]);
    out.put(sums, tile % tiles_m, part, tile / tiles_m * tile_n, buffers + weights_bytes);
    tile = next;
    part = next_part;
  }
  apart.end();
}

template <class W, class Out>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const Out& out) {
  const auto kernel = expand_wgmma<W, Out>;
  constexpr int bytes = weights_bytes + Out::shared_bytes + buffer_alignment;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint64_t tiles = out.tiles_m() * ceil_div(weights.n, tile_n);
  const auto grid = static_cast<unsigned>(
      std::min<std::uint64_t>(tiles, static_cast<std::uint64_t>(multiprocessors)));
  kernel<<<grid, threads, bytes, context.stream>>>(map_weights(weights), bitmap, out, weights.n);
  check_launch();
}

}  // namespace spiketune::cuda::tall
