// Y = S·W with S a bitmap in tiles of 256 × 128, for Hopper: those of expand.cu that large products
// take. A warp copies 64 × 128 of W by TMA, some steps ahead; each of two warpgroups makes operands
// A of 128 rows in registers and multiplies with wgmma.
//
// Sums take 128 registers of a thread. Operands are made of half a step at a time, of 32 columns of
// S, while the other half's products run; words of S come four steps at a time. The second
// warpgroup stays some steps behind the first one, and sums leave through shared memory.

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int hopper_threads = 384;
constexpr std::uint32_t consumer_warps = 8;
constexpr int blocks = 2;  // of 64 rows, of a warpgroup
constexpr std::uint32_t tile_m = 128 * blocks;
constexpr int tile_n = 128;
constexpr std::uint32_t stages = 8;
/// Steps between the warpgroups: fewer than W's buffers, and than most tiles have.
constexpr std::uint32_t steps_apart = 3;
constexpr std::uint32_t staging_at = stages * stage_bytes<tile_n>;
constexpr int shared_bytes = staging_at + consumer_warps * staging_bytes + 1024;

/// Which buffer is next, and the parity of its use.
struct Turn {
  std::uint32_t uses = 0;
  [[nodiscard]] __device__ std::uint32_t stage() const { return uses % stages; }
  [[nodiscard]] __device__ std::uint32_t parity() const { return uses / stages % 2; }
};

template <class W, class Y>
__global__ void __launch_bounds__(hopper_threads, 1)
    expand_tall_wgmma(const __grid_constant__ CUtensorMap w_map,
                      const __grid_constant__ Bitmap bitmap, Y* __restrict__ y, std::uint32_t n) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages];
  __shared__ std::uint64_t empty_states[stages];
  const CopyBarriers full(full_states);
  const CopyBarriers empty(empty_states);
  // The swizzle works on addresses: buffers begin at multiples of 1024 bytes.
  std::uint8_t* buffers = shared + (1024 - shared_address(shared) % 1024) % 1024;
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages; ++i) {
      full.init(i, 1);
      empty.init(i, consumer_warps);
    }
    fence_barriers();
  }
  __syncthreads();

  const std::uint64_t m = bitmap.layout.m();
  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(m, tile_m));
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(n, tile_n));
  const auto first_row = [&](std::uint32_t tile) { return std::uint64_t{tile % tiles_m} * tile_m; };
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  Turn turn;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps) return;
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const std::uint32_t column = tile / tiles_m * tile_n;
      Steps steps(bitmap, first_row(tile), tile_m / 64);
      for (std::uint32_t step; (step = steps.next()) < steps.count(); ++turn.uses) {
        if (lane == 0) {
          empty.wait(turn.stage(), turn.parity() ^ 1);
          full.arrive_expecting(turn.stage(), stage_bytes<tile_n>);
          std::uint8_t* to = buffers + turn.stage() * stage_bytes<tile_n>;
#pragma unroll
          for (int part = 0; part < tile_n / 64; ++part) {
            copy_box(to + part * 8192, &w_map, column + 64 * part, step * depth,
                     full.at(turn.stage()));
          }
        }
        __syncwarp();
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint64_t described = describe_rows(buffers);
  using Cursor = FourStepCursor<blocks, 1>;
  const std::uint32_t group = warp / 4;
  const std::uint32_t group_row = group * (64 * blocks);
  Cursor cursor(bitmap, first_row(blockIdx.x), group_row, tile_m / 64);
  // Where no tile follows, no sums are written beside products.
  const bool follows = tiles > gridDim.x;
  Apart apart(group, follows ? steps_apart : 0);
  bool pending = false;  // products of the step before
  const auto release = [&] {
    if (pending && lane == 0) empty.arrive((turn.uses - 1) % stages);
  };
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    float sums[blocks][tile_n / 2] = {};
    std::uint32_t operands[2][blocks][2][4];
    for (bool more = true; more;) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        more = more && cursor.step(j) < cursor.count();
        if (!more) continue;
        apart.step();
        full.wait(turn.stage(), turn.parity());
        const std::uint64_t b = described + turn.stage() * (stage_bytes<tile_n> >> 4);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          cursor.template expand<1>(j, lane, half, operands[half]);
          if (half == 1) cursor.advance(j);
          begin_products();
#pragma unroll
          for (int part = 0; part < 2; ++part) {
#pragma unroll
            for (int block = 0; block < blocks; ++block) {
              multiply<W, tile_n>(sums[block], operands[half][block][part],
                                  b + (2 * half + part) * sixteen_rows);
            }
          }
          commit_products();
          wait_for_products<1>();
          if (half == 0) release();
        }
        pending = true;
        ++turn.uses;
      }
    }
    // The next tile's first words come while this one's products end and its sums are written.
    const std::uint32_t next = tile + gridDim.x;
    if (next < tiles) cursor = Cursor(bitmap, first_row(next), group_row, tile_m / 64);
    wait_for_products<0>();
    release();
    pending = false;
#pragma unroll
    for (int block = 0; block < blocks; ++block) {
      keep_in_place(sums[block]);
      store_rows<tile_n>(
          [&](int i) { return sums[block][i] * spike_scale; },
          TileRows(y, first_row(tile) + group_row + 64 * block + warp % 4 * warp_rows, m,
                   tile / tiles_m * tile_n, n),
          buffers + staging_at + warp * staging_bytes, lane);
    }
  }
  apart.end();
}

template <class W, class Y>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const OutputView& output) {
  const auto kernel = expand_tall_wgmma<W, Y>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  const auto grid = static_cast<unsigned>(
      std::min<std::uint64_t>(tiles, static_cast<std::uint64_t>(multiprocessors)));
  kernel<<<grid, hopper_threads, shared_bytes, context.stream>>>(
      map_weights(weights), bitmap, static_cast<Y*>(output.data), output.n);
  check_launch();
}

}  // namespace

void expand_tall(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                 const OutputView& output) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) launch<W, Y>(context, bitmap, weights, output);
  });
}

}  // namespace spiketune::cuda
