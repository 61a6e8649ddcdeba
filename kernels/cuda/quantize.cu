// A thread takes a column of W, which neighbours read along rows; then one takes a byte of the
// values. Weights are quantised once, so that speed is not its purpose.

#include <algorithm>
#include <vector>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/quantize_columns.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr unsigned threads = 128;

__global__ void quantize_columns(const WeightView weights, const DType type, float* scales,
                                 detail::ColumnError* errors) {
  for (std::uint32_t column = blockIdx.x * threads + threadIdx.x; column < weights.n;
       column += gridDim.x * threads) {
    errors[column] = detail::quantize_column(weights, column, type, scales + column);
  }
}

__global__ void quantize_bytes(const WeightView weights, const DType type, const float* scales,
                               std::uint8_t* bytes, std::uint64_t count) {
  for (std::uint64_t at = std::uint64_t{blockIdx.x} * threads + threadIdx.x; at < count;
       at += std::uint64_t{gridDim.x} * threads) {
    bytes[at] = detail::quantised_byte(weights, type, scales, at);
  }
}

template <class To>
__global__ void dequantize_weights(const WeightView weights, To* to, std::uint64_t count) {
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * threads + threadIdx.x; i < count;
       i += std::uint64_t{gridDim.x} * threads) {
    to[i] = from_float<To>(detail::load_weight(weights, i));
  }
}

unsigned blocks_for(std::uint64_t count) {
  return static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(count, threads), 1u << 16));
}

}  // namespace
}  // namespace cuda

QuantisedWeights quantize(const CudaContext& context, const WeightView& weights, DType type) {
  detail::check_quantize(weights, type, Space::device);
  QuantisedWeights result = detail::allocate_quantised(context, weights, type);
  if (result.view.bytes() == 0) return result;
  auto* scales = static_cast<float*>(result.scales.data());
  const Buffer errors = allocate(context, weights.n * sizeof(detail::ColumnError));
  cuda::quantize_columns<<<cuda::blocks_for(weights.n), cuda::threads, 0, context.stream>>>(
      weights, type, scales, static_cast<detail::ColumnError*>(errors.data()));
  cuda::check_launch();
  const std::uint64_t bytes = result.view.bytes();
  cuda::quantize_bytes<<<cuda::blocks_for(bytes), cuda::threads, 0, context.stream>>>(
      weights, type, scales, static_cast<std::uint8_t*>(result.values.data()), bytes);
  cuda::check_launch();
  std::vector<detail::ColumnError> columns(weights.n);
  copy(context, columns.data(), errors.data(), errors.bytes());
  synchronize(context);
  detail::add_up(result, columns.data());
  return result;
}

void dequantize(const CudaContext& context, const WeightView& weights, void* to, DType type) {
  detail::check_dequantize(weights, to, type, Space::device);
  const std::uint64_t count = std::uint64_t{weights.k} * weights.n;
  if (count == 0) return;
  const unsigned blocks = cuda::blocks_for(count);
  if (type == DType::f16) {
    cuda::dequantize_weights<<<blocks, cuda::threads, 0, context.stream>>>(
        weights, static_cast<Half*>(to), count);
  } else if (type == DType::bf16) {
    cuda::dequantize_weights<<<blocks, cuda::threads, 0, context.stream>>>(
        weights, static_cast<Bfloat16*>(to), count);
  } else {
    cuda::dequantize_weights<<<blocks, cuda::threads, 0, context.stream>>>(
        weights, static_cast<float*>(to), count);
  }
  cuda::check_launch();
}

}  // namespace spiketune
