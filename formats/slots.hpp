#pragma once
/// \file
/// What TwoFour and Vnm share: two slots for every group of four columns, as sparse tensor cores
/// want them, and a CSR residual for the spikes that find no slot.
///
/// The two lowest spikes of a group take its slots, the others go to the residual. A slot names one
/// of the columns 0 to 3 of its group. An empty slot 0 names column 0, an empty slot 1 column 3, so
/// that slot 0 is always below slot 1, which the hardware demands. A spike in column 3 takes
/// slot 1.
///
///   spikes  slots  metadata  presence  residual     spikes  slots  metadata  presence  residual
///   0123    0 1    (slot 1,  (slot 1,  0123         0123    0 1    (slot 1,  (slot 1,  0123
///                   slot 0)   slot 0)                               slot 0)   slot 0)
///   ....    - -     11 00     00       ....         ...1    - 3     11 00     10       ....
///   1...    0 -     11 00     01       ....         1..1    0 3     11 00     11       ....
///   .1..    1 -     11 01     01       ....         .1.1    1 3     11 01     11       ....
///   11..    0 1     01 00     11       ....         11.1    0 1     01 00     11       ...1
///   ..1.    2 -     11 10     01       ....         ..11    2 3     11 10     11       ....
///   1.1.    0 2     10 00     11       ....         1.11    0 2     10 00     11       ...1
///   .11.    1 2     10 01     11       ....         .111    1 2     10 01     11       ...1
///   111.    0 1     01 00     11       ..1.         1111    0 1     01 00     11       ..11
///
/// metadata: 4 bits a group, 8 groups a word; presence: 2 bits a group, 16 groups a word; both
/// least significant first, and rows padded to whole words with groups that have no spike. (PTX
/// ISA, mma.sp: the 4 bits of a group are those that it takes for 16-bit elements.)

#include "spiketune/core/bits.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

/// Eight groups.
struct SplitGroups {
  std::uint32_t metadata;  ///< 8 × 4 bits
  std::uint32_t presence;  ///< 8 × 2 bits
  std::uint32_t residual;  ///< 8 × 4 bits: spikes without a slot
};

/// `spikes`: 8 × 4 bits. All groups at once: a, b, c, d are their columns 0 to 3, in bits 4·i.
SPIKETUNE_HD constexpr SplitGroups split_groups(std::uint32_t spikes) {
  constexpr std::uint32_t each = 0x11111111u;
  const std::uint32_t a = spikes & each;
  const std::uint32_t b = spikes >> 1 & each;
  const std::uint32_t c = spikes >> 2 & each;
  const std::uint32_t d = spikes >> 3 & each;
  const std::uint32_t two_of_abc = (a & b) | (a & c) | (b & c);
  const std::uint32_t slot_0 = (b & ~a) | (c & ~a & ~b) << 1;
  const std::uint32_t slot_1 = (each & ~((a ^ b) & c)) | (each & ~(a & b)) << 1;
  std::uint32_t presence = (a | b | c) | (d | two_of_abc) << 1;
  presence = (presence | presence >> 2) & 0x0f0f0f0fu;
  presence = (presence | presence >> 4) & 0x00ff00ffu;
  presence = (presence | presence >> 8) & 0x0000ffffu;
  return {slot_0 | slot_1 << 2, presence, (a & b & c) << 2 | (d & two_of_abc) << 3};
}

/// The spikes that have slots, 8 × 4 bits. `presence` has 16 bits.
SPIKETUNE_HD constexpr std::uint32_t join_groups(std::uint32_t metadata, std::uint32_t presence) {
  constexpr std::uint32_t each = 0x11111111u;
  presence = (presence | presence << 8) & 0x00ff00ffu;
  presence = (presence | presence << 4) & 0x0f0f0f0fu;
  presence = (presence | presence << 2) & 0x33333333u;
  const std::uint32_t in_0 = presence & each;
  const std::uint32_t in_1 = presence >> 1 & each;
  const std::uint32_t low_0 = metadata;
  const std::uint32_t high_0 = metadata >> 1;
  const std::uint32_t low_1 = metadata >> 2;
  const std::uint32_t high_1 = metadata >> 3;
  return ((in_0 & ~low_0 & ~high_0) | (in_1 & ~low_1 & ~high_1)) |
         ((in_0 & low_0 & ~high_0) | (in_1 & low_1 & ~high_1)) << 1 |
         ((in_0 & ~low_0 & high_0) | (in_1 & ~low_1 & high_1)) << 2 |
         ((in_0 & low_0 & high_0) | (in_1 & low_1 & high_1)) << 3;
}

/// A format of this kind also has
///   static constexpr std::string_view name;
///   bool prune() const;                             there is no residual: its spikes are dropped
///   std::uint32_t column(row, group, position);     of the matrix, for column 0 to 3 of a group
struct SlotFormat : FormatBase {
  std::uint32_t words_per_row = 0;  ///< of metadata: a word has eight groups

  Array<std::uint32_t> metadata;  ///< [M · words_per_row]
  Array<std::uint32_t> presence;  ///< [M · ceil(words_per_row / 2)]
  AnyArray values;  ///< [M · 16 · words_per_row]: two a group, 0 for an empty slot; empty for a
                    ///< pattern
  Array<std::uint32_t> residual_row_offsets;  ///< [M + 1]; empty where pruned
  AnyArray residual_column_indices;           ///< [capacity], u16 or u32
  AnyArray residual_values;                   ///< [capacity]; empty for a pattern

  [[nodiscard]] SPIKETUNE_HD std::uint32_t presence_words_per_row() const {
    return (words_per_row + 1) / 2;
  }
  /// 16 bits: the eight groups of the w-th word of metadata of a row.
  [[nodiscard]] SPIKETUNE_HD std::uint32_t presence_of(std::uint64_t row, std::uint32_t w) const {
    return presence[row * presence_words_per_row() + w / 2] >> (w % 2 * 16) & 0xffffu;
  }

  template <class Self, class Visit>
  static void slot_arrays(Self& self, Visit&& visit) {
    visit("metadata", self.metadata);
    visit("presence", self.presence);
    visit("values", self.values);
    visit("residual_row_offsets", self.residual_row_offsets);
    visit("residual_column_indices", self.residual_column_indices);
    visit("residual_values", self.residual_values);
  }

 protected:
  /// Sizes of all arrays; layout is set. Throws Error(unsupported) where capacity is 2^32 or more.
  void plan_slots(std::string_view name, std::uint64_t groups, std::uint64_t room, bool prune);
  [[nodiscard]] std::uint64_t slot_bytes(std::uint64_t stored) const;
  /// Everything that does not depend on which columns make a group; and that nothing is lost unless
  /// it was to be pruned. `groups` of a row are not padding.
  void validate_slots(std::string_view name, const EncodeStatus& counts, std::uint64_t groups,
                      bool prune) const;
  /// Whether a spike at `position` of a group may be in the residual: both slots are taken by
  /// columns before it.
  [[nodiscard]] bool follows_slots(std::uint64_t row, std::uint64_t group,
                                   std::uint32_t position) const;
};

namespace detail {

/// visit(column, value) for each spike of a row, ascending: slots merged with the residual.
template <class Format, class Visit>
SPIKETUNE_HD void for_each_in_slots(const Format& format, std::uint64_t row, Visit&& visit) {
  std::uint32_t next = format.prune() ? 0 : format.residual_row_offsets[row];
  const std::uint32_t end = format.prune() ? 0 : format.residual_row_offsets[row + 1];
  for (std::uint32_t w = 0; w < format.words_per_row; ++w) {
    const std::uint32_t presence = format.presence_of(row, w);
    if (presence == 0) continue;
    const std::uint64_t word = row * format.words_per_row + w;
    const std::uint32_t metadata = format.metadata[word];
    for (std::uint32_t spikes = join_groups(metadata, presence); spikes != 0;
         spikes &= spikes - 1) {
      const std::uint32_t bit = lowest_bit(spikes);
      const std::uint32_t column = format.column(row, 8 * std::uint64_t{w} + bit / 4, bit % 4);
      for (; next < end; ++next) {
        const std::uint32_t residual = load_index(format.residual_column_indices, next);
        if (residual > column) break;
        visit(residual, load_value(format.residual_values, next));
      }
      const bool second = (metadata >> (bit / 4 * 4 + 2) & 3u) == bit % 4;
      visit(column, load_value(format.values, 16 * word + bit / 4 * 2 + second));
    }
  }
  for (; next < end; ++next) {
    visit(load_index(format.residual_column_indices, next),
          load_value(format.residual_values, next));
  }
}

}  // namespace detail
}  // namespace spiketune
