#pragma once
/// \file
/// Spikes to column vectors. See encoders/encode.hpp for the interface.
///
/// Pack to bits; or the words of v rows, so that a bit is a vector; count, scan, and transpose the
/// bits of the vectors that are not empty.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/cvs.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Cvs& cvs);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Cvs& cvs);
void encode(const HostContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace);

}  // namespace spiketune
