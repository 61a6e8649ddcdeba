#include "spiketune/formats/slots.hpp"

#include <cmath>

#include "spiketune/formats/compressed.hpp"

namespace spiketune {
namespace {

/// Values where there are spikes and zeros elsewhere.
void validate_slot_values(std::string_view name, const SlotFormat& format, std::uint64_t row,
                          std::uint32_t w) {
  if (format.values.type == DType::bit) return;
  const std::uint32_t presence = format.presence_of(row, w);
  for (std::uint32_t i = 0; i < 16; ++i) {
    const std::uint64_t at = (row * format.words_per_row + w) * 16 + i;
    const float value = load_value(format.values, at);
    if (std::isnan(value) || (value != 0.0f) != ((presence >> i & 1u) != 0)) {
      detail::invalid_format(name, "value " + std::to_string(at) +
                                       " is not that of a spike, or none where there is one");
    }
  }
}

}  // namespace

void SlotFormat::plan_slots(std::string_view name, std::uint64_t groups, std::uint64_t room,
                            bool prune) {
  capacity = prune ? 0 : room;
  detail::check_offset_range(name, capacity);
  const std::uint64_t m = layout.m();
  words_per_row = static_cast<std::uint32_t>(ceil_div(groups, 8));
  metadata = {nullptr, m * words_per_row};
  presence = {nullptr, m * presence_words_per_row()};
  values = detail::plan_values(layout.value_type, m * words_per_row * 16);
  residual_row_offsets = {nullptr, prune ? 0 : m + 1};
  residual_column_indices = {nullptr, index_type(layout.k()), capacity};
  residual_values = detail::plan_values(layout.value_type, capacity);
}

std::uint64_t SlotFormat::slot_bytes(std::uint64_t stored) const {
  const std::uint64_t value = values.type == DType::bit ? 0 : bits_of(values.type) / 8;
  return metadata.bytes() + presence.bytes() + values.size * value + residual_row_offsets.bytes() +
         stored * (bits_of(residual_column_indices.type) / 8 + value);
}

void SlotFormat::validate_slots(std::string_view name, const EncodeStatus& counts,
                                std::uint64_t groups, bool prune) const {
  const auto fail = [&](const std::string& what) { detail::invalid_format(name, what); };
  if (counts.needed > capacity) fail("the residual is longer than fits");
  if (!prune && counts.lost != 0) fail("spikes are lost though nothing was pruned");
  if (!prune) {
    detail::validate_segments(name, residual_row_offsets, residual_column_indices, counts.needed,
                              layout.k());
    detail::validate_values(name, residual_values, counts.needed);
  }
  std::uint64_t total = counts.needed;
  for (std::uint64_t row = 0; row < layout.m(); ++row) {
    for (std::uint32_t w = 0; w < words_per_row; ++w) {
      const std::uint32_t spikes =
          join_groups(metadata[row * words_per_row + w], presence_of(row, w));
      const SplitGroups wanted = split_groups(spikes);
      // Slots out of order, two spikes in one column, or the second slot taken before the first.
      if (wanted.metadata != metadata[row * words_per_row + w] ||
          wanted.presence != presence_of(row, w)) {
        fail("metadata and presence of row " + std::to_string(row) + ", word " + std::to_string(w) +
             " are not those of any spikes");
      }
      total += count_bits(spikes);
      validate_slot_values(name, *this, row, w);
    }
    for (std::uint64_t group = groups; group < 16 * std::uint64_t{presence_words_per_row()};
         ++group) {
      if ((presence_of(row, static_cast<std::uint32_t>(group / 8)) >> (group % 8 * 2) & 3u) != 0) {
        fail("row " + std::to_string(row) + " has a spike in a group that is padding");
      }
    }
  }
  if (total != counts.nnz - counts.lost) {
    fail("slots and residual hold " + std::to_string(total) + " spikes, not " +
         std::to_string(counts.nnz) + " less the " + std::to_string(counts.lost) + " lost");
  }
}

bool SlotFormat::follows_slots(std::uint64_t row, std::uint64_t group,
                               std::uint32_t position) const {
  const auto w = static_cast<std::uint32_t>(group / 8);
  const auto i = static_cast<std::uint32_t>(group % 8);
  const std::uint32_t second = metadata[row * words_per_row + w] >> (4 * i + 2) & 3u;
  return (presence_of(row, w) >> (2 * i) & 3u) == 3 && position > second;
}

}  // namespace spiketune
