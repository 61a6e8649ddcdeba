#include <vector>

#include "spiketune/core/parallel.hpp"
#include "spiketune/kernels/quantize_columns.hpp"

namespace spiketune {

QuantisedWeights quantize(const HostContext& context, const WeightView& weights, DType type) {
  detail::check_quantize(weights, type, Space::host);
  QuantisedWeights result = detail::allocate_quantised(context, weights, type);
  auto* scales = static_cast<float*>(result.scales.data());
  auto* bytes = static_cast<std::uint8_t*>(result.values.data());
  std::vector<detail::ColumnError> errors(weights.n);
  parallel_for(context, weights.n, 16, [&](std::uint64_t i) {
    const auto column = static_cast<std::uint32_t>(i);
    errors[column] = detail::quantize_column(weights, column, type, scales + column);
  });
  detail::add_up(result, errors.data());
  parallel_for(context, result.view.bytes(), 4096, [&](std::uint64_t at) {
    bytes[at] = detail::quantised_byte(weights, type, scales, at);
  });
  return result;
}

void dequantize(const HostContext& context, const WeightView& weights, void* to, DType type) {
  detail::check_dequantize(weights, to, type, Space::host);
  parallel_for(context, std::uint64_t{weights.k} * weights.n, 4096, [&](std::uint64_t i) {
    const float weight = detail::load_weight(weights, i);
    if (type == DType::f16) {
      static_cast<Half*>(to)[i] = to_half(weight);
    } else if (type == DType::bf16) {
      static_cast<Bfloat16*>(to)[i] = to_bfloat16(weight);
    } else {
      static_cast<float*>(to)[i] = weight;
    }
  });
}

}  // namespace spiketune
