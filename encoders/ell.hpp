#pragma once
/// \file
/// Spikes to ELL. See encoders/encode.hpp for the interface.
///
/// Pack to bits, then one pass expands each row into its slots, pads it, and finds the longest.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/ell.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Ell& ell);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Ell& ell);
void encode(const HostContext& context, const SpikeView& spikes, const Ell& ell,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Ell& ell,
            Workspace workspace);

}  // namespace spiketune
