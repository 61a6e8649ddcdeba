#pragma once
/// \file
/// ELLPACK: every row has the same number of slots.
///
///   columns 0 1 2 3 4        width           3
///   row 0   . 1 . . 1        column_indices  1 4 -   - - -   0 2 3     (- is padding)
///   row 1   . . . . .        values          none: binary spikes are a pattern
///   row 2   1 . 1 1 .
///
/// Row r holds slots r·width up to r·width + width, row-major: its columns strictly ascending, then
/// padding. Padding is padding_index(type), all ones, with value 0. 16-bit indices where K <=
/// 65535. capacity counts slots per row, the width; needed is the longest row. Bytes: M·width·(2 or
/// 4, plus the value).

#include <algorithm>

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Ell : FormatBase {
  static constexpr std::string_view name = "ell";
  struct Params {
    template <class Self, class Visit>
    static void fields(Self&, Visit&&) {}
    bool operator==(const Params&) const = default;
  };

  Params params;
  AnyArray column_indices;  ///< [M · width], u16 or u32
  AnyArray values;          ///< [M · width] of layout.value_type; empty for a pattern

  [[nodiscard]] SPIKETUNE_HD std::uint32_t width() const {
    return static_cast<std::uint32_t>(capacity);
  }

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) { return {{}}; }

  /// A capacity above K is taken as K: no row is longer.
  /// Throws Error(unsupported) where no memory could hold M·width slots (2^56 and more).
  [[nodiscard]] static Ell plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout, const Params&) {
    return layout.k();
  }

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("column_indices", self.column_indices);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

namespace detail {

/// Makes slot i padding.
SPIKETUNE_HD inline void store_padding(const AnyArray& column_indices, const AnyArray& values,
                                       std::uint64_t i) {
  store_index(column_indices, i, padding_index(column_indices.type));
  switch (bits_of(values.type)) {
    case 8:
      values.as<std::uint8_t>()[i] = 0;
      break;
    case 16:
      values.as<std::uint16_t>()[i] = 0;
      break;
    case 32:
      values.as<std::uint32_t>()[i] = 0;
      break;
    default:
      break;  // a pattern
  }
}

/// visit(column, value) for the slots first, first + stride, ... of a row, `width` of them or up to
/// the padding. Returns how many it visited.
template <class Visit>
SPIKETUNE_HD std::uint32_t for_each_slot(const AnyArray& column_indices, const AnyArray& values,
                                         std::uint64_t first, std::uint64_t stride,
                                         std::uint32_t width, Visit&& visit) {
  const std::uint32_t padding = padding_index(column_indices.type);
  std::uint32_t i = 0;
  for (; i < width; ++i) {
    const std::uint32_t column = load_index(column_indices, first + i * stride);
    if (column == padding) break;
    visit(column, load_value(values, first + i * stride));
  }
  return i;
}

/// Spikes of the slots of one row. Throws Error(invalid_value) unless columns ascend strictly below
/// K, values are not zero, and all that follows the first padding is padding of value 0.
std::uint32_t validate_slots(std::string_view name, const AnyArray& column_indices,
                             const AnyArray& values, std::uint64_t first, std::uint64_t stride,
                             std::uint32_t width, std::uint32_t k);

/// Length that a row exceeds by chance with `deviations` standard deviations, and 8; at most K.
[[nodiscard]] std::uint64_t likely_row_length(std::uint32_t k, double density, double deviations);

}  // namespace detail

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Ell& ell, std::uint64_t row, Visit&& visit) {
  const std::uint32_t width = ell.width();
  detail::for_each_slot(ell.column_indices, ell.values, row * width, 1, width, visit);
}

}  // namespace spiketune
