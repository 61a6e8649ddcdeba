#include "spiketune/autotune/cuda/eight_bits.hpp"

#include <algorithm>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr unsigned threads = 256;
constexpr std::uint64_t most_blocks = 1u << 16;

unsigned blocks_of(std::uint64_t count) {
  return static_cast<unsigned>(std::clamp<std::uint64_t>(ceil_div(count, threads), 1, most_blocks));
}

__device__ std::uint64_t global_thread() {
  return std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

__device__ std::uint64_t threads_of_grid() {
  return std::uint64_t{gridDim.x} * blockDim.x;
}

template <class T>
__global__ void scale(const Vector<std::int32_t, 4>* __restrict__ sums,
                      const float* __restrict__ scales, std::uint64_t count, std::uint32_t n,
                      Vector<T, 4>* __restrict__ y) {
  for (std::uint64_t i = global_thread(); i < count; i += threads_of_grid()) {
    const Vector<std::int32_t, 4> four = sums[i];
    const auto column = static_cast<std::uint32_t>(i * 4 % n);
    Vector<T, 4> result;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float factor = scales == nullptr ? 1.0f : scales[column + j];
      result.at[j] = from_float<T>(factor * static_cast<float>(four.at[j]));
    }
    y[i] = result;
  }
}

__global__ void multiply(const float* from, float factor, std::uint64_t count, float* to) {
  for (std::uint64_t i = global_thread(); i < count; i += threads_of_grid()) {
    to[i] = from == nullptr ? factor : factor * from[i];
  }
}

}  // namespace

void scale_sums(const CudaContext& context, const std::int32_t* sums, const float* scales,
                const OutputView& output) {
  const std::uint64_t count = output.m * output.n / 4;
  if (count == 0) return;
  const auto* fours = reinterpret_cast<const Vector<std::int32_t, 4>*>(sums);
  with_types(output.type, output.type, [&]<class, class Y>() {
    scale<<<blocks_of(count), threads, 0, context.stream>>>(
        fours, scales, count, output.n, static_cast<Vector<Y, 4>*>(output.data));
  });
  check_launch();
}

void scale_floats(const CudaContext& context, const float* from, float factor, std::uint64_t count,
                  float* to) {
  if (count == 0) return;
  multiply<<<blocks_of(count), threads, 0, context.stream>>>(from, factor, count, to);
  check_launch();
}

}  // namespace spiketune::cuda
