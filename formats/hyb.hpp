#pragma once
/// \file
/// Hybrid: ELLPACK for the first `width` spikes of each row, coordinates for the rest (Bell and
/// Garland, SC 2009).
///
///   columns 0 1 2 3 4        width                2
///   row 0   . 1 . . 1        column_indices       1 4   - -   0 2     (- is padding)
///   row 1   . . . . .        tail_row_indices     2
///   row 2   1 . 1 1 .        tail_column_indices  3
///
/// The ELL part is that of formats/ell.hpp: row-major [M, width], columns strictly ascending, then
/// padding. The tail is that of formats/coo.hpp, sorted by row, then column: entries 0 up to
/// status->needed. A row that does not fill its slots has no tail; the columns of a tail follow
/// those in the slots.
/// capacity counts entries of the tail. Bytes: M·width·(2 where K <= 65535, else 4, plus the value)
/// + tail·(4 + (2 where K <= 65536, else 4) + the value).

#include <algorithm>

#include "spiketune/formats/coo.hpp"
#include "spiketune/formats/ell.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Hyb : FormatBase {
  static constexpr std::string_view name = "hyb";
  struct Params {
    int width = 32;  ///< slots per row; K where that is less
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("width", self.width);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  AnyArray column_indices;                ///< [M · width()], u16 or u32
  AnyArray values;                        ///< [M · width()]; empty for a pattern
  Array<std::uint32_t> tail_row_indices;  ///< [capacity]
  AnyArray tail_column_indices;           ///< [capacity], u16 or u32
  AnyArray tail_values;                   ///< [capacity]; empty for a pattern

  [[nodiscard]] SPIKETUNE_HD std::uint32_t width() const {
    const auto wanted = static_cast<std::uint32_t>(params.width);
    return wanted < layout.k() ? wanted : layout.k();
  }

  /// A good width is near the mean row length, which the layout does not tell.
  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout& layout, DType);

  /// Throws Error(invalid_argument) for a negative width, Error(unsupported) where no memory could
  /// hold M·width slots or the capacity (2^56 and more).
  [[nodiscard]] static Hyb plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("column_indices", self.column_indices);
    visit("values", self.values);
    visit("tail_row_indices", self.tail_row_indices);
    visit("tail_column_indices", self.tail_column_indices);
    visit("tail_values", self.tail_values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Hyb& hyb, std::uint64_t row, Visit&& visit) {
  const std::uint32_t width = hyb.width();
  if (detail::for_each_slot(hyb.column_indices, hyb.values, row * width, 1, width, visit) < width) {
    return;
  }
  const std::uint64_t end = hyb.status->needed;
  for (std::uint64_t i = detail::first_of_row(hyb.tail_row_indices, end, row);
       i < end && hyb.tail_row_indices[i] == row; ++i) {
    visit(load_index(hyb.tail_column_indices, i), load_value(hyb.tail_values, i));
  }
}

}  // namespace spiketune
