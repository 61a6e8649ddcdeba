#pragma once
/// \file
/// Spikes to block-CSR. See encoders/encode.hpp for the interface.
///
/// Pack to bits; or the words of the rows of a block row, so that a bit field of b bits tells
/// whether a block is empty; count, scan, and copy the bits of the blocks that are not.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/bsr.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Bsr& bsr);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Bsr& bsr);
void encode(const HostContext& context, const SpikeView& spikes, const Bsr& bsr,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Bsr& bsr,
            Workspace workspace);

}  // namespace spiketune
