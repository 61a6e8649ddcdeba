#pragma once
/// \file
/// Spikes to HYB. See encoders/encode.hpp for the interface.
///
/// Pack to bits, count what is beyond the slots of each row, find where its tail begins, expand the
/// bits into the slots and the tail. Offsets into the tail are 64-bit, so that any number of
/// entries will do.

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
