#pragma once
/// \file
/// The CUDA decoder of every format that has rows: a thread walks a row. Included by the
/// encoders/cuda/<format>.cu that instantiate it.

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/encoders/encode.hpp"

namespace spiketune {
namespace cuda {

template <class Format>
__global__ void decode_rows(const Format format, const MutableSpikeView spikes, const RowMap map) {
  const std::uint64_t row = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= spikes.shape.m()) return;
  const std::uint64_t out = map.source(row);
  for_each_in_row(format, row, [&](std::uint32_t column, float value) {
    store_spike(spikes.data, spikes.storage, spikes.shape.k, out, column, value);
  });
}

}  // namespace cuda

template <class Format>
void decode(const CudaContext& context, const Format& format, const MutableSpikeView& spikes) {
  check_decode(format, spikes, Space::device);
  if (spikes.bytes() == 0) return;
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, format.layout.row_order};
  fill(context, spikes.data, 0, spikes.bytes());
  cuda::decode_rows<<<static_cast<unsigned>(ceil_div(shape.m(), 128)), 128, 0, context.stream>>>(
      format, spikes, map);
  cuda::check_launch();
}

}  // namespace spiketune
