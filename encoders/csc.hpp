#pragma once
/// \file
/// Spikes to CSC, and back. See encoders/encode.hpp for the interface.
///
/// Pack to bits, count each column in each tile of rows, scan, fill: each tile of a column knows
/// where its rows go, so that nothing is sorted and the result does not depend on timing.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/csc.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Csc& csc);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Csc& csc);
void encode(const HostContext& context, const SpikeView& spikes, const Csc& csc,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Csc& csc,
            Workspace workspace);

/// CSC has no rows to walk. Threads of the host take whole words of columns of packed storage.
template <>
void decode(const HostContext& context, const Csc& csc, const MutableSpikeView& spikes);
template <>
void decode(const CudaContext& context, const Csc& csc, const MutableSpikeView& spikes);

}  // namespace spiketune
