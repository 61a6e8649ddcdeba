// Y = S·W with S a bitmap, for Hopper. One or two blocks a multiprocessor: a warp that copies tiles
// of 64 × tile_n of W by TMA, some ahead, and two warpgroups that take half of the rows each. Their
// threads load the words of their rows, make operands A of them in registers, and multiply with
// wgmma: nothing of S is in shared memory, so that tiles can be tall and W is read seldom
// (M / tile_m times from L2).

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int hopper_threads = 384;
constexpr int consumer_warps = 8;

/// The smallest tiles leave room for two blocks: one waits for its first words, or writes its sums,
/// while the other multiplies.
template <int blocks, int tile_n>
inline constexpr int blocks_per_sm = blocks == 1 && tile_n == 64 ? 2 : 1;
template <int blocks, int tile_n>
inline constexpr int stages = 128 * 1024 / stage_bytes<tile_n> / blocks_per_sm<blocks, tile_n>;
/// Steps whose words are on their way, as registers allow: a step of a small tile is over long
/// before they come from L2.
template <int blocks, int tile_n>
inline constexpr int ahead = blocks_per_sm<blocks, tile_n> == 2 || blocks == 2 ? 2 : 4;

template <class W, class Y, int blocks, int tile_n>
__global__ void __launch_bounds__(hopper_threads, (blocks_per_sm<blocks, tile_n>))
    expand_wgmma(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ Bitmap bitmap,
                 Y* __restrict__ y, std::uint32_t n) {
  constexpr std::uint32_t tile_m = 128 * blocks;
  constexpr std::uint32_t count = stages<blocks, tile_n>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[count];
  __shared__ std::uint64_t empty_states[count];
  const Ring ring(full_states, empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < count; ++i) ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();

  const std::uint64_t m = bitmap.layout.m();
  const std::uint64_t tiles_m = ceil_div(m, tile_m);
  const std::uint64_t tiles = tiles_m * ceil_div(n, tile_n);
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  CountedTurn<count> turn;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps) return;
    for (std::uint64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const std::uint64_t first_row = tile % tiles_m * tile_m;
      const auto column = static_cast<std::uint32_t>(tile / tiles_m) * tile_n;
      Steps steps(bitmap, first_row, tile_m / 64);
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
    return;
  }

  take_registers<blocks_per_sm<blocks, tile_n> == 1 ? 240 : 104>();
  const std::uint64_t described = describe_rows(buffers);
  constexpr int words_ahead = ahead<blocks, tile_n>;
  using Cursor = TileCursor<blocks, words_ahead>;
  const std::uint32_t group_row = warp / 4 * (64 * blocks);
  Cursor cursor(bitmap, blockIdx.x % tiles_m * tile_m, group_row, 2 * blocks);
  for (std::uint64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    float sums[blocks][tile_n / 2] = {};
    bool pending = false;  // products of the step before
    // Two sets of operands take turns: one is read while the next is made.
    const auto multiply_step = [&](Operands<blocks>& operands, int i) {
      expand_rows<blocks>(cursor.words[i], lane, operands);
      cursor.ask(i);
      ring.full.wait(turn.stage(), turn.parity());
      begin_products();
      const std::uint64_t b = described + turn.stage() * (stage_bytes<tile_n> >> 4);
#pragma unroll
      for (int part = 0; part < 4; ++part) {
#pragma unroll
        for (int block = 0; block < blocks; ++block) {
          multiply<W, tile_n>(sums[block], operands[block][part], b + part * sixteen_rows);
        }
      }
      commit_products();
      wait_for_products<1>();
      if (pending && lane == 0) ring.empty.arrive(turn.previous_stage());
      pending = true;
      turn.advance();
    };
    Operands<blocks> operands[2];
    for (bool more = true; more;) {
#pragma unroll
      for (int i = 0; i < std::max(2, words_ahead); ++i) {
        more = more && !cursor.done(i % words_ahead);
        if (more) multiply_step(operands[i % 2], i % words_ahead);
      }
    }
    // The next tile's first words come while this one's products end and its sums are written.
    const std::uint64_t row = cursor.row;
    const std::uint64_t next = tile + gridDim.x;
    if (next < tiles) {
      cursor = Cursor(bitmap, next % tiles_m * tile_m, group_row, 2 * blocks);
    }
    wait_for_products<0>();
    if (pending && lane == 0) ring.empty.arrive(turn.previous_stage());
    const auto column = static_cast<std::uint32_t>(tile / tiles_m) * tile_n;
#pragma unroll
    for (int block = 0; block < blocks; ++block) {
      keep_in_place(sums[block]);
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const std::uint64_t at = row + 64 * block + 8 * below;
        store_row<tile_n>(sums[block] + 2 * below, at < m ? y + at * n : nullptr, column, n, lane);
      }
    }
  }
}

template <class W, class Y, int blocks, int tile_n>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const OutputView& output) {
  constexpr int bytes = stages<blocks, tile_n> * stage_bytes<tile_n> + buffer_alignment;
  const auto kernel = expand_wgmma<W, Y, blocks, tile_n>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint64_t tiles = ceil_div(output.m, 128 * blocks) * ceil_div(output.n, tile_n);
  const auto grid = static_cast<unsigned>(std::min<std::uint64_t>(
      tiles, static_cast<std::uint64_t>(multiprocessors) * blocks_per_sm<blocks, tile_n>));
  kernel<<<grid, hopper_threads, bytes, context.stream>>>(map_weights(weights), bitmap,
                                                          static_cast<Y*>(output.data), output.n);
  check_launch();
}

}  // namespace

void expand_on_hopper(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                      const OutputView& output, const Expand& config) {
  if (weights.k == 0) {  // no tensor map has an empty side
    check(cudaMemsetAsync(output.data, 0, output.bytes(), context.stream));
    return;
  }
  if (config.tile_m == 64) {
    if (!expand_strips(context, bitmap, weights, output, config.tile_n)) {
      expand_resident(context, bitmap, weights, output, config.tile_n);
    }
    return;
  }
  if (config.split > 1) {
    expand_split(context, bitmap, weights, output);
    return;
  }
  if (config.tile_m == 256 && config.tile_n == 128) {
    expand_tall(context, bitmap, weights, output);
    return;
  }
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      if (config.tile_m == 256) {
        launch<W, Y, 2, 64>(context, bitmap, weights, output);
      } else {
        config.tile_n == 128 ? launch<W, Y, 1, 128>(context, bitmap, weights, output)
                             : launch<W, Y, 1, 64>(context, bitmap, weights, output);
      }
    }
  });
}

void expand_on_hopper(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
                      const OutputView& output, const Expand& config) {
  if (weights.k == 0) {
    check(cudaMemsetAsync(output.data, 0, output.bytes(), context.stream));
    return;
  }
  if (config.tile_m == 64) {
    expand_resident(context, bytes, weights, output, config.tile_n);
  } else {
    expand_byte_tiles(context, bytes, weights, output, config.tile_n);
  }
}

}  // namespace spiketune::cuda
