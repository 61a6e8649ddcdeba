#pragma once
/// \file
/// Block compressed sparse rows: the non-empty b × b blocks of the matrix, each with all its bits.
///
///   columns 0 1 2 3 4 5      drawn with block_size 2; in fact 8 to 64
///   row 0   . 1 . . . .      block_row_offsets      0 2 3
///   row 1   . . . . 1 .      block_column_indices   0     2     1
///   row 2   . . 1 1 . .      patterns               .1    ..    11
///   row 3   . . . 1 . .                             ..    1.    .1
///
/// Block row i holds blocks block_row_offsets[i] up to block_row_offsets[i+1], block columns
/// strictly ascending, none empty. Row r of a block is b bits, column c is bit c: block i is words
/// i·b²/32 on, and its row r starts at bit r·b of them. So a row is a byte, u16, u32 or two u32 of
/// little-endian memory. Bits of edge blocks that lie outside the matrix are zero.
/// Graded spikes add a dense b × b block of values, row-major, 0 where there is no spike.
///
/// capacity counts blocks. Bytes: 4·(ceil(M/b)+1) + blocks·(2 where there are at most 65536 block
/// columns, else 4, plus b²/8, plus b² values).

#include "spiketune/core/bits.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Bsr : FormatBase {
  static constexpr std::string_view name = "bsr";
  struct Params {
    int block_size = 16;  ///< 8, 16, 32 or 64
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("block_size", self.block_size);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> block_row_offsets;  ///< [ceil(M / b) + 1]
  AnyArray block_column_indices;           ///< [capacity], u16 or u32
  Array<std::uint32_t> patterns;           ///< [capacity · b² / 32]
  AnyArray values;                         ///< [capacity · b²]; empty for a pattern

  [[nodiscard]] SPIKETUNE_HD std::uint32_t block_size() const {
    return static_cast<std::uint32_t>(params.block_size);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t block_rows() const {
    return ceil_div(layout.m(), block_size());
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t block_columns() const {
    return ceil_div(layout.k(), block_size());
  }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t words_per_block() const {
    return block_size() * block_size() / 32;
  }
  /// Columns `first` (a multiple of 32) up to 32 more of row r of a block, as bits.
  [[nodiscard]] SPIKETUNE_HD std::uint32_t row_bits(std::uint64_t block, std::uint32_t r,
                                                    std::uint32_t first) const {
    const std::uint32_t at = r * block_size() + first;
    return patterns[block * words_per_block() + at / 32] >> (at % 32) & low_mask(block_size());
  }

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) {
    return {{16}, {8}, {32}, {64}};
  }

  /// Throws Error(invalid_argument) for another block_size, Error(unsupported) where capacity is
  /// 2^32 or more.
  [[nodiscard]] static Bsr plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("block_row_offsets", self.block_row_offsets);
    visit("block_column_indices", self.block_column_indices);
    visit("patterns", self.patterns);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

namespace detail {
/// Calls run.operator()<block_size>().
template <class Run>
SPIKETUNE_HD void with_block_size(const Bsr& bsr, Run&& run) {
  switch (bsr.block_size()) {
    case 8:
      return run.template operator()<8>();
    case 16:
      return run.template operator()<16>();
    case 32:
      return run.template operator()<32>();
    default:
      return run.template operator()<64>();
  }
}
}  // namespace detail

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Bsr& bsr, std::uint64_t row, Visit&& visit) {
  const std::uint32_t b = bsr.block_size();
  const std::uint64_t block_row = row / b;
  const auto r = static_cast<std::uint32_t>(row % b);
  const std::uint32_t end = bsr.block_row_offsets[block_row + 1];
  for (std::uint32_t i = bsr.block_row_offsets[block_row]; i < end; ++i) {
    const std::uint32_t column = load_index(bsr.block_column_indices, i) * b;
    for (std::uint32_t first = 0; first < b; first += 32) {
      for (std::uint32_t bits = bsr.row_bits(i, r, first); bits != 0; bits &= bits - 1) {
        const std::uint32_t c = first + lowest_bit(bits);
        visit(column + c, load_value(bsr.values, (std::uint64_t{i} * b + r) * b + c));
      }
    }
  }
}

}  // namespace spiketune
