#include "spiketune/encoders/ell.hpp"

#include <algorithm>
#include <atomic>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {
namespace {

/// Expands a row as far as it fits, pads it, and returns its length.
std::uint64_t fill_row(const BitRows& bits, const ValueSource& source, const Ell& ell,
                       std::uint64_t row) {
  const std::uint64_t width = ell.width();
  const std::uint64_t first = row * width;
  std::uint64_t length = 0;
  host::for_each_bit(bits, row, [&](std::uint32_t column) {
    if (length < width) {
      store_index(ell.column_indices, first + length, column);
      source.copy_to(ell.values, first + length, row, column);
    }
    ++length;
  });
  for (std::uint64_t i = length; i < width; ++i) {
    detail::store_padding(ell.column_indices, ell.values, first + i);
  }
  return length;
}

void raise(std::atomic<std::uint64_t>& most, std::uint64_t value) {
  std::uint64_t seen = most.load(std::memory_order_relaxed);
  while (value > seen && !most.compare_exchange_weak(seen, value)) {
  }
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Ell&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Ell& ell,
            Workspace workspace) {
  check_encode(spikes, ell, Space::host);
  WorkspaceCarver carver(workspace);
  const RowOrder order = ell.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), ell.status);
  const ValueSource source = value_source(spikes, order);
  std::atomic<std::uint64_t> longest{0};
  parallel_ranges(context, bits.m, 64, [&](std::uint64_t begin, std::uint64_t end) {
    std::uint64_t here = 0;
    for (std::uint64_t row = begin; row < end; ++row) {
      here = std::max(here, fill_row(bits, source, ell, row));
    }
    raise(longest, here);
  });
  ell.status->needed = longest;
}

template void decode(const HostContext&, const Ell&, const MutableSpikeView&);

}  // namespace spiketune
