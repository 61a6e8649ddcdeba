// Y = S·W with S in bytes that nobody encoded, W of any K, for Hopper. A warp copies 64 columns of
// 128 rows of S and 64 rows of tile_n columns of W by TMA, some steps ahead. Two warpgroups take 64
// rows each: a lane reads 16 bytes of each of its two rows, which are its operands A of the whole
// step, since rows of W trade places on their way (place_of_row()). The second one is some steps
// behind; sums in two bytes leave by TMA while the next tile's products run.

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int byte_threads = 384;
constexpr std::uint32_t consumer_warps = 8;
constexpr std::uint32_t tile_m = 128;
constexpr std::uint32_t spike_bytes = tile_m * depth;
/// Less barriers.
constexpr std::uint32_t most_shared_bytes = 227 * 1024 - 512;

template <int tile_n>
struct Shape {
  static constexpr std::uint32_t step_bytes = spike_bytes + stage_bytes<tile_n>;
  /// Of 16 rows of a warp's sums, in two bytes each, 64 columns after 64.
  static constexpr std::uint32_t rows_bytes = tile_n / 64 * staging_bytes;
  static constexpr std::uint32_t other_bytes = consumer_warps * rows_bytes + buffer_alignment;
  static constexpr std::uint32_t stages = (most_shared_bytes - other_bytes) / step_bytes;
  static constexpr std::uint32_t ring_bytes = stages * step_bytes;
  /// Between the warpgroups: fewer than buffers by more than one.
  static constexpr std::uint32_t steps_apart = 4;
  static_assert(steps_apart + 1 < stages);
  static constexpr std::uint32_t shared_bytes = ring_bytes + other_bytes;
};

template <class W, class Y, int tile_n>
__global__ void __launch_bounds__(byte_threads, 1)
    expand_byte_tiles(const __grid_constant__ CUtensorMap s_map,
                      const __grid_constant__ CUtensorMap w_map,
                      const __grid_constant__ CUtensorMap y_map, Y* __restrict__ y, std::uint64_t m,
                      std::uint32_t n, std::uint32_t steps) {
  using Shape = Shape<tile_n>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t states[2 * Shape::stages];
  const Ring ring(states, states + Shape::stages);
  std::uint8_t* const buffers = shared + bytes_to_buffers(shared_address(shared));
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < Shape::stages; ++i) ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();

  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(m, tile_m));
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(n, tile_n));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t lane = threadIdx.x % 32;
  Turn turn(Shape::stages);
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps || lane != 0) return;
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const std::uint32_t column = tile / tiles_m * tile_n;
      for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
        std::uint8_t* const to = buffers + turn.stage * Shape::step_bytes;
        ring.empty.wait(turn.stage, turn.parity ^ 1);
        ring.full.arrive_expecting(turn.stage, Shape::step_bytes);
        copy_box(to, &s_map, step * depth, tile % tiles_m * tile_m, ring.full.at(turn.stage));
#pragma unroll
        for (int part = 0; part < tile_n / 64; ++part) {
          copy_box(to + spike_bytes + part * 8192, &w_map, column + 64 * part, 0,
                   step * (depth / 16), 0, ring.full.at(turn.stage));
        }
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint64_t first_b = describe_rows(buffers + spike_bytes);
  // 16 bytes of the lane's first row, in TMA's swizzle; eight rows further down they are at the
  // same place.
  const std::uint32_t row_in_tile = warp * warp_rows + lane / 4;
  const std::uint32_t my_bytes =
      shared_address(buffers) + row_in_tile * depth + (lane % 4 ^ row_in_tile / 2 % 4) * 16;
  std::uint8_t* const staging = buffers + Shape::ring_bytes + warp * Shape::rows_bytes;
  Apart apart(warp / 4, tiles > gridDim.x ? Shape::steps_apart : 0);
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    float sums[tile_n / 2] = {};
    std::uint32_t operands[2][2][4];
    uint4 rows[2];
    const auto load = [&] {
      ring.full.wait(turn.stage, turn.parity);
      const std::uint32_t from = my_bytes + turn.stage * Shape::step_bytes;
      rows[0] = load_pieces(from);
      rows[1] = load_pieces(from + 8 * depth);
    };
    load();
#pragma unroll 1
    for (std::uint32_t step = 0; step < steps; ++step) {
      apart.step();
      const std::uint64_t b = first_b + turn.stage * (Shape::step_bytes >> 4);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          auto& a = operands[half][i];
#pragma unroll
          for (int below = 0; below < 2; ++below) {
            const std::uint32_t four = half == 0 ? (i == 0 ? rows[below].x : rows[below].y)
                                                 : (i == 0 ? rows[below].z : rows[below].w);
            expand_bytes(four, a[below], a[below + 2]);
          }
        }
        begin_products();
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          multiply<W, tile_n>(sums, operands[half][i], b + (2 * half + i) * sixteen_rows);
        }
        commit_products();
        if (half == 0) {
          wait_for_products<1>();
          // The products of the step before are done.
          if (step != 0 && lane == 0) ring.empty.arrive(turn.previous_stage());
        }
      }
      turn.advance();
      if (step + 1 < steps) load();
      wait_for_products<1>();
    }
    wait_for_products<0>();
    if (lane == 0) {
      ring.empty.arrive(turn.previous_stage());
      wait_until_read<0>();
    }
    keep_in_place(sums);
    __syncwarp();
    const auto value = [&](int at) { return spike_scale * sums[at]; };
    const std::uint32_t row = tile % tiles_m * tile_m + warp * warp_rows;
    const std::uint32_t column = tile / tiles_m * tile_n;
    if constexpr (sizeof(Y) == 2) {
      send_rows<tile_n, Y>(value, y_map, column, row, n, staging, lane);
    } else {
      store_rows<tile_n>(value, TileRows(y, row, m, column, n), staging, lane);
    }
  }
  if (lane == 0) wait_until_read<0>();
  apart.end();
}

template <class W, class Y, int tile_n>
void launch(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
            const OutputView& output) {
  using Shape = Shape<tile_n>;
  const auto kernel = expand_byte_tiles<W, Y, tile_n>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(Shape::shared_bytes)));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint32_t k = bytes.layout.k();
  const CUtensorMap s_map = map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, bytes.values.data, output.m,
                                       k, k, tile_m, depth, CU_TENSOR_MAP_SWIZZLE_64B);
  CUtensorMap y_map{};
  if constexpr (sizeof(Y) == 2) {
    y_map = map_rows_out(output);
  }
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  const auto grid =
      static_cast<unsigned>(std::min(tiles, static_cast<std::uint64_t>(multiprocessors)));
  kernel<<<grid, byte_threads, Shape::shared_bytes, context.stream>>>(
      s_map, map_weights_for_bytes(weights), y_map, static_cast<Y*>(output.data), output.m,
      output.n, step_count(bytes));
  check_launch();
}

}  // namespace

void expand_byte_tiles(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
                       const OutputView& output, int tile_n) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      tile_n == 128 ? launch<W, Y, 128>(context, bytes, weights, output)
                    : launch<W, Y, 64>(context, bytes, weights, output);
    }
  });
}

}  // namespace spiketune::cuda
