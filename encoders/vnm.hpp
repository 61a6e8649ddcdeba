#pragma once
/// \file
/// Spikes to V:N:M and a residual. See encoders/encode.hpp for the interface.
///
/// Pack to bits; count the columns of each block, select four, and split the groups that they make
/// as in 2:4. Spikes for the residual are kept as bits, then counted, scanned and expanded as in
/// CSR.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/vnm.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Vnm& vnm);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Vnm& vnm);
void encode(const HostContext& context, const SpikeView& spikes, const Vnm& vnm,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Vnm& vnm,
            Workspace workspace);

}  // namespace spiketune
