#pragma once
/// \file
/// SELL-C-σ: ELLPACK in slices of C rows, each as wide as its longest row, after sorting rows by
/// length within windows of σ rows (Kreutzer et al., SIAM J. Sci. Comput. 36(5), 2014).
///
///   columns 0 1 2 3 4        slice_height C = 2, sigma = 4
///   row 0   . 1 . . 1        ranks           1 3 0 2
///   row 1   . . . . .        slice_offsets   0 6 8
///   row 2   1 . 1 1 .        column_indices  0 1  2 4  3 -   2 -     (- is padding)
///   row 3   . . 1 . .        values          none: binary spikes are a pattern
///
/// Rows are sorted by falling length, equal ones in their order, within windows of sigma rows:
/// ranks[r] is the place of row r in its window, so that r is at position r/sigma·sigma + ranks[r].
/// sigma = 1 sorts nothing and stores no ranks. Position p is lane p%C of slice p/C.
/// Slice s holds slots slice_offsets[s] up to slice_offsets[s+1], C for each of its width: element
/// i of lane l is slot slice_offsets[s] + i·C + l. Columns of a row ascend strictly, then comes
/// padding (padding_index(type), value 0), also in the lanes behind row M-1. 16-bit where K <=
/// 65535.
///
/// Windows are whole slices: sigma is 1 or a multiple of C. From row to position is the only way
/// that is stored, since one way gives the other within a window.
/// capacity counts slots. Bytes: 2·M (sigma > 1) + 4·(slices+1) + slots·(2 or 4, plus the value).

#include "spiketune/formats/ell.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Sell : FormatBase {
  static constexpr std::string_view name = "sell";
  static constexpr std::uint32_t largest_window = 1024;
  struct Params {
    int slice_height = 32;  ///< C, 1 to 1024
    int sigma = 256;        ///< 1, or a multiple of C up to 1024
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("slice_height", self.slice_height);
      visit("sigma", self.sigma);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint16_t> ranks;          ///< [M]; empty where sigma is 1
  Array<std::uint32_t> slice_offsets;  ///< [slices + 1], in slots
  AnyArray column_indices;             ///< [capacity], u16 or u32
  AnyArray values;                     ///< [capacity] of layout.value_type; empty for a pattern

  [[nodiscard]] SPIKETUNE_HD std::uint32_t slice_height() const {
    return static_cast<std::uint32_t>(params.slice_height);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t slices() const { return slice_offsets.size - 1; }
  /// Rows that are placed together: those of a window, or of a slice where nothing is sorted.
  [[nodiscard]] SPIKETUNE_HD std::uint32_t window() const {
    return static_cast<std::uint32_t>(params.sigma == 1 ? params.slice_height : params.sigma);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t position(std::uint64_t row) const {
    return params.sigma == 1 ? row : row / window() * window() + ranks[row];
  }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t slice_width(std::uint64_t slice) const {
    return (slice_offsets[slice + 1] - slice_offsets[slice]) / slice_height();
  }

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) {
    return {{32, 256}, {32, 1}, {8, 128}};
  }

  /// Throws Error(invalid_argument) for other parameters, Error(unsupported) where capacity is 2^32
  /// or more.
  [[nodiscard]] static Sell plan(const EncodedLayout& layout, const Params& params,
                                 std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("ranks", self.ranks);
    visit("slice_offsets", self.slice_offsets);
    visit("column_indices", self.column_indices);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Sell& sell, std::uint64_t row, Visit&& visit) {
  const std::uint32_t height = sell.slice_height();
  const std::uint64_t position = sell.position(row);
  const std::uint64_t slice = position / height;
  detail::for_each_slot(sell.column_indices, sell.values,
                        sell.slice_offsets[slice] + position % height, height,
                        sell.slice_width(slice), visit);
}

}  // namespace spiketune
