#include "spiketune/encoders/sell.hpp"

#include <algorithm>
#include <array>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {
namespace {

/// Counts the rows of the window from `begin` on, ranks them, and leaves the width of each of its
/// slices in slice_offsets.
void place_window(const BitRows& bits, const Sell& sell, std::uint64_t begin, std::uint64_t end) {
  const std::uint32_t height = sell.slice_height();
  // Falls with the length, then rises with the row: to sort by it is a stable sort by length.
  std::array<std::uint64_t, Sell::largest_window> keys;
  const std::uint64_t rows = end - begin;
  for (std::uint64_t i = 0; i < rows; ++i) {
    keys[i] = std::uint64_t{~host::row_count(bits, begin + i)} << 32 | i;
  }
  if (sell.params.sigma != 1) {
    std::sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(rows));
    for (std::uint64_t rank = 0; rank < rows; ++rank) {
      sell.ranks[begin + (keys[rank] & 0xffffffffu)] = static_cast<std::uint16_t>(rank);
    }
  }
  for (std::uint64_t lane = 0; lane < rows; lane += height) {
    const auto* first = keys.data() + lane;
    const auto* last = first + std::min<std::uint64_t>(height, rows - lane);
    const std::uint64_t shortest_key = *std::min_element(first, last);
    sell.slice_offsets[(begin + lane) / height] = ~static_cast<std::uint32_t>(shortest_key >> 32);
  }
}

/// Widths in slice_offsets to offsets; returns the slots of all slices.
std::uint64_t scan_slices(const Sell& sell) {
  std::uint64_t total = 0;
  for (std::uint64_t slice = 0; slice < sell.slices(); ++slice) {
    const std::uint64_t width = sell.slice_offsets[slice];
    sell.slice_offsets[slice] = static_cast<std::uint32_t>(total);
    total += width * sell.slice_height();
  }
  sell.slice_offsets[sell.slices()] = static_cast<std::uint32_t>(total);
  return total;
}

/// Rows behind the last are empty lanes.
void fill_row(const BitRows& bits, const ValueSource& source, const Sell& sell, std::uint64_t row) {
  const std::uint64_t height = sell.slice_height();
  const std::uint64_t position = row < bits.m ? sell.position(row) : row;
  const std::uint64_t slice = position / height;
  std::uint64_t at = sell.slice_offsets[slice] + position % height;
  if (row < bits.m) {
    host::for_each_bit(bits, row, [&](std::uint32_t column) {
      store_index(sell.column_indices, at, column);
      source.copy_to(sell.values, at, row, column);
      at += height;
    });
  }
  for (; at < sell.slice_offsets[slice + 1]; at += height) {
    detail::store_padding(sell.column_indices, sell.values, at);
  }
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Sell&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Sell& sell,
            Workspace workspace) {
  check_encode(spikes, sell, Space::host);
  WorkspaceCarver carver(workspace);
  const RowOrder order = sell.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), sell.status);
  const std::uint64_t window = sell.window();
  parallel_for(context, ceil_div(bits.m, window), 1, [&](std::uint64_t i) {
    place_window(bits, sell, i * window, std::min(bits.m, (i + 1) * window));
  });
  sell.status->needed = scan_slices(sell);
  if (sell.status->needed > sell.capacity) return;
  const ValueSource source = value_source(spikes, order);
  parallel_for(context, sell.slices() * sell.slice_height(), window,
               [&](std::uint64_t row) { fill_row(bits, source, sell, row); });
}

template void decode(const HostContext&, const Sell&, const MutableSpikeView&);

}  // namespace spiketune
