#pragma once
/// \file
/// Spikes to CSR. See encoders/encode.hpp for the interface.
///
/// Host: pack to bits, count each row, scan, expand the bits into column indices. CUDA: all of that
/// in one pass.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/csr.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Csr& csr);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Csr& csr);
void encode(const HostContext& context, const SpikeView& spikes, const Csr& csr,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Csr& csr,
            Workspace workspace);

}  // namespace spiketune
