#pragma once
/// \file
/// V:N:M sparsity with N = 2: in every block of v rows × m columns four columns are selected, and
/// each row keeps two spikes in those; a CSR residual holds the rest (R. Castro et al., VENOM, SC
/// 2023).
///
///   columns 01234567         v = 2 and m = 8 (in fact v is 16 or more): one block
///   row 0   .1..11.1         spikes of columns 0..7    0 2 1 0 1 1 0 2
///   row 1   .11....1         selected                  1 2 4 7
///
///                            groups (rows at columns 1 2 4 7)    residual
///                            row 0   1.11  ->  1.1.              row_offsets     0 2 3
///                            row 1   11.1  ->  11..              column_indices  5 7 7
///
/// The four columns with most spikes are selected, the lower one where two have as many; they may
/// lie beyond K, where there are no spikes. Word (row/v)·ceil(K/m) + k/m of `selected` has them in
/// ascending order, a byte each, the lowest in the lowest byte, as columns 0 to m-1 of the block.
/// Group g of a row is the selected columns of its block g. The two lowest spikes of a group are in
/// its slots, all others of the block in the residual; formats/slots.hpp says how slots are stored.
/// With `prune` there is no residual: what it would hold is dropped, and counted in status->lost.
///
/// capacity counts nonzeros of the residual. Bytes: 4·ceil(M/v)·g + M·(4·ceil(g/8) + 4·ceil(g/16)),
/// g = ceil(K/m), 16 values for every 8 groups, and, unless pruned, 4·(M+1) + residual·(2 where
/// K <= 65536, else 4, plus the value).

#include "spiketune/formats/slots.hpp"

namespace spiketune {

struct Vnm : SlotFormat {
  static constexpr std::string_view name = "vnm";
  static constexpr std::uint32_t most_rows = 128;  ///< of a block
  struct Params {
    int v = 16;          ///< rows of a block: 16, 32, 64 or 128
    int m = 8;           ///< columns of a block: 8, 16 or 32
    bool prune = false;  ///< lossy: no residual
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("v", self.v);
      visit("m", self.m);
      visit("prune", self.prune);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> selected;  ///< [ceil(M / v) · ceil(K / m)], four bytes each

  [[nodiscard]] SPIKETUNE_HD std::uint32_t block_height() const {
    return static_cast<std::uint32_t>(params.v);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t block_width() const {
    return static_cast<std::uint32_t>(params.m);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t block_rows() const {
    return ceil_div(layout.m(), block_height());
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t block_columns() const {
    return ceil_div(layout.k(), block_width());
  }
  [[nodiscard]] SPIKETUNE_HD bool prune() const { return params.prune; }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t column(std::uint64_t row, std::uint64_t group,
                                                  std::uint32_t position) const {
    const std::uint32_t chosen = selected[row / block_height() * block_columns() + group];
    return static_cast<std::uint32_t>(group) * block_width() + (chosen >> (8 * position) & 0xffu);
  }

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) {
    return {{16, 8, false}, {64, 8, false}, {16, 16, false}};
  }

  /// `capacity` is ignored where pruned. Throws Error(invalid_argument) for other parameters,
  /// Error(unsupported) where capacity is 2^32 or more.
  [[nodiscard]] static Vnm plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("selected", self.selected);
    slot_arrays(self, visit);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const {
    return selected.bytes() + slot_bytes(stored);
  }
  void validate(const EncodeStatus& counts) const;
};

namespace detail {

/// Columns of a block as bits (four of them set) to four bytes, ascending.
SPIKETUNE_HD inline std::uint32_t pack_selected(std::uint32_t columns) {
  std::uint32_t result = 0;
  for (std::uint32_t i = 0; i < 4; ++i, columns &= columns - 1) {
    result |= lowest_bit(columns) << (8 * i);
  }
  return result;
}

/// The bits of a block's row that are in selected columns, moved together.
SPIKETUNE_HD constexpr std::uint32_t gather_selected(std::uint32_t row, std::uint32_t selected) {
  return (row >> (selected & 31u) & 1u) | (row >> (selected >> 8 & 31u) & 1u) << 1 |
         (row >> (selected >> 16 & 31u) & 1u) << 2 | (row >> (selected >> 24 & 31u) & 1u) << 3;
}

/// The other way round.
SPIKETUNE_HD constexpr std::uint32_t scatter_selected(std::uint32_t group, std::uint32_t selected) {
  return (group & 1u) << (selected & 31u) | (group >> 1 & 1u) << (selected >> 8 & 31u) |
         (group >> 2 & 1u) << (selected >> 16 & 31u) | (group >> 3 & 1u) << (selected >> 24 & 31u);
}

}  // namespace detail

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Vnm& vnm, std::uint64_t row, Visit&& visit) {
  detail::for_each_in_slots(vnm, row, visit);
}

}  // namespace spiketune
