// Y = S·W with S by columns: each spike (row, column) adds its row of W to a row of Y.
//
// Operations: nnz · N additions; bytes: 4 of atomic addition for each, into L2, which is the bound,
// since Y is not written in order. A warp keeps its piece of the row of W in registers; the 32
// lanes of one step add to neighbouring elements of Y, so that L2 gets whole sectors.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/csc.hpp"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr int per_lane = 4;  // columns of Y

/// Warp threadIdx.y of block x: a column of S; y: which piece of N; z: which share of the spikes.
template <class W>
__global__ void scatter_columns(const Csc csc, const W* __restrict__ w, float* __restrict__ y,
                                std::uint32_t n) {
  const std::uint64_t column = std::uint64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (column >= csc.layout.k()) return;
  const std::uint64_t begin = std::uint64_t{csc.column_offsets[column]} + blockIdx.z;
  const std::uint64_t end = csc.column_offsets[column + 1];
  if (begin >= end) return;
  const std::uint64_t step = std::uint64_t{gridDim.y} * 32 * per_lane;
  for (std::uint64_t first = std::uint64_t{blockIdx.y} * 32 * per_lane + threadIdx.x; first < n;
       first += step) {
    float x[per_lane];
#pragma unroll
    for (int c = 0; c < per_lane; ++c) {
      const std::uint64_t j = first + c * 32;
      x[c] = j < n ? to_float(w[column * n + j]) : 0.0f;
    }
    for (std::uint64_t i = begin; i < end; i += gridDim.z) {
      float* sums = y + std::uint64_t{load_index(csc.row_indices, i)} * n;
      const float value = load_value(csc.values, i);
#pragma unroll
      for (int c = 0; c < per_lane; ++c) {
        const std::uint64_t j = first + c * 32;
        if (j < n) atomicAdd(sums + j, value * x[c]);
      }
    }
  }
}

template <class Y>
__global__ void round_sums(const float* __restrict__ sums, Y* __restrict__ y, std::uint64_t count) {
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    y[i] = from_float<Y>(sums[i]);
  }
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const OutputView& output)
      : sums(carver.take<float>(output.type == DType::f32 ? 0 : output.m * output.n)) {}
  float* sums;
};

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const Csc&, const WeightView&,
                                 const OutputView& output, const AtomicScatter&) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, output);
  return carver.bytes();
}

void spmm(const CudaContext& context, const Csc& csc, const WeightView& weights,
          const OutputView& output, const AtomicScatter& config, Workspace workspace) {
  check_spmm(csc, weights, output, Space::device);
  if (const std::string why = config.why_invalid(csc.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "atomic_scatter: " + why);
  }
  const std::uint64_t count = output.m * output.n;
  if (count == 0) return;
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, output);
  const bool direct = output.type == DType::f32;
  float* sums = direct ? static_cast<float*>(output.data) : scratch.sums;
  fill(context, sums, 0, count * sizeof(float));
  cuda::with_types(weights.type, output.type, [&]<class W, class Y>() {
    if (weights.k != 0) {
      const auto warps = static_cast<unsigned>(config.warps);
      const dim3 block(32, warps);
      const dim3 grid(static_cast<unsigned>(ceil_div(weights.k, warps)),
                      static_cast<unsigned>(
                          std::min<std::uint64_t>(ceil_div(output.n, 32 * cuda::per_lane), 65535)),
                      static_cast<unsigned>(config.splits));
      cuda::scatter_columns<W><<<grid, block, 0, context.stream>>>(
          csc, static_cast<const W*>(weights.data), sums, output.n);
      cuda::check_launch();
    }
    if (!direct) {
      const auto blocks =
          static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(count, 256), 65535));
      cuda::round_sums<Y>
          <<<blocks, 256, 0, context.stream>>>(sums, static_cast<Y*>(output.data), count);
      cuda::check_launch();
    }
  });
}

}  // namespace spiketune
