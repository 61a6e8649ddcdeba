#pragma once
/// \file
/// Spikes to HYB. See encoders/encode.hpp for the interface.
///
/// Pack to bits, fill the slots of each row, count what is beyond them, find where the tail of each
/// row begins, expand what is left of the bits into the tail. Offsets into the tail are 64-bit, so
/// that any number of entries will do.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/hyb.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Hyb& hyb);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Hyb& hyb);
void encode(const HostContext& context, const SpikeView& spikes, const Hyb& hyb,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Hyb& hyb,
            Workspace workspace);

}  // namespace spiketune
