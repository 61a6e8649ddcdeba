#pragma once
/// \file
/// The host decoder of every format that has rows; included by the encoders/host/<format>.cpp that
/// instantiate it.

#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/encode.hpp"

namespace spiketune {

template <class Format>
void decode(const HostContext& context, const Format& format, const MutableSpikeView& spikes) {
  check_decode(format, spikes, Space::host);
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, format.layout.row_order};
  fill(context, spikes.data, 0, spikes.bytes());
  parallel_for(context, shape.m(), 64, [&](std::uint64_t row) {
    for_each_in_row(format, row, [&](std::uint32_t column, float value) {
      store_spike(spikes.data, spikes.storage, shape.k, map.source(row), column, value);
    });
  });
}

}  // namespace spiketune
