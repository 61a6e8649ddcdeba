#include "spiketune/encoders/bytes.hpp"

#include <algorithm>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {

bool view(const SpikeView& spikes, Bytes& bytes, Space space) {
  check_encode(spikes, bytes, space);
  if (spikes.storage != DType::u8 || spikes.row_order != bytes.layout.row_order) return false;
  if (reinterpret_cast<std::uintptr_t>(spikes.data) % 16 != 0) return false;
  bytes.values.data = const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(spikes.data));
  return true;
}

void count(const HostContext&, const Bytes& bytes) {
  const unsigned most = bytes.layout.kind == ValueKind::binary ? 1 : 3;
  EncodeStatus status{0, 0, 0, EncodeStatus::none_invalid};
  for (std::uint64_t i = 0; i < bytes.values.size; ++i) {
    status.nnz += bytes.values[i] != 0;
    if (bytes.values[i] > most) status.first_invalid = std::min(status.first_invalid, i);
  }
  *bytes.status = status;
}

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Bytes&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Bytes& bytes,
            Workspace workspace) {
  check_encode(spikes, bytes, Space::host);
  WorkspaceCarver carver(workspace);
  const RowOrder order = bytes.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), bytes.status);
  const ValueSource source = value_source(spikes, order);
  const AnyArray values{bytes.values.data, DType::u8, bytes.values.size};
  const bool pattern = bytes.layout.value_type == DType::bit;
  parallel_for(context, bits.m, 16, [&](std::uint64_t row) {
    std::uint8_t* out = bytes.values.data + row * bits.k;
    std::fill(out, out + bits.k, std::uint8_t{0});
    host::for_each_bit(bits, row, [&](std::uint32_t column) {
      if (pattern) {
        out[column] = 1;
      } else {
        source.copy_to(values, row * bits.k + column, row, column);
      }
    });
  });
}

template void decode(const HostContext&, const Bytes&, const MutableSpikeView&);

}  // namespace spiketune
