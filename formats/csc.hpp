#pragma once
/// \file
/// Compressed sparse columns: CSR of the transpose.
///
///   columns 0 1 2 3 4        column_offsets  0 1 2 3 4 5
///   row 0   . 1 . . 1        row_indices     2 0 2 2 0
///   row 1   . . . . .        values          none: binary spikes are a pattern
///   row 2   1 . 1 1 .
///
/// Column c holds entries column_offsets[c] up to column_offsets[c+1], rows strictly ascending. It
/// has no rows to walk, so that it provides for_each_in_column and its own decoders and products.
/// capacity counts nonzeros. Bytes: 4·(K+1) + nnz·(2 where M <= 65536, else 4, plus the value).

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Csc : FormatBase {
  static constexpr std::string_view name = "csc";
  struct Params {
    template <class Self, class Visit>
    static void fields(Self&, Visit&&) {}
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> column_offsets;  ///< [K + 1]
  AnyArray row_indices;                 ///< [capacity], u16 or u32
  AnyArray values;                      ///< [capacity] of layout.value_type; empty for a pattern

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) { return {{}}; }

  /// Throws Error(unsupported) where capacity is 2^32 or more.
  [[nodiscard]] static Csc plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout, const Params&) {
    return layout.shape.elements();
  }

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("column_offsets", self.column_offsets);
    visit("row_indices", self.row_indices);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

/// visit(row, value), rows ascending.
template <class Visit>
SPIKETUNE_HD void for_each_in_column(const Csc& csc, std::uint32_t column, Visit&& visit) {
  const std::uint32_t end = csc.column_offsets[column + 1];
  for (std::uint32_t i = csc.column_offsets[column]; i < end; ++i) {
    visit(load_index(csc.row_indices, i), load_value(csc.values, i));
  }
}

}  // namespace spiketune
