#pragma once
/// \file
/// Values of the formats that keep a place for every element of a block, vector or group.

#include "spiketune/encoders/pack.hpp"

namespace spiketune {

/// values[i] = 0. No-op for a pattern.
SPIKETUNE_HD inline void clear_value(const AnyArray& values, std::uint64_t i) {
  switch (bits_of(values.type)) {
    case 8:
      values.as<std::uint8_t>()[i] = 0;
      break;
    case 16:
      values.as<std::uint16_t>()[i] = 0;
      break;
    case 32:
      values.as<std::uint32_t>()[i] = 0;
      break;
    default:
      break;
  }
}

/// values[i] = the value of (row, column) where there is a spike, 0 elsewhere. No-op for a pattern.
SPIKETUNE_HD inline void copy_or_clear(const ValueSource& source, const AnyArray& values,
                                       std::uint64_t i, std::uint64_t row, std::uint32_t column,
                                       bool spike) {
  if (spike) {
    source.copy_to(values, i, row, column);
  } else {
    clear_value(values, i);
  }
}

/// The 16 values that belong to the w-th word of metadata of a row of a SlotFormat.
template <class Format>
SPIKETUNE_HD void store_slot_values(const Format& format, const ValueSource& source,
                                    std::uint64_t row, std::uint32_t w, std::uint32_t metadata,
                                    std::uint32_t presence) {
  if (format.values.type == DType::bit) return;
  const std::uint64_t first = (row * format.words_per_row + w) * 16;
  for (std::uint32_t i = 0; i < 16; ++i) {
    const bool spike = (presence >> i & 1u) != 0;
    const std::uint64_t group = 8 * std::uint64_t{w} + i / 2;
    // Groups of the padding have no spike, and may have no columns either.
    const std::uint32_t column = spike ? format.column(row, group, metadata >> (2 * i) & 3u) : 0;
    copy_or_clear(source, format.values, first + i, row, column, spike);
  }
}

}  // namespace spiketune
