#pragma once
/// \file
/// The arithmetic of quantize(), the same on host and device.

#include <cmath>
#include <cstdint>
#include <limits>

#include "spiketune/core/half.hpp"
#include "spiketune/kernels/quantize.hpp"

namespace spiketune::detail {

/// Throws Error(invalid_argument) unless quantize() can turn `weights` into `type`.
void check_quantize(const WeightView& weights, DType type, Space space);
/// Throws Error(invalid_argument) unless dequantize() can turn `weights` into `type`.
void check_dequantize(const WeightView& weights, const void* to, DType type, Space space);

/// Memory for the values and the scales, and the view of both.
template <class ContextT>
[[nodiscard]] QuantisedWeights allocate_quantised(const ContextT& context,
                                                  const WeightView& weights, DType type) {
  QuantisedWeights result;
  result.view = {nullptr, type, weights.k, weights.n, ContextT::space};
  result.values = allocate(context, result.view.bytes());
  result.scales = allocate(context, weights.n * sizeof(float));
  result.view.data = result.values.data();
  result.view.scales = static_cast<const float*>(result.scales.data());
  return result;
}

/// What a column of W lost.
struct ColumnError {
  double squares = 0;        ///< sum of w²; not finite where a w is not
  double error_squares = 0;  ///< sum of (w − scale · value)²
  double largest = 0;        ///< |w − scale · value|
};

/// Adds the N columns up in `result`. Throws Error(invalid_value) where one is not finite.
void add_up(QuantisedWeights& result, const ColumnError* columns);

/// Element `i` = row·N + column of W of any type, times its scale.
SPIKETUNE_HD inline float load_weight(const WeightView& weights, std::uint64_t i) {
  switch (weights.type) {
    case DType::f16:
      return to_float(static_cast<const Half*>(weights.data)[i]);
    case DType::bf16:
      return to_float(static_cast<const Bfloat16*>(weights.data)[i]);
    case DType::f32:
      return static_cast<const float*>(weights.data)[i];
    default: {
      const float scale = weights.scales == nullptr ? 1.0f : weights.scales[i % weights.n];
      return scale * load_quantised(weights.data, weights.type, i);
    }
  }
}

SPIKETUNE_HD constexpr float top_of(DType type) {
  return type == DType::s8 ? 127.0f : type == DType::s4 ? 7.0f : 448.0f;
}

/// The nearest value that the type has, halves to even.
SPIKETUNE_HD inline float round_weight(float weight, float scale, DType type) {
  if (type == DType::e4m3) return to_float(to_e4m3(weight / scale));
  const float top = top_of(type);
  const float nearest = std::rint(weight / scale);
  return nearest < -top ? -top : nearest > top ? top : nearest;
}

/// Finds the scale of a column.
SPIKETUNE_HD inline ColumnError quantize_column(const WeightView& weights, std::uint32_t column,
                                                DType type, float* scale) {
  const auto each = [&](auto&& visit) {
    for (std::uint32_t row = 0; row < weights.k; ++row) {
      visit(load_weight(weights, std::uint64_t{row} * weights.n + column));
    }
  };
  ColumnError error;
  float largest = 0;
  each([&](float w) {
    const float magnitude = w < 0 ? -w : w;
    if (magnitude > largest) largest = magnitude;
    error.squares += static_cast<double>(w) * w;
  });
  if (!(error.squares <= std::numeric_limits<double>::max())) {
    *scale = 1;
    return error;
  }
  // The quotient of the smallest numbers may be zero.
  const float quotient = largest / top_of(type);
  *scale = quotient > 0 ? quotient : 1.0f;
  each([&](float w) {
    const double lost =
        static_cast<double>(w) -
        static_cast<double>(*scale) * static_cast<double>(round_weight(w, *scale, type));
    const double magnitude = lost < 0 ? -lost : lost;
    if (magnitude > error.largest) error.largest = magnitude;
    error.error_squares += lost * lost;
  });
  return error;
}

/// Byte `at` of the values: one s8, two s4 or one e4m3.
SPIKETUNE_HD inline std::uint8_t quantised_byte(const WeightView& weights, DType type,
                                                const float* scales, std::uint64_t at) {
  if (type == DType::e4m3) {
    return to_e4m3(load_weight(weights, at) / scales[at % weights.n]).bits;
  }
  const auto integer = [&](std::uint64_t i) -> int {
    if (i >= std::uint64_t{weights.k} * weights.n) return 0;
    return static_cast<int>(round_weight(load_weight(weights, i), scales[i % weights.n], type));
  };
  if (type == DType::s8) return static_cast<std::uint8_t>(integer(at));
  return static_cast<std::uint8_t>((integer(2 * at) & 15) | (integer(2 * at + 1) & 15) << 4);
}

}  // namespace spiketune::detail
