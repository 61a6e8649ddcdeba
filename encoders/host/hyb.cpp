#include "spiketune/encoders/hyb.hpp"

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {
namespace {

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        tail_offsets(carver.take<std::uint64_t>(spikes.shape.m() + 1)) {}
  std::uint32_t* words;
  std::uint64_t* tail_offsets;
};

void fill_row(const BitRows& bits, const ValueSource& source, const Hyb& hyb, std::uint64_t row,
              std::uint64_t tail) {
  const std::uint64_t width = hyb.width();
  const std::uint64_t first = row * width;
  std::uint64_t length = 0;
  host::for_each_bit(bits, row, [&](std::uint32_t column) {
    if (length < width) {
      store_index(hyb.column_indices, first + length, column);
      source.copy_to(hyb.values, first + length, row, column);
    } else {
      hyb.tail_row_indices[tail] = static_cast<std::uint32_t>(row);
      store_index(hyb.tail_column_indices, tail, column);
      source.copy_to(hyb.tail_values, tail, row, column);
      ++tail;
    }
    ++length;
  });
  for (std::uint64_t i = length; i < width; ++i) {
    detail::store_padding(hyb.column_indices, hyb.values, first + i);
  }
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Hyb&) {
  WorkspaceCarver carver;
  Scratch(carver, spikes);
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Hyb& hyb,
            Workspace workspace) {
  check_encode(spikes, hyb, Space::host);
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, spikes);
  const RowOrder order = hyb.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, hyb.status);
  const std::uint32_t width = hyb.width();
  hyb.status->needed =
      host::scan_counts(context, bits.m, scratch.tail_offsets, [&](std::uint64_t row) {
        const std::uint32_t count = host::row_count(bits, row);
        return count > width ? count - width : 0;
      });
  if (hyb.status->needed > hyb.capacity) return;
  const ValueSource source = value_source(spikes, order);
  parallel_for(context, bits.m, 64, [&](std::uint64_t row) {
    fill_row(bits, source, hyb, row, scratch.tail_offsets[row]);
  });
}

template void decode(const HostContext&, const Hyb&, const MutableSpikeView&);

}  // namespace spiketune
