// Y = S·W with S a bitmap and W in bytes, on the integer tensor cores, or those of FP8: W put in
// order, dispatch, and the kernel for GPUs before Hopper, where e4m3 becomes f16. A block of 8
// warps makes 128 × 64 of Y; a warp 16 rows. Steps of 64 rows of W come by cp.async, one ahead;
// bits straight to registers, one step ahead. Rows of a tile, and what becomes of its sums, are an
// `Out`'s, as those of expand_mma.cuh, of which spmm_lif() is one too.

#include "spiketune/kernels/cuda/expand_imma.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/expand.cuh"
#include "spiketune/kernels/cuda/fire_rows.cuh"
#include "spiketune/kernels/cuda/imma.cuh"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

using imma::pieces;
static_assert(ByteColumns::step_rows == imma::step_rows);

/// A thread makes the bytes of a step of one column.
__global__ void order_weights(const WeightView w, const ByteColumns to) {
  const std::uint32_t column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= to.columns) return;
  for (std::uint32_t step = blockIdx.y; step < to.steps; step += gridDim.y) {
    auto* words = reinterpret_cast<std::uint32_t*>(to.bytes + to.index(step, column));
    for (std::uint32_t at = 0; at < ByteColumns::step_rows / 4; ++at) {
      std::uint32_t word = 0;
      for (std::uint32_t byte = 0; byte < 4; ++byte) {
        const std::uint32_t row = step * ByteColumns::step_rows + column_of_byte(4 * at + byte);
        if (row >= w.k || column >= w.n) continue;
        const std::uint64_t i = std::uint64_t{row} * w.n + column;
        const int value = w.type == DType::e4m3 ? static_cast<const std::uint8_t*>(w.data)[i]
                                                : load_integer(w.data, w.type, i);
        word |= (static_cast<std::uint32_t>(value) & 0xffu) << 8 * byte;
      }
      words[at] = word;
    }
  }
}

__device__ void fetch_step(uint4* tile, const ByteColumns& weights, std::uint32_t step,
                           std::uint32_t n0) {
  const auto* from = reinterpret_cast<const uint4*>(weights.bytes + weights.index(step, n0));
  for (std::uint32_t i = threadIdx.x; i < imma::tile_n * pieces; i += imma::threads) {
    __pipeline_memcpy_async(tile + imma::piece_of(i / pieces, i % pieces), from + i, 16);
  }
  __pipeline_commit();
}

/// Rows of Y, one after the other: sums times the scales of their columns.
template <class Y, class SumT>
struct ScaledRows {
  using Sum = SumT;
  Y* y;
  const float* scales;
  std::uint64_t m;
  std::uint32_t n;

  [[nodiscard]] std::uint64_t tiles_m() const { return ceil_div(m, imma::tile_m); }
  [[nodiscard]] __device__ std::uint32_t parts() const { return 1; }
  [[nodiscard]] __device__ Steps steps(const Bitmap& bitmap) const {
    return {bitmap, std::uint64_t{blockIdx.x} * imma::tile_m, imma::tile_m / 64};
  }
  [[nodiscard]] __device__ std::uint64_t row(std::uint32_t, int below) const {
    return std::uint64_t{blockIdx.x} * imma::tile_m + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 +
           8 * below;
  }
  __device__ void put(const Sum (&sums)[imma::tile_n / 8][4], std::uint32_t part,
                      std::uint32_t first_column) const {
    imma::put_scaled(
        sums, [&](int below) { return row(part, below); }, m, n, first_column, scales, y);
  }
};

/// Neurons.
template <std::uint32_t steps_at_once>
struct Fire : FireRows<steps_at_once> {
  using Sum = std::int32_t;
};

template <class Out>
__global__ void __launch_bounds__(imma::threads)
    expand_imma(const __grid_constant__ Bitmap bitmap, const ByteColumns weights,
                const __grid_constant__ Out out, std::uint32_t n) {
  __shared__ uint4 tiles[2][imma::tile_n * pieces];
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t part = 0;
  for (std::uint32_t n0 = blockIdx.y * imma::tile_n; n0 < n;) {
    typename Out::Sum sums[imma::tile_n / 8][4] = {};
    Steps steps = out.steps(bitmap);
    std::uint32_t step = steps.next();
    const RowWords<2> rows(bitmap, [&](int below) { return out.row(part, below); });
    RowWords<2>::Words words;
    if (step < steps.count()) {
      fetch_step(tiles[0], weights, step, n0);
      rows.load(step, words);
    }
    for (std::uint32_t turn = 0; step < steps.count(); turn ^= 1) {
      const std::uint32_t next = steps.next();
      std::uint32_t operands[2][4];  // [word]
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        std::uint32_t expanded[2];
        expand_to_bytes(words[i / 2][i % 2], lane, expanded);
        operands[i % 2][i / 2] = expanded[0];
        operands[i % 2][i / 2 + 2] = expanded[1];
      }
      if (next < steps.count()) {
        fetch_step(tiles[turn ^ 1], weights, next, n0);
        rows.load(next, words);
      } else {
        __pipeline_commit();
      }
      __pipeline_wait_prior(1);
      __syncthreads();
      imma::multiply_step(sums, operands, tiles[turn]);
      __syncthreads();
      step = next;
    }
    out.put(sums, part, n0);
    if (++part == out.parts()) {
      part = 0;
      n0 += gridDim.y * imma::tile_n;
    }
  }
}

template <class Out>
void launch(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
            std::uint32_t n, const Out& out) {
  const dim3 grid(static_cast<unsigned>(out.tiles_m()),
                  static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(n, imma::tile_n), 65535)));
  expand_imma<Out><<<grid, imma::threads, 0, context.stream>>>(bitmap, columns, out, n);
  check_launch();
}

template <class Y>
void run(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
         const WeightView& weights, const OutputView& output) {
  const auto with = [&]<class Sum>(Sum) {
    launch(context, bitmap, columns, output.n,
           ScaledRows<Y, Sum>{static_cast<Y*>(output.data), weights.scales, output.m, output.n});
  };
  weights.type == DType::e4m3 ? with(0.0f) : with(std::int32_t{0});
}

bool is_hopper(const CudaContext& context) {
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device));
  return major == 9;
}

bool leaves_in_pieces(const WeightView& weights, const OutputView& output) {
  return output.n % 8 == 0 && reinterpret_cast<std::uintptr_t>(output.data) % 16 == 0 &&
         reinterpret_cast<std::uintptr_t>(weights.scales) % 8 == 0;
}

}  // namespace

void spmm_lif_of_bytes(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
                       const WeightView& weights, const FireTask& task) {
  static_assert(mma::tile_m == imma::tile_m && mma::tile_n == imma::tile_n &&
                mma::threads == imma::threads);
  task.out.shape.timesteps == 1 ? launch(context, bitmap, columns, weights.n, Fire<1>{{task}})
                                : launch(context, bitmap, columns, weights.n, Fire<2>{{task}});
}

}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const Bitmap&, const WeightView& weights,
                                 const OutputView&, const ExpandImma&) {
  WorkspaceCarver carver;
  cuda::ByteColumns(weights).carve(carver);
  return carver.bytes();
}

void prepare(const CudaContext& context, const WeightView& weights, const ExpandImma&,
             Workspace workspace) {
  if (!is_quantised(weights.type)) {
    throw Error(ErrorCode::invalid_argument, "expand_imma: W must be s8, s4 or e4m3");
  }
  WorkspaceCarver carver(workspace);
  cuda::ByteColumns columns(weights);
  columns.carve(carver);
  if (columns.steps == 0 || columns.columns == 0) return;
  const dim3 grid(columns.columns / cuda::ByteColumns::padding, std::min(columns.steps, 65535u));
  cuda::order_weights<<<grid, cuda::ByteColumns::padding, 0, context.stream>>>(weights, columns);
  cuda::check_launch();
}

void spmm(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
          const OutputView& output, const ExpandImma& config, Workspace workspace) {
  check_spmm(bitmap, weights, output, Space::device);
  if (const std::string why = config.why_invalid(bitmap.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "expand_imma: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  WorkspaceCarver carver(workspace);
  cuda::ByteColumns columns(weights);
  columns.carve(carver);
  if (columns.steps != 0 && cuda::is_hopper(context) && cuda::leaves_in_pieces(weights, output)) {
    cuda::expand_imma_on_hopper(context, bitmap, columns, weights, output, config);
  } else if (output.type == DType::f16) {
    cuda::run<Half>(context, bitmap, columns, weights, output);
  } else if (output.type == DType::bf16) {
    cuda::run<Bfloat16>(context, bitmap, columns, weights, output);
  } else {
    cuda::run<float>(context, bitmap, columns, weights, output);
  }
}

}  // namespace spiketune
