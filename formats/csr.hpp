#pragma once
/// \file
/// Compressed sparse rows.
///
///   columns 0 1 2 3 4        row_offsets     0 2 2 5
///   row 0   . 1 . . 1        column_indices  1 4 0 2 3
///   row 1   . . . . .        values          none: binary spikes are a pattern
///   row 2   1 . 1 1 .
///
/// Row r holds entries row_offsets[r] up to row_offsets[r+1], columns strictly ascending.
/// capacity counts nonzeros. Bytes: 4·(M+1) + nnz·(2 where K <= 65536, else 4, plus the value).

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Csr : FormatBase {
  static constexpr std::string_view name = "csr";
  struct Params {
    template <class Self, class Visit>
    static void fields(Self&, Visit&&) {}
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> row_offsets;  ///< [M + 1]
  AnyArray column_indices;           ///< [capacity], u16 or u32
  AnyArray values;                   ///< [capacity] of layout.value_type; empty for a pattern

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) { return {{}}; }

  /// Throws Error(unsupported) where capacity is 2^32 or more.
  [[nodiscard]] static Csr plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout, const Params&) {
    return layout.shape.elements();
  }

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("row_offsets", self.row_offsets);
    visit("column_indices", self.column_indices);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Csr& csr, std::uint64_t row, Visit&& visit) {
  const std::uint32_t end = csr.row_offsets[row + 1];
  for (std::uint32_t i = csr.row_offsets[row]; i < end; ++i) {
    visit(load_index(csr.column_indices, i), load_value(csr.values, i));
  }
}

}  // namespace spiketune
