#pragma once
/// \file
/// Spikes to 2:4 and a residual. See encoders/encode.hpp for the interface.
///
/// Pack to bits; a word of 32 spikes makes a word of metadata, half a word of presence and a word
/// of spikes for the residual, which is counted, scanned and expanded as in CSR.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/two_four.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const TwoFour& two_four);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const TwoFour& two_four);
void encode(const HostContext& context, const SpikeView& spikes, const TwoFour& two_four,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const TwoFour& two_four,
            Workspace workspace);

}  // namespace spiketune
