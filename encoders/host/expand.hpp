#pragma once
/// \file
/// Steps that host encoders share: from packed rows to offsets and indices.

#include "spiketune/core/bits.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/pack.hpp"

namespace spiketune::host {

/// visit(w, word) for each word of a row, padding cleared.
template <class Visit>
void for_each_word(const BitRows& bits, std::uint64_t row, Visit&& visit) {
  const std::uint32_t whole = bits.k / 32;
  const std::uint32_t* words = bits.row(row);
  for (std::uint32_t w = 0; w < whole; ++w) visit(w, words[w]);
  if (bits.k % 32 != 0) visit(whole, words[whole] & low_mask(bits.k % 32));
}

[[nodiscard]] inline std::uint32_t row_count(const BitRows& bits, std::uint64_t row) {
  std::uint32_t count = 0;
  for_each_word(bits, row, [&](std::uint32_t, std::uint32_t word) { count += count_bits(word); });
  return count;
}

/// visit(column) for each spike of a row, ascending.
template <class Visit>
void for_each_bit(const BitRows& bits, std::uint64_t row, Visit&& visit) {
  for_each_word(bits, row, [&](std::uint32_t w, std::uint32_t word) {
    for (; word != 0; word &= word - 1) visit(32 * w + lowest_bit(word));
  });
}

/// offsets[i] = sum of count(j) over j < i, for i in [0, n]; returns the sum of all, which may
/// exceed 32 bits (32-bit offsets are then meaningless, and the capacity overflows).
template <class Offset, class Count>
std::uint64_t scan_counts(const HostContext& context, std::uint64_t n, Offset* offsets,
                          Count&& count) {
  parallel_for(context, n, 256, [&](std::uint64_t i) { offsets[i] = count(i); });
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const Offset here = offsets[i];
    offsets[i] = static_cast<Offset>(total);
    total += here;
  }
  offsets[n] = static_cast<Offset>(total);
  return total;
}

}  // namespace spiketune::host
