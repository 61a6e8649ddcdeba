#pragma once
/// \file
/// What somebody writes around a library's product of 8-bit matrices: the scales of sums that it
/// leaves as integers, and those that it takes.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// Enqueues Y = sums · scales by column; `scales` [N] may be null: all 1. `sums` is [M, N] on the
/// device, N a multiple of 4.
void scale_sums(const CudaContext& context, const std::int32_t* sums, const float* scales,
                const OutputView& output);

/// Enqueues to[i] = factor · from[i]; `from` may be null: all 1.
void scale_floats(const CudaContext& context, const float* from, float factor, std::uint64_t count,
                  float* to);

}  // namespace spiketune::cuda
