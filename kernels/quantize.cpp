#include <algorithm>
#include <cmath>
#include <string>

#include "spiketune/core/error.hpp"
#include "spiketune/kernels/quantize_columns.hpp"

namespace spiketune::detail {
namespace {

void check_memory(const WeightView& weights, Space space) {
  require(weights.space == space, ErrorCode::invalid_argument,
          "W must be in the memory of the context");
  require(weights.data != nullptr || weights.bytes() == 0, ErrorCode::invalid_argument,
          "W is null");
}

}  // namespace

void check_quantize(const WeightView& weights, DType type, Space space) {
  require(is_floating(weights.type), ErrorCode::invalid_argument,
          "quantize: W must be f32, f16 or bf16");
  require(is_quantised(type), ErrorCode::invalid_argument,
          "quantize: the type must be s8, s4 or e4m3");
  check_memory(weights, space);
}

void check_dequantize(const WeightView& weights, const void* to, DType type, Space space) {
  require(is_quantised(weights.type), ErrorCode::invalid_argument,
          "dequantize: W must be s8, s4 or e4m3");
  require(is_floating(type), ErrorCode::invalid_argument,
          "dequantize: the type must be f32, f16 or bf16");
  check_memory(weights, space);
  require(to != nullptr || weights.bytes() == 0, ErrorCode::invalid_argument,
          "dequantize: the target is null");
}

void add_up(QuantisedWeights& result, const ColumnError* columns) {
  double squares = 0;
  double error_squares = 0;
  for (std::uint32_t column = 0; column < result.view.n; ++column) {
    const ColumnError& error = columns[column];
    if (!std::isfinite(error.squares)) {
      throw Error(ErrorCode::invalid_value, "quantize: column " + std::to_string(column) +
                                                " of W has an element that is not finite");
    }
    squares += error.squares;
    error_squares += error.error_squares;
    result.largest_error = std::max(result.largest_error, error.largest);
  }
  if (squares > 0) result.relative_error = std::sqrt(error_squares / squares);
}

}  // namespace spiketune::detail
