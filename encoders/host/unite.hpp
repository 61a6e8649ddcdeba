#pragma once
/// \file
/// The union of several rows, for the formats that keep rows together.

#include <algorithm>

#include "spiketune/core/bits.hpp"
#include "spiketune/encoders/pack.hpp"

namespace spiketune::host {

/// The words of a row as they are stored: padding bits of the last may hold anything.
[[nodiscard]] inline const std::uint32_t* row_words(const BitRows& bits, std::uint64_t row) {
  return bits.words + bits.map.source(row) * bits.words_per_row();
}

/// united[w] = the w-th words of rows [begin, end), or-ed; padding bits are zero.
inline void unite_rows(const BitRows& bits, std::uint64_t begin, std::uint64_t end,
                       std::uint32_t* united) {
  const std::uint32_t words = bits.words_per_row();
  if (words == 0) return;
  std::fill(united, united + words, 0);
  for (std::uint64_t row = begin; row < end; ++row) {
    const std::uint32_t* from = row_words(bits, row);
    for (std::uint32_t w = 0; w < words; ++w) united[w] |= from[w];
  }
  united[words - 1] &= low_mask(bits.k - 32 * (words - 1));
}

}  // namespace spiketune::host
