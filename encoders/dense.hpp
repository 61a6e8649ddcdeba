#pragma once
/// \file
/// The cast of spikes to the dense type that a product wants. See encoders/encode.hpp for the
/// interface.
///
/// One pass: each element is checked, counted and cast.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/dense.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Dense& dense);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Dense& dense);
void encode(const HostContext& context, const SpikeView& spikes, const Dense& dense,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Dense& dense,
            Workspace workspace);

}  // namespace spiketune
