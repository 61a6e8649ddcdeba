#pragma once
/// \file
/// What somebody writes around a library's product of 8-bit matrices: W as it wants it, and the
/// scales of sums that it leaves as integers.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// Enqueues W by columns, [N, K], in `type`: s8 of s8 or s4, e4m3 of e4m3 or s4, whose values both
/// hold. `to` is N·K bytes on the device.
void weights_by_column(const CudaContext& context, const WeightView& weights, DType type, void* to);

/// Enqueues Y = sums · scales by column; `scales` [N] may be null: all 1. `sums` is [M, N] on the
/// device, N a multiple of 4.
void scale_sums(const CudaContext& context, const std::int32_t* sums, const float* scales,
                const OutputView& output);

/// Enqueues to[i] = factor · from[i]; `from` may be null: all 1.
void scale_floats(const CudaContext& context, const float* from, float factor, std::uint64_t count,
                  float* to);

}  // namespace spiketune::cuda
