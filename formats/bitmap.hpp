#pragma once
/// \file
/// One bit per element, in words of 32 with the least significant bit first.
///
/// Rows (default): word row·words_per_row + k/32, bit k%32; words_per_row = ceil(K/32).
/// Tiles: the matrix in tiles of 64 rows × 64 columns, each 64 rows × 2 words contiguous:
///               word ((row/64)·ceil(K/64) + k/64)·128 + (row%64)·2 + k%64/32, bit k%32.
///               occupied[tile] is 1 where the tile has a spike, so that empty tiles are skipped.
/// Padding bits, and padding rows of tiles, are zero. Graded spikes add one value per *element*
/// position of the bitmap (2-bit spikes as u8): value(row, k) = values[row·K + k], 0 where no
/// spike.
///
/// There is nothing to overflow: capacity counts words and is what plan() makes it.

#include "spiketune/core/bits.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Bitmap : FormatBase {
  static constexpr std::string_view name = "bitmap";
  static constexpr std::uint32_t tile_size = 64;
  struct Params {
    bool tiles = false;
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("tiles", self.tiles);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> words;
  Array<std::uint8_t> occupied;  ///< [tiles]; empty unless tiles
  AnyArray values;               ///< [M·K] of layout.value_type; empty for a pattern

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) {
    return {{false}, {true}};
  }

  /// `capacity` is ignored: the size follows from the shape.
  [[nodiscard]] static Bitmap plan(const EncodedLayout& layout, const Params& params,
                                   std::uint64_t capacity = 0);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double) {
    return max_capacity(layout, params);
  }
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("words", self.words);
    visit("occupied", self.occupied);
    visit("values", self.values);
  }

  [[nodiscard]] SPIKETUNE_HD std::uint64_t words_per_row() const {
    return ceil_div(layout.k(), 32);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t tile_columns() const {
    return ceil_div(layout.k(), tile_size);
  }
  /// Where the word of columns 32·w .. 32·w+31 of `row` is.
  [[nodiscard]] SPIKETUNE_HD std::uint64_t word_index(std::uint64_t row, std::uint64_t w) const {
    return params.tiles ? (row / tile_size * tile_columns() + w / 2) * (2 * tile_size) +
                              row % tile_size * 2 + w % 2
                        : row * words_per_row() + w;
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Bitmap& bitmap, std::uint64_t row, Visit&& visit) {
  const std::uint32_t k = bitmap.layout.k();
  for (std::uint32_t w = 0; w * 32 < k; ++w) {
    for (std::uint32_t word = bitmap.words[bitmap.word_index(row, w)]; word != 0;
         word &= word - 1) {
      const std::uint32_t column = w * 32 + lowest_bit(word);
      visit(column, load_value(bitmap.values, row * k + column));
    }
  }
}

}  // namespace spiketune
