// Y = S·W with S and W in bytes, on the tensor cores of 8 bits: W put in order, dispatch, and the
// kernel for GPUs before Hopper and for rows that TMA does not take. A block of 8 warps makes
// 128 × 64 of Y; a warp 16 rows. Steps of 64 rows of W come by cp.async, one ahead; spikes straight
// to registers, where four neighbours are an operand, one step ahead.

#include "spiketune/kernels/cuda/byte_mma.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/imma.cuh"

namespace spiketune {
namespace cuda {
namespace {

using imma::pieces;
using imma::step_rows;
using imma::tile_m;
using imma::tile_n;

/// Rows of S as operands A.
class ByteRows {
 public:
  __device__ ByteRows(const Bytes& bytes, std::uint64_t m)
      : values_(bytes.values.data),
        m_(m),
        k_(bytes.layout.k()),
        in_words_(k_ % 4 == 0 && reinterpret_cast<std::uintptr_t>(values_) % 4 == 0) {}

  /// Of 64 columns from `k0` on; rows[below] are those of the lane.
  __device__ void load(std::uint32_t k0, const std::uint64_t (&rows)[2],
                       std::uint32_t (&operands)[2][4]) const {
#pragma unroll
    for (std::uint32_t half = 0; half < 2; ++half) {
#pragma unroll
      for (std::uint32_t i = 0; i < 4; ++i) {
        operands[half][i] = four(rows[i % 2], k0 + 32 * half + i / 2 * 16 + threadIdx.x % 4 * 4);
      }
    }
  }

 private:
  [[nodiscard]] __device__ std::uint32_t four(std::uint64_t row, std::uint32_t column) const {
    if (row >= m_ || column >= k_) return 0;
    const std::uint8_t* from = values_ + row * k_ + column;
    if (in_words_) return __ldg(reinterpret_cast<const std::uint32_t*>(from));
    std::uint32_t word = 0;
    for (std::uint32_t i = 0; i < 4 && column + i < k_; ++i) {
      word |= std::uint32_t{__ldg(from + i)} << 8 * i;
    }
    return word;
  }

  const std::uint8_t* values_;
  std::uint64_t m_;
  std::uint32_t k_;
  bool in_words_;
};

__device__ void fetch_step(uint4* tile, const WeightColumns& columns, std::uint32_t k0,
                           std::uint32_t n0) {
  for (std::uint32_t i = threadIdx.x; i < tile_n * pieces; i += imma::threads) {
    const std::uint32_t column = i / pieces;
    const std::uint32_t piece = i % pieces;
    // Columns that are not there give sums that nobody writes.
    const std::uint64_t from = std::min(n0 + column, columns.n - 1);
    __pipeline_memcpy_async(tile + imma::piece_of(column, piece),
                            columns.bytes + from * columns.column_bytes + k0 + 16 * piece, 16);
  }
  __pipeline_commit();
}

template <class Sum, class Y>
__global__ void __launch_bounds__(imma::threads)
    byte_mma(const __grid_constant__ Bytes bytes, const WeightColumns columns,
             const float* __restrict__ scales, Y* __restrict__ y, std::uint64_t m) {
  __shared__ uint4 tiles[2][tile_n * pieces];
  const auto row = [&](int below) {
    return std::uint64_t{blockIdx.x} * tile_m + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 +
           8 * below;
  };
  const std::uint64_t rows[2] = {row(0), row(1)};
  const ByteRows spikes(bytes, m);
  const auto steps = static_cast<std::uint32_t>(columns.column_bytes / step_rows);
  for (std::uint32_t n0 = blockIdx.y * tile_n; n0 < columns.n; n0 += gridDim.y * tile_n) {
    Sum sums[tile_n / 8][4] = {};
    std::uint32_t operands[2][4];
    if (steps != 0) {
      fetch_step(tiles[0], columns, 0, n0);
      spikes.load(0, rows, operands);
    }
    for (std::uint32_t step = 0; step < steps; ++step) {
      std::uint32_t next[2][4] = {};
      if (step + 1 < steps) {
        fetch_step(tiles[(step + 1) % 2], columns, (step + 1) * step_rows, n0);
        spikes.load((step + 1) * step_rows, rows, next);
      } else {
        __pipeline_commit();
      }
      __pipeline_wait_prior(1);
      __syncthreads();
      imma::multiply_step(sums, operands, tiles[step % 2]);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 8; ++i) operands[i / 4][i % 4] = next[i / 4][i % 4];
    }
    imma::put_scaled(sums, row, m, columns.n, n0, scales, y);
  }
}

template <class Sum>
void run(const CudaContext& context, const Bytes& bytes, const WeightColumns& columns,
         const WeightView& weights, const OutputView& output) {
  const dim3 grid(
      static_cast<unsigned>(ceil_div(output.m, tile_m)),
      static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(output.n, tile_n), 65535)));
  with_types(output.type, output.type, [&]<class, class Y>() {
    byte_mma<Sum, Y><<<grid, imma::threads, 0, context.stream>>>(
        bytes, columns, weights.scales, static_cast<Y*>(output.data), output.m);
  });
  check_launch();
}

bool suits_hopper(const CudaContext& context, const Bytes& bytes, const OutputView& output) {
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device));
  return major == 9 && bytes.layout.k() != 0 && bytes.layout.k() % 16 == 0 &&
         reinterpret_cast<std::uintptr_t>(bytes.values.data) % 16 == 0 && output.n % 8 == 0 &&
         reinterpret_cast<std::uintptr_t>(output.data) % 16 == 0 &&
         output.m < std::uint64_t{1} << 31;
}

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const Bytes&, const WeightView& weights,
                                 const OutputView&, const ByteMma&) {
  WorkspaceCarver carver;
  cuda::WeightColumns(weights).carve(carver);
  return carver.bytes();
}

void prepare(const CudaContext& context, const WeightView& weights, const ByteMma&,
             Workspace workspace) {
  require(is_quantised(weights.type), ErrorCode::invalid_argument,
          "byte_mma: W must be s8, s4 or e4m3");
  WorkspaceCarver carver(workspace);
  cuda::WeightColumns columns(weights);
  columns.carve(carver);
  const DType type = weights.type == DType::e4m3 ? DType::e4m3 : DType::s8;
  cuda::put_by_column(context, weights, type, columns.column_bytes, columns.bytes);
}

void spmm(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
          const OutputView& output, const ByteMma& config, Workspace workspace) {
  check_spmm(bytes, weights, output, Space::device);
  if (const std::string why = config.why_invalid(bytes.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "byte_mma: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  WorkspaceCarver carver(workspace);
  cuda::WeightColumns columns(weights);
  columns.carve(carver);
  if (cuda::suits_hopper(context, bytes, output)) {
    cuda::byte_mma_on_hopper(context, bytes, columns, weights, output, config);
  } else if (weights.type == DType::e4m3) {
    cuda::run<float>(context, bytes, columns, weights, output);
  } else {
    cuda::run<std::int32_t>(context, bytes, columns, weights, output);
  }
}

}  // namespace spiketune
