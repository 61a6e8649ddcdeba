#pragma once
/// \file
/// Definition of the RowGather product; included by the kernels/cuda/<format>.cu that instantiate
/// it.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/types.cuh"
#include "spiketune/kernels/row_gather.hpp"

namespace spiketune {
namespace cuda {

template <class Format, class W, class Y, int vector>
__global__ void row_gather(const Format format, const W* __restrict__ w, Y* __restrict__ y,
                           std::uint64_t m, std::uint32_t n) {
  const std::uint64_t row = std::uint64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= m) return;
  const std::uint64_t step = std::uint64_t{gridDim.y} * 32 * vector;
  for (std::uint64_t j = (std::uint64_t{blockIdx.y} * 32 + threadIdx.x) * vector; j < n;
       j += step) {
    float sum[vector] = {};
    for_each_in_row(format, row, [&](std::uint32_t column, float value) {
      const Vector<W, vector> x =
          *reinterpret_cast<const Vector<W, vector>*>(w + std::uint64_t{column} * n + j);
#pragma unroll
      for (int v = 0; v < vector; ++v) sum[v] += value * to_float(x.at[v]);
    });
    Vector<Y, vector> out;
#pragma unroll
    for (int v = 0; v < vector; ++v) out.at[v] = from_float<Y>(sum[v]);
    *reinterpret_cast<Vector<Y, vector>*>(y + row * n + j) = out;
  }
}

}  // namespace cuda

template <class Format>
void spmm(const CudaContext& context, const Format& format, const WeightView& weights,
          const OutputView& output, const RowGather& config, Workspace) {
  check_spmm(format, weights, output, Space::device);
  if (const std::string why = config.why_invalid(format.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "row_gather: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  const auto warps = static_cast<unsigned>(config.warps);
  cuda::with_types(weights.type, output.type, [&]<class W, class Y>() {
    const auto launch = [&]<int vector>() {
      const dim3 block(32, warps);
      const dim3 grid(
          static_cast<unsigned>(ceil_div(output.m, warps)),
          static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(output.n, 32 * vector), 65535)));
      cuda::row_gather<Format, W, Y, vector>
          <<<grid, block, 0, context.stream>>>(format, static_cast<const W*>(weights.data),
                                               static_cast<Y*>(output.data), output.m, output.n);
    };
    if (config.vector_bytes == 16) {
      launch.template operator()<static_cast<int>(16 / sizeof(W))>();
    } else {
      launch.template operator()<1>();
    }
  });
  cuda::check_launch();
}

}  // namespace spiketune
