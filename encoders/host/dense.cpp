#include "spiketune/encoders/dense.hpp"

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {
namespace {

template <class T>
void scatter(const HostContext& context, const BitRows& bits, const ValueSource& source,
             bool pattern, T* values) {
  parallel_for(context, bits.m, 16, [&](std::uint64_t row) {
    T* out = values + row * bits.k;
    std::fill(out, out + bits.k, T{});
    host::for_each_bit(bits, row, [&](std::uint32_t column) {
      out[column] = from_float<T>(pattern ? 1.0f
                                          : load_spike(source.data, source.storage, source.k,
                                                       source.map.source(row), column));
    });
  });
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Dense&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Dense& dense,
            Workspace workspace) {
  check_encode(spikes, dense, Space::host);
  WorkspaceCarver carver(workspace);
  const RowOrder order = dense.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), dense.status);
  const ValueSource source = value_source(spikes, order);
  const bool pattern = dense.layout.value_type == DType::bit;
  switch (dense.params.type) {
    case DType::f16:
      scatter(context, bits, source, pattern, dense.values.as<Half>());
      break;
    case DType::bf16:
      scatter(context, bits, source, pattern, dense.values.as<Bfloat16>());
      break;
    default:
      scatter(context, bits, source, pattern, dense.values.as<float>());
  }
}

template void decode(const HostContext&, const Dense&, const MutableSpikeView&);

}  // namespace spiketune
