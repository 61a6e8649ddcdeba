#pragma once
/// \file
/// Spikes to SELL-C-σ. See encoders/encode.hpp for the interface.
///
/// Pack to bits, count each row, rank rows within their windows, find where the slices of a window
/// begin, expand the bits into the slots. The bits of all rows pass through the workspace. On a
/// GPU, throws Error(unsupported) beyond some 500 million rows (2^21 units of windows, of 256 rows
/// or more), or where a window could need 2^32 slots.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/sell.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Sell& sell);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Sell& sell);
void encode(const HostContext& context, const SpikeView& spikes, const Sell& sell,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Sell& sell,
            Workspace workspace);

}  // namespace spiketune
