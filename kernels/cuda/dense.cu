// Y = S·W with S dense. 2·M·K·N operations on the f32 units (about 60 TFLOP/s on an H200): bound by
// arithmetic. Global -> shared (converted to f32) -> registers; no tensor cores, on purpose.

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/f32_tile.cuh"
#include "spiketune/kernels/cuda/types.cuh"
#include "spiketune/kernels/dense.hpp"

namespace spiketune {
namespace cuda {
namespace {

using f32_tile::depth;
using f32_tile::per_thread;
using f32_tile::side;
using f32_tile::tile;

template <class W, class Y>
__global__ void __launch_bounds__(side* side)
    tiled(const AnyArray s, const W* __restrict__ w, Y* __restrict__ y, std::uint64_t m,
          std::uint32_t k, std::uint32_t n) {
  __shared__ float s_tile[depth][tile + 1];
  __shared__ float w_tile[depth][tile];
  const std::uint64_t row0 = std::uint64_t{blockIdx.x} * tile;
  const int thread = static_cast<int>(threadIdx.y * side + threadIdx.x);
  for (std::uint32_t column0 = blockIdx.y * tile; column0 < n; column0 += gridDim.y * tile) {
    f32_tile::Sums sums = {};
    for (std::uint32_t k0 = 0; k0 < k; k0 += depth) {
      for (int i = thread; i < tile * depth; i += side * side) {
        const std::uint64_t row = row0 + i / depth;
        const std::uint32_t column = k0 + i % depth;
        s_tile[i % depth][i / depth] = row < m && column < k ? load_value(s, row * k + column) : 0;
        const std::uint32_t w_row = k0 + i / tile;
        const std::uint32_t w_column = column0 + i % tile;
        w_tile[i / tile][i % tile] =
            w_row < k && w_column < n ? to_float(w[std::uint64_t{w_row} * n + w_column]) : 0;
      }
      __syncthreads();
      f32_tile::multiply(s_tile, w_tile, sums);
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
#pragma unroll
      for (int j = 0; j < per_thread; ++j) {
        const std::uint64_t row = row0 + threadIdx.y + i * side;
        const std::uint32_t column = column0 + threadIdx.x + j * side;
        if (row < m && column < n) y[row * n + column] = from_float<Y>(sums[i][j]);
      }
    }
  }
}

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const Dense&, const WeightView&,
                                 const OutputView&, const Tiled&) {
  return 0;
}

void spmm(const CudaContext& context, const Dense& dense, const WeightView& weights,
          const OutputView& output, const Tiled& config, Workspace) {
  check_spmm(dense, weights, output, Space::device);
  require(config.tile == cuda::tile, ErrorCode::invalid_argument, "tiled: tile must be 64");
  if (output.m == 0 || output.n == 0) return;
  const dim3 block(cuda::side, cuda::side);
  const dim3 grid = cuda::f32_tile::grid(output.m, output.n);
  cuda::with_types(weights.type, output.type, [&]<class W, class Y>() {
    cuda::tiled<<<grid, block, 0, context.stream>>>(
        dense.values, static_cast<const W*>(weights.data), static_cast<Y*>(output.data), output.m,
        dense.layout.k(), output.n);
  });
  cuda::check_launch();
}

}  // namespace spiketune
