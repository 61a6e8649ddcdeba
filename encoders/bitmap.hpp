#pragma once
/// \file
/// Spikes to bitmap words, row-major or in 64 × 64 tiles. See encoders/encode.hpp for the
/// interface.
///
/// Row-major words are what pack() makes of the input; tiles are a rearrangement of them.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/bitmap.hpp"

namespace spiketune {

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Bitmap& bitmap);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Bitmap& bitmap);
void encode(const HostContext& context, const SpikeView& spikes, const Bitmap& bitmap,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Bitmap& bitmap,
            Workspace workspace);

}  // namespace spiketune
