#include "spiketune/encoders/coo.hpp"

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {
namespace {

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        row_offsets(carver.take<std::uint64_t>(spikes.shape.m() + 1)) {}
  std::uint32_t* words;
  std::uint64_t* row_offsets;
};

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Coo&) {
  WorkspaceCarver carver;
  Scratch(carver, spikes);
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Coo& coo,
            Workspace workspace) {
  check_encode(spikes, coo, Space::host);
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, spikes);
  const RowOrder order = coo.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, coo.status);
  coo.status->needed =
      host::scan_counts(context, bits.m, scratch.row_offsets,
                        [&](std::uint64_t row) { return host::row_count(bits, row); });
  if (coo.status->needed > coo.capacity) return;
  const ValueSource source = value_source(spikes, order);
  parallel_for(context, bits.m, 64, [&](std::uint64_t row) {
    std::uint64_t at = scratch.row_offsets[row];
    host::for_each_bit(bits, row, [&](std::uint32_t column) {
      coo.row_indices[at] = static_cast<std::uint32_t>(row);
      store_index(coo.column_indices, at, column);
      source.copy_to(coo.values, at, row, column);
      ++at;
    });
  });
}

template void decode(const HostContext&, const Coo&, const MutableSpikeView&);

}  // namespace spiketune
