#pragma once
/// \file
/// Spikes to a byte each, or, where they are that already, no work at all. See encoders/encode.hpp
/// for the interface.

#include "spiketune/encoders/encode.hpp"
#include "spiketune/formats/bytes.hpp"

namespace spiketune {

/// Where `spikes` lie in memory as `bytes` wants them, points bytes.values at them, which launches
/// nothing, and returns true: storage u8, the format's row order, data aligned to 16 bytes. They
/// must stay there, and are not written. What they hold is not looked at, nor is bytes.status
/// written: see count(). Throws as encode() does.
[[nodiscard]] bool view(const SpikeView& spikes, Bytes& bytes, Space space);

/// Writes bytes.status as an encode would have: counts the spikes, finds the first invalid one.
void count(const HostContext& context, const Bytes& bytes);
void count(const CudaContext& context, const Bytes& bytes);

[[nodiscard]] std::size_t encode_workspace_bytes(const HostContext& context,
                                                 const SpikeView& spikes, const Bytes& bytes);
[[nodiscard]] std::size_t encode_workspace_bytes(const CudaContext& context,
                                                 const SpikeView& spikes, const Bytes& bytes);
/// Writes bytes.values: of spikes of any storage and row order, which view() may not take.
void encode(const HostContext& context, const SpikeView& spikes, const Bytes& bytes,
            Workspace workspace);
void encode(const CudaContext& context, const SpikeView& spikes, const Bytes& bytes,
            Workspace workspace);

}  // namespace spiketune
