#pragma once
/// \file
/// The product that every other product is compared with: Y = S·W in f64, straight from the spike
/// tensor. No format is involved, so a bug in one cannot hide in its own reference.

#include "spiketune/core/context.hpp"
#include "spiketune/core/shape.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// Writes all of `y`, row-major [M, N] with rows in `order`, in the memory of the context.
/// Spikes may be of any storage and row order; W is of any type, [K, N].
/// Host: threaded, allocates a copy of W as f32. CUDA: enqueued on the stream.
/// Throws Error(invalid_argument) where shapes or memory spaces do not fit.
void reference_spmm(const HostContext& context, const SpikeView& spikes, RowOrder order,
                    const WeightView& weights, double* y);
void reference_spmm(const CudaContext& context, const SpikeView& spikes, RowOrder order,
                    const WeightView& weights, double* y);

/// Throws Error(invalid_argument) unless the arguments of reference_spmm fit together.
void check_reference(const SpikeView& spikes, const WeightView& weights, const double* y,
                     Space space);

}  // namespace spiketune
