#pragma once
/// \file
/// Column vectors: the non-empty v × 1 pieces of the matrix, v rows of one column, as masks
/// (Z. Chen et al., Efficient Tensor Core-based GPU Kernels for Structured Sparsity, SC 2021).
///
///   columns 0 1 2 3 4        vector 4
///   row 0   . 1 . . 1        vector_offsets  0 4 5
///   row 1   . . . . .        column_indices  0    1    2    4    1
///   row 2   1 1 . . .        masks           4    5    8    1    1      (bit r: row r of the
///   group) row 3   . . 1 . . row 4   . 1 . . .        the last group is padded with empty rows
///
/// Rows are in groups of v. Group g holds vectors vector_offsets[g] up to vector_offsets[g+1],
/// columns strictly ascending, no mask zero. Graded spikes add v values a vector, in row order, 0
/// where there is no spike.
///
/// capacity counts vectors. Bytes: 4·(ceil(M/v)+1) + vectors·(2 where K <= 65536, else 4, plus 1,
/// or 2 for v = 16, plus v values).

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Cvs : FormatBase {
  static constexpr std::string_view name = "cvs";
  static constexpr std::uint32_t longest_vector = 16;
  struct Params {
    int vector = 8;  ///< rows: 4, 8 or 16
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("vector", self.vector);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> vector_offsets;  ///< [ceil(M / v) + 1]
  AnyArray column_indices;              ///< [capacity], u16 or u32
  AnyArray masks;                       ///< [capacity], u8, or u16 for v = 16
  AnyArray values;                      ///< [capacity · v]; empty for a pattern

  [[nodiscard]] SPIKETUNE_HD std::uint32_t vector() const {
    return static_cast<std::uint32_t>(params.vector);
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t groups() const { return ceil_div(layout.m(), vector()); }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t mask(std::uint64_t i) const {
    return masks.type == DType::u8 ? masks.as<const std::uint8_t>()[i]
                                   : masks.as<const std::uint16_t>()[i];
  }
  SPIKETUNE_HD void store_mask(std::uint64_t i, std::uint32_t mask) const {
    if (masks.type == DType::u8) {
      masks.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(mask);
    } else {
      masks.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(mask);
    }
  }

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) {
    return {{8}, {4}, {16}};
  }

  /// Throws Error(invalid_argument) for another vector, Error(unsupported) where capacity is 2^32
  /// or more.
  [[nodiscard]] static Cvs plan(const EncodedLayout& layout, const Params& params,
                                std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("vector_offsets", self.vector_offsets);
    visit("column_indices", self.column_indices);
    visit("masks", self.masks);
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const;
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Cvs& cvs, std::uint64_t row, Visit&& visit) {
  const std::uint32_t v = cvs.vector();
  const std::uint64_t group = row / v;
  const auto r = static_cast<std::uint32_t>(row % v);
  const std::uint32_t end = cvs.vector_offsets[group + 1];
  for (std::uint32_t i = cvs.vector_offsets[group]; i < end; ++i) {
    if ((cvs.mask(i) >> r & 1u) == 0) continue;
    visit(load_index(cvs.column_indices, i), load_value(cvs.values, std::uint64_t{i} * v + r));
  }
}

}  // namespace spiketune
