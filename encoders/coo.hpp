#pragma once
/// \file
/// Spikes to COO. See encoders/encode.hpp for the interface.
///
/// Host: pack to bits, count each row, scan, expand the bits into coordinates. CUDA: all of that in
/// one pass. Offsets are 64-bit, so that any number of nonzeros will do.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/coo.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Coo& coo);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Coo& coo);
void encode(const HostContext& context, const SpikeView& spikes, const Coo& coo,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Coo& coo,
            Workspace workspace);

}  // namespace spiketune
