#include "spiketune/encoders/two_four.hpp"

#include <atomic>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace {

/// Fills the slots of a row; returns how many spikes found none.
std::uint64_t fill_slots(const BitRows& bits, const ValueSource& source, const TwoFour& two_four,
                         std::uint64_t row) {
  const std::uint32_t words = two_four.words_per_row;
  std::uint32_t* metadata = two_four.metadata.data + row * words;
  std::uint32_t* presence = two_four.presence.data + row * two_four.presence_words_per_row();
  std::uint64_t residual = 0;
  for (std::uint32_t w = 0; w < words; ++w) {
    const SplitGroups split = split_groups(bits.word(row, w));
    metadata[w] = split.metadata;
    if (w % 2 == 0) {
      presence[w / 2] = split.presence;
    } else {
      presence[w / 2] |= split.presence << 16;
    }
    if (split.residual != 0) residual += count_bits(split.residual);
    store_slot_values(two_four, source, row, w, split.metadata, split.presence);
  }
  return residual;
}

void fill_residual(const BitRows& bits, const ValueSource& source, const TwoFour& two_four,
                   std::uint64_t row) {
  std::uint64_t at = two_four.residual_row_offsets[row];
  if (at == two_four.residual_row_offsets[row + 1]) return;
  for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) {
    for (std::uint32_t left = split_groups(bits.word(row, w)).residual; left != 0;
         left &= left - 1, ++at) {
      const std::uint32_t column = 32 * w + lowest_bit(left);
      store_index(two_four.residual_column_indices, at, column);
      source.copy_to(two_four.residual_values, at, row, column);
    }
  }
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const TwoFour&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const TwoFour& two_four,
            Workspace workspace) {
  check_encode(spikes, two_four, Space::host);
  WorkspaceCarver carver(workspace);
  const RowOrder order = two_four.layout.row_order;
  const BitRows bits = pack(context, spikes, order,
                            carver.take<std::uint32_t>(packed_words(spikes)), two_four.status);
  const ValueSource source = value_source(spikes, order);
  std::atomic<std::uint64_t> residual{0};
  parallel_ranges(context, bits.m, 64, [&](std::uint64_t begin, std::uint64_t end) {
    std::uint64_t here = 0;
    for (std::uint64_t row = begin; row < end; ++row) {
      const std::uint64_t count = fill_slots(bits, source, two_four, row);
      if (!two_four.prune()) {
        two_four.residual_row_offsets[row] = static_cast<std::uint32_t>(count);
      }
      here += count;
    }
    residual += here;
  });
  if (two_four.prune()) {
    two_four.status->lost = residual;
    return;
  }
  two_four.status->needed =
      host::scan_counts(context, bits.m, two_four.residual_row_offsets.data,
                        [&](std::uint64_t row) { return two_four.residual_row_offsets[row]; });
  if (two_four.status->needed > two_four.capacity) return;
  parallel_for(context, bits.m, 64,
               [&](std::uint64_t row) { fill_residual(bits, source, two_four, row); });
}

template void decode(const HostContext&, const TwoFour&, const MutableSpikeView&);

}  // namespace spiketune
