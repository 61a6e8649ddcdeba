#pragma once
/// \file
/// Coordinates.
///
///   columns 0 1 2 3 4        row_indices     0 0 2 2 2
///   row 0   . 1 . . 1        column_indices  1 4 0 2 3
///   row 1   . . . . .        values          none: binary spikes are a pattern
///   row 2   1 . 1 1 .
///
/// Entries 0 up to status->nnz are sorted by row, then by column, without duplicates; what lies
/// beyond them is unspecified. A row is found by binary search.
/// capacity counts nonzeros. Bytes: nnz·(4 + (2 where K <= 65536, else 4) + the value).

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Coo : FormatBase {
  static constexpr std::string_view name = "coo";
  struct Params {
    template <class Self, class Visit>
    static void fields(Self&, Visit&&) {}
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> row_indices;  ///< [capacity]
  AnyArray column_indices;           ///< [capacity], u16 or u32
  AnyArray values;                   ///< [capacity] of layout.value_type; empty for a pattern

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) { return {{}}; }

  /// Throws Error(unsupported) where no memory could hold the capacity (2^56 and more).
  [[nodiscard]] static Coo plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout, const Params&) {
    return layout.shape.elements();
  }

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("row_indices", self.row_indices);
    visit("column_indices", self.column_indices);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

namespace detail {

/// Throws Error(unsupported) where the bytes of so many entries could overflow 64 bits.
void check_addressable(std::string_view name, std::uint64_t entries);

/// The first of `count` ascending row indices that is `row` or above; `count` where none is.
SPIKETUNE_HD inline std::uint64_t first_of_row(const Array<std::uint32_t>& row_indices,
                                               std::uint64_t count, std::uint64_t row) {
  std::uint64_t first = 0;
  while (count > 0) {
    const std::uint64_t half = count / 2;
    if (row_indices[first + half] < row) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return first;
}

/// Throws Error(invalid_value) unless the first `stored` coordinates are inside the matrix and
/// ascend strictly by row, then column.
void validate_coordinates(std::string_view name, const EncodedLayout& layout,
                          const Array<std::uint32_t>& row_indices, const AnyArray& column_indices,
                          std::uint64_t stored);

}  // namespace detail

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Coo& coo, std::uint64_t row, Visit&& visit) {
  const std::uint64_t end = coo.status->nnz;
  for (std::uint64_t i = detail::first_of_row(coo.row_indices, end, row);
       i < end && coo.row_indices[i] == row; ++i) {
    visit(load_index(coo.column_indices, i), load_value(coo.values, i));
  }
}

}  // namespace spiketune
