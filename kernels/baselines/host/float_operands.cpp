#include "spiketune/kernels/baselines/host/float_operands.hpp"

#include <cstdint>

#include "spiketune/core/half.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/kernels/quantize.hpp"

namespace spiketune::baselines {
namespace {

constexpr std::uint64_t elements_per_task = 1 << 14;

template <class From, class To>
void convert(const HostContext& context, const From* from, To* to, std::uint64_t count) {
  parallel_for(context, count, elements_per_task,
               [=](std::uint64_t i) { to[i] = from_float<To>(to_float(from[i])); });
}

}  // namespace

FloatOperands::FloatOperands(const HostContext& context, const WeightView& weights,
                             const OutputView& output)
    : context_(context), weights_(weights), output_(output) {
  const std::uint64_t count = std::uint64_t{weights.k} * weights.n;
  if (weights.type != DType::f32) {
    converted_weights_ = allocate(context, count * sizeof(float));
    auto* to = static_cast<float*>(converted_weights_.data());
    if (is_quantised(weights.type)) {
      dequantize(context, weights, to, DType::f32);
    } else if (weights.type == DType::f16) {
      convert(context, static_cast<const Half*>(weights.data), to, count);
    } else {
      convert(context, static_cast<const Bfloat16*>(weights.data), to, count);
    }
  }
  if (output.type != DType::f32) {
    unrounded_output_ = allocate(context, output.m * output.n * sizeof(float));
  }
}

const float* FloatOperands::weights() const {
  return static_cast<const float*>(weights_.type == DType::f32 ? weights_.data
                                                               : converted_weights_.data());
}

float* FloatOperands::output() const {
  return static_cast<float*>(output_.type == DType::f32 ? output_.data : unrounded_output_.data());
}

void FloatOperands::store() const {
  const std::uint64_t count = output_.m * output_.n;
  if (output_.type == DType::f16) {
    convert(context_, output(), static_cast<Half*>(output_.data), count);
  } else if (output_.type == DType::bf16) {
    convert(context_, output(), static_cast<Bfloat16*>(output_.data), count);
  }
}

}  // namespace spiketune::baselines
