#include "spiketune/core/shape.hpp"

#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune {

std::string_view to_string(RowOrder order) {
  return order == RowOrder::time_major ? "time-major" : "token-major";
}

RowOrder parse_row_order(std::string_view name) {
  if (name == "time-major") return RowOrder::time_major;
  if (name == "token-major") return RowOrder::token_major;
  throw Error(ErrorCode::parse,
              "unknown row order '" + std::string(name) + "'; known are time-major token-major");
}

}  // namespace spiketune
