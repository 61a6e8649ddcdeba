#pragma once
/// \file
/// S·W with S a bitmap in tiles of 256 × 128, for Hopper: those that large products take. A warp
/// copies 64 × 128 of W by TMA, some steps ahead; each of two warpgroups makes operands A of 128
/// rows in registers and multiplies with wgmma.
///
/// Sums take 128 registers of a thread. Operands are made of half a step at a time, of 32 columns
/// of S, while the other half's products run. The second warpgroup stays some steps behind the
/// first one. Words of S come by TMA as W does, 512 columns at a time, or, of bitmaps in tiles and
/// where their rows are no whole pieces of 16 bytes, by loads, four steps at a time.
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
///
/// and for words by TMA, which sees rows as [at_once of times][positions]:
///
///   static constexpr std::uint32_t positions, at_once;  of a tile; their product is tile_m
///   rows()                       how positions and times lie in memory
///   row_in_tile(warp, lane, i)   of row(tile, part, i); lanes / 4 have neighbouring ones

#include <cuda.h>

#include <algorithm>
#include <cstdint>

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

/// Words by TMA: of 512 columns of S, eight steps, in its 64-byte swizzle, in which eight rows lie
/// in all banks.
inline constexpr std::uint32_t box_steps = 8;
inline constexpr std::uint32_t box_row_bytes = 64;
inline constexpr std::uint32_t box_bytes = tile_m * box_row_bytes;
inline constexpr std::uint32_t boxes = 3;  // buffers
/// Buffers of W beside them, and steps between the warpgroups, in which one puts its sums away.
template <class Out>
inline constexpr std::uint32_t box_stages =
    std::min(10u, (225 * 1024 - boxes * box_bytes - Out::shared_bytes) / stage_bytes<tile_n>);
template <class Out>
inline constexpr std::uint32_t box_steps_apart = box_stages<Out> - 2;

/// Rows of S in memory: `positions` of them, each `times` rows.
struct Rows {
  std::uint64_t positions;
  std::uint64_t to_next_position;  ///< rows
  std::uint64_t times;
  std::uint64_t to_next_time;
};

template <class W, class Out>
__global__ void __launch_bounds__(threads, 1)
    expand_boxes(const __grid_constant__ CUtensorMap w_map,
                 const __grid_constant__ CUtensorMap words_map, const __grid_constant__ Out out,
                 std::uint32_t n, std::uint32_t steps) {
  constexpr std::uint32_t w_stages = box_stages<Out>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t states[2 * (w_stages + boxes)];
  const Ring ring(states, states + w_stages);
  const Ring word_ring(states + 2 * w_stages, states + 2 * w_stages + boxes);
  std::uint8_t* const buffers = shared + bytes_to_buffers(shared_address(shared));
  std::uint8_t* const words = buffers + w_stages * stage_bytes<tile_n>;
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < w_stages; ++i) ring.init(i, consumer_warps);
    for (std::uint32_t i = 0; i < boxes; ++i) word_ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();

  const std::uint32_t tiles_m = out.tiles_m();
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(n, tile_n));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t lane = threadIdx.x % 32;
  Turn turn(w_stages);
  Turn word_turn(boxes);
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps || lane != 0) return;
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      for (std::uint32_t part = 0; part < out.parts(); ++part) {
        for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
          if (step % box_steps == 0) {
            const std::uint32_t i = word_turn.stage;
            word_ring.empty.wait(i, word_turn.parity ^ 1);
            word_ring.full.arrive_expecting(i, box_bytes);
            copy_box(words + i * box_bytes, &words_map, step * 8, tile % tiles_m * Out::positions,
                     part * Out::at_once, 0, word_ring.full.at(i));
            word_turn.advance();
          }
          const std::uint32_t i = turn.stage;
          ring.empty.wait(i, turn.parity ^ 1);
          ring.full.arrive_expecting(i, stage_bytes<tile_n>);
          copy_rows<tile_n>(buffers + i * stage_bytes<tile_n>, w_map, tile / tiles_m * tile_n,
                            step * depth, ring.full.at(i));
        }
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint32_t described =
      __shfl_sync(~0u, static_cast<std::uint32_t>(describe_rows(buffers)), 0);
  const std::uint32_t factor = expand_factor(lane);
  const std::uint32_t my_words =
      shared_address(words) + Out::row_in_tile(warp, lane, 0) * box_row_bytes;
  const std::uint32_t swizzle = lane / 8 * 16;
  // Where no tile follows, no sums are put away beside products. While the second warpgroup has not
  // begun, the first one goes no further than there are buffers for words.
  const bool follows = tiles > gridDim.x || out.parts() > 1;
  Apart apart(warp / 4,
              follows ? std::min(std::uint32_t{box_steps_apart<Out>}, boxes * steps - 1) : 0);
  std::uint32_t part = 0;
  for (std::uint32_t tile = blockIdx.x; tile < tiles;) {
    Sums sums = {};
    std::uint32_t operands[2][blocks][2][4];
#pragma unroll 1
    for (std::uint32_t first = 0; first < steps; first += box_steps) {
      word_ring.full.wait(word_turn.stage, word_turn.parity);
      const std::uint32_t from = my_words + word_turn.stage * box_bytes;
      const auto load = [&](std::uint32_t step, uint2(&rows)[2 * blocks]) {
        const std::uint32_t at = from + (step * 8 ^ swizzle);
#pragma unroll
        for (int i = 0; i < 2 * blocks; ++i) {
          rows[i] = load_words(at + Out::row_in_tile(0, 0, i) * box_row_bytes);
        }
      };
      uint2 now[2 * blocks];
      load(0, now);
      const std::uint32_t count = std::min(steps - first, std::uint32_t{box_steps});
#pragma unroll 1
      for (std::uint32_t step = 0; step < count; ++step) {
        uint2 next[2 * blocks];
        load((step + 1) % box_steps, next);
        apart.step();
        ring.full.wait(turn.stage, turn.parity);
        const std::uint32_t b = described + turn.stage * (stage_bytes<tile_n> >> 4);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
          for (int i = 0; i < 2 * blocks; ++i) {
            std::uint32_t expanded[4];
            expand_by_factor(half == 0 ? now[i].x : now[i].y, factor, expanded);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
              operands[half][i / 2][j / 2][i % 2 + j % 2 * 2] = expanded[j];
            }
          }
          begin_products();
#pragma unroll
          for (int sixteen = 0; sixteen < 2; ++sixteen) {
#pragma unroll
            for (int block = 0; block < blocks; ++block) {
              multiply<W, tile_n>(sums[block], operands[half][block][sixteen],
                                  rows_descriptor(b + static_cast<std::uint32_t>(
                                                          (2 * half + sixteen) * sixteen_rows)));
            }
          }
          commit_products();
          wait_for_products<1>();
          // The products of the step before are done.
          if (half == 0 && first + step != 0 && lane == 0) ring.empty.arrive(turn.previous_stage());
        }
#pragma unroll
        for (int i = 0; i < 2 * blocks; ++i) now[i] = next[i];
        turn.advance();
      }
      __syncwarp();
      if (lane == 0) word_ring.empty.arrive(word_turn.stage);
      word_turn.advance();
    }
    wait_for_products<0>();
    if (lane == 0) ring.empty.arrive(turn.previous_stage());
#pragma unroll
    for (int block = 0; block < blocks; ++block) keep_in_place(sums[block]);
    out.put(sums, tile % tiles_m, part, tile / tiles_m * tile_n, words + boxes * box_bytes);
    part = part + 1 < out.parts() ? part + 1 : 0;
    if (part == 0) tile += gridDim.x;
  }
  apart.end();
}

inline bool come_in_boxes(const Bitmap& bitmap) {
  return !bitmap.params.tiles && bitmap.words_per_row() % 4 == 0 &&
         bitmap.layout.m() < std::uint64_t{1} << 31 &&
         reinterpret_cast<std::uintptr_t>(bitmap.words.data) % 16 == 0;
}

template <class W, class Out>
void launch_boxes(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                  const Out& out, unsigned grid) {
  static_assert(Out::positions * Out::at_once == tile_m);
  const auto kernel = expand_boxes<W, Out>;
  constexpr int bytes = box_stages<Out> * stage_bytes<tile_n> + boxes * box_bytes +
                        Out::shared_bytes + buffer_alignment;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const Rows rows = out.rows();
  const std::uint64_t row_bytes = bitmap.words_per_row() * 4;
  const CUtensorMap words_map =
      map_tensor(CU_TENSOR_MAP_DATA_TYPE_UINT8, bitmap.words.data,
                 {{row_bytes, 1, box_row_bytes},
                  {rows.positions, rows.to_next_position * row_bytes, Out::positions},
                  {rows.times, rows.to_next_time * row_bytes, Out::at_once},
                  {1, row_bytes, 1}},
                 CU_TENSOR_MAP_SWIZZLE_64B);
  kernel<<<grid, threads, bytes, context.stream>>>(map_weights(weights), words_map, out, weights.n,
                                                   step_count(bitmap));
  check_launch();
}

template <class W, class Out>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const Out& out) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint64_t tiles = out.tiles_m() * ceil_div(weights.n, tile_n);
  const auto grid = static_cast<unsigned>(
      std::min<std::uint64_t>(tiles, static_cast<std::uint64_t>(multiprocessors)));
  if (come_in_boxes(bitmap)) return launch_boxes<W>(context, bitmap, weights, out, grid);
  const auto kernel = expand_wgmma<W, Out>;
  constexpr int bytes = weights_bytes + Out::shared_bytes + buffer_alignment;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<grid, threads, bytes, context.stream>>>(map_weights(weights), bitmap, out, weights.n);
  check_launch();
}

}  // namespace spiketune::cuda::tall
