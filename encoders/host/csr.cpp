#include "spiketune/encoders/csr.hpp"

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Csr&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Csr& csr,
            Workspace workspace) {
  check_encode(spikes, csr, Space::host);
  WorkspaceCarver carver(workspace);
  const RowOrder order = csr.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), csr.status);
  csr.status->needed =
      host::scan_counts(context, bits.m, csr.row_offsets.data,
                        [&](std::uint64_t row) { return host::row_count(bits, row); });
  if (csr.status->needed > csr.capacity) return;
  const ValueSource source = value_source(spikes, order);
  parallel_for(context, bits.m, 64, [&](std::uint64_t row) {
    std::uint64_t at = csr.row_offsets[row];
    host::for_each_bit(bits, row, [&](std::uint32_t column) {
      store_index(csr.column_indices, at, column);
      source.copy_to(csr.values, at, row, column);
      ++at;
    });
  });
}

template void decode(const HostContext&, const Csr&, const MutableSpikeView&);

}  // namespace spiketune
