// Y = S·W with S and W in bytes, for Hopper. A warp copies 128 bytes of K of 128 rows of S and of
// tile_n columns of W by TMA, some steps ahead; two warpgroups take 64 rows each and multiply with
// wgmma, both operands in shared memory. The second one is some steps behind: its products run
// while the first one's sums leave.

#include "spiketune/kernels/cuda/byte_mma.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_bytes.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_bytes_shared.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int threads = 384;
constexpr std::uint32_t consumer_warps = 8;
constexpr std::uint32_t tile_m = 128;
constexpr std::uint32_t depth = 128;  ///< bytes of K of a step: shorter rows cost TMA as much
constexpr std::uint32_t spike_bytes = tile_m * depth;
constexpr std::uint32_t instruction_bytes = 32;
static_assert(WeightColumns::piece % depth == 0);
/// Less barriers.
constexpr std::uint32_t most_shared_bytes = 227 * 1024 - 512;

template <int tile_n>
struct Shape {
  static constexpr std::uint32_t step_bytes = spike_bytes + tile_n * depth;
  /// Buffers for operands are worth more than room for all sums in two bytes.
  static constexpr bool sums_by_tma = tile_n < 256;
  /// Of 16 rows of a warp's sums, 64 columns after 64.
  static constexpr std::uint32_t rows_bytes = (sums_by_tma ? tile_n / 64 : 1) * staging_bytes;
  static constexpr std::uint32_t scales_bytes = tile_n * sizeof(float);
  static constexpr std::uint32_t other_bytes =
      consumer_warps * (rows_bytes + scales_bytes) + buffer_alignment;
  static constexpr std::uint32_t stages = (most_shared_bytes - other_bytes) / step_bytes;
  static constexpr std::uint32_t ring_bytes = stages * step_bytes;
  /// Between the warpgroups: fewer than buffers by more than one.
  static constexpr std::uint32_t steps_apart = stages - 2;
  static constexpr std::uint32_t shared_bytes = ring_bytes + other_bytes;
};

template <class Y>
struct Rows {
  Y* y;
  const float* scales;
  std::uint64_t m;
  std::uint32_t n;
};

template <class Sum, class Y, int tile_n>
__global__ void __launch_bounds__(threads, 1)
    byte_mma_wgmma(const __grid_constant__ CUtensorMap s_map,
                   const __grid_constant__ CUtensorMap w_map,
                   const __grid_constant__ CUtensorMap y_map, const __grid_constant__ Rows<Y> rows,
                   std::uint32_t steps) {
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

  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(rows.m, tile_m));
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(rows.n, tile_n));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t lane = threadIdx.x % 32;
  Turn turn(Shape::stages);
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps || lane != 0) return;
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
        std::uint8_t* const to = buffers + turn.stage * Shape::step_bytes;
        ring.empty.wait(turn.stage, turn.parity ^ 1);
        ring.full.arrive_expecting(turn.stage, Shape::step_bytes);
        copy_box(to, &s_map, step * depth, tile % tiles_m * tile_m, ring.full.at(turn.stage));
        copy_box(to + spike_bytes, &w_map, step * depth, tile / tiles_m * tile_n,
                 ring.full.at(turn.stage));
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint32_t group = warp / 4;
  const std::uint64_t first_a = describe_k_major(buffers) + group * next_64_of_rows;
  const std::uint64_t first_b = describe_k_major(buffers + spike_bytes);
  // Staging begins at a multiple of the alignment, as TMA's swizzle wants it.
  std::uint8_t* const staging = buffers + Shape::ring_bytes + warp * Shape::rows_bytes;
  auto* const scales =
      reinterpret_cast<float*>(buffers + Shape::ring_bytes + consumer_warps * Shape::rows_bytes +
                               warp * Shape::scales_bytes);
  Apart apart(group, tiles > gridDim.x ? Shape::steps_apart : 0);
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::uint32_t column = tile / tiles_m * tile_n;
    __syncwarp();
    for (std::uint32_t i = lane; i < tile_n; i += 32) {
      if (rows.scales != nullptr && column + i < rows.n) {
        __pipeline_memcpy_async(scales + i, rows.scales + column + i, sizeof(float));
      } else {
        scales[i] = 1.0f;
      }
    }
    __pipeline_commit();
    Sum sums[tile_n / 2] = {};
#pragma unroll 1
    for (std::uint32_t step = 0; step < steps; ++step) {
      apart.step();
      ring.full.wait(turn.stage, turn.parity);
      const std::uint64_t at = turn.stage * (Shape::step_bytes >> 4);
      begin_products();
#pragma unroll
      for (std::uint32_t i = 0; i < depth; i += instruction_bytes) {
        multiply_shared_bytes<tile_n>(sums, first_a + at + (i >> 4), first_b + at + (i >> 4));
      }
      commit_products();
      wait_for_products<1>();
      // The products of the step before are done.
      if (step != 0 && lane == 0) ring.empty.arrive(turn.previous_stage());
      turn.advance();
    }
    wait_for_products<0>();
    if (lane == 0) ring.empty.arrive(turn.previous_stage());
    keep_in_place(sums);
    __pipeline_wait_prior(0);
    if (lane == 0) wait_until_read<0>();
    __syncwarp();
    const auto value = [&](int at) {
      const float2 of_two = *reinterpret_cast<const float2*>(scales + at / 4 * 8 + 2 * (lane % 4));
      return byte_spike_scale<Sum> * static_cast<float>(sums[at]) *
             (at % 2 == 0 ? of_two.x : of_two.y);
    };
    const std::uint32_t row = tile % tiles_m * tile_m + warp * warp_rows;
    if constexpr (sizeof(Y) == 2 && Shape::sums_by_tma) {
      // Sums leave while the next products run.
      send_rows<tile_n, Y>(value, y_map, column, row, rows.n, staging, lane);
    } else {
      store_rows<tile_n>(value, TileRows(rows.y, row, rows.m, column, rows.n), staging, lane);
    }
  }
  if (lane == 0) wait_until_read<0>();
  apart.end();
}

template <class Sum, class Y, int tile_n>
void launch(const CudaContext& context, const Bytes& bytes, const WeightColumns& columns,
            const WeightView& weights, const OutputView& output, std::uint64_t multiprocessors) {
  const auto kernel = byte_mma_wgmma<Sum, Y, tile_n>;
  constexpr auto shared_bytes = static_cast<int>(Shape<tile_n>::shared_bytes);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  const std::uint32_t k = bytes.layout.k();
  const CUtensorMap s_map = map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, bytes.values.data, output.m,
                                       k, k, tile_m, depth, CU_TENSOR_MAP_SWIZZLE_128B);
  const CUtensorMap w_map =
      map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, columns.bytes, columns.n, columns.column_bytes,
                 columns.column_bytes, tile_n, depth, CU_TENSOR_MAP_SWIZZLE_128B);
  CUtensorMap y_map{};
  if constexpr (sizeof(Y) == 2 && Shape<tile_n>::sums_by_tma) {
    y_map = map_rows_out(output);
  }
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  kernel<<<static_cast<unsigned>(std::min(tiles, multiprocessors)), threads, shared_bytes,
           context.stream>>>(
      s_map, w_map, y_map,
      Rows<Y>{static_cast<Y*>(output.data), weights.scales, output.m, output.n},
      static_cast<std::uint32_t>(columns.column_bytes / depth));
  check_launch();
}

/// The tiles with the shortest time: narrow ones read shared memory and S more often for each
/// product.
int choose_columns(const OutputView& output, std::uint64_t multiprocessors) {
  struct Option {
    int tile_n;
    double slowness;
  };
  int best = 0;
  double least = 0;
  for (const Option& option : {Option{256, 1}, {128, 1.05}, {64, 1.7}}) {
    const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, option.tile_n);
    const double time =
        static_cast<double>(ceil_div(tiles, multiprocessors)) * option.tile_n * option.slowness;
    if (best == 0 || time < least) {
      best = option.tile_n;
      least = time;
    }
  }
  return best;
}

template <class Sum, class Y>
void with_columns(const CudaContext& context, const Bytes& bytes, const WeightColumns& columns,
                  const WeightView& weights, const OutputView& output, int tile_n,
                  std::uint64_t multiprocessors) {
  switch (tile_n) {
    case 64:
      return launch<Sum, Y, 64>(context, bytes, columns, weights, output, multiprocessors);
    case 128:
      return launch<Sum, Y, 128>(context, bytes, columns, weights, output, multiprocessors);
    default:
      return launch<Sum, Y, 256>(context, bytes, columns, weights, output, multiprocessors);
  }
}

}  // namespace

void byte_mma_on_hopper(const CudaContext& context, const Bytes& bytes,
                        const WeightColumns& columns, const WeightView& weights,
                        const OutputView& output, const ByteMma& config) {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, context.device));
  const auto multiprocessors = static_cast<std::uint64_t>(count);
  const int tile_n = config.tile_n != 0 ? config.tile_n : choose_columns(output, multiprocessors);
  with_types(output.type, output.type, [&]<class, class Y>() {
    if (weights.type == DType::e4m3) {
      with_columns<float, Y>(context, bytes, columns, weights, output, tile_n, multiprocessors);
    } else {
      with_columns<std::int32_t, Y>(context, bytes, columns, weights, output, tile_n,
                                    multiprocessors);
    }
  });
}

}  // namespace spiketune::cuda
