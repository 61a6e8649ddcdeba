#pragma once
/// \file
/// Shapes of spike tensors and matrices, and the order of their rows.

#include <cstdint>
#include <string_view>

#include "spiketune/core/portable.hpp"

namespace spiketune {

/// How the T × rows vectors of a spike tensor become the M rows of a matrix.
enum class RowOrder : std::uint8_t {
  time_major,  ///< row = t · rows + r: one time step after another
  token_major  ///< row = r · T + t: all time steps of one position together
};

[[nodiscard]] std::string_view to_string(RowOrder order);
/// Accepts "time-major" and "token-major"; throws Error(parse) otherwise.
[[nodiscard]] RowOrder parse_row_order(std::string_view name);

/// [T, rows, K]; M = T · rows. `rows` is batch × positions. M and K are below 2^32.
struct SpikeShape {
  std::uint32_t timesteps = 1;
  std::uint64_t rows = 0;
  std::uint32_t k = 0;

  [[nodiscard]] SPIKETUNE_HD std::uint64_t m() const { return timesteps * rows; }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t elements() const { return m() * k; }
  bool operator==(const SpikeShape&) const = default;
};

/// Maps rows of a matrix in order `to` onto rows of the same tensor in order `from`.
struct RowMap {
  std::uint32_t timesteps = 1;
  std::uint64_t rows = 0;
  RowOrder from = RowOrder::time_major;
  RowOrder to = RowOrder::time_major;

  [[nodiscard]] SPIKETUNE_HD std::uint64_t source(std::uint64_t row) const {
    if (from == to) return row;
    return to == RowOrder::token_major ? row % timesteps * rows + row / timesteps
                                       : row % rows * timesteps + row / rows;
  }
  /// From rows in order `from` to rows in order `to`.
  [[nodiscard]] SPIKETUNE_HD RowMap inverse() const { return {timesteps, rows, to, from}; }
};

SPIKETUNE_HD constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) {
  return (a + b - 1) / b;
}

}  // namespace spiketune
