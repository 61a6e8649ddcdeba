#pragma once
/// \file
/// What the kernels of byte_mma.cu and sm90/byte_mma.cu agree on.

#include "spiketune/core/context.hpp"
#include "spiketune/formats/bytes.hpp"
#include "spiketune/kernels/byte_mma.hpp"
#include "spiketune/kernels/cuda/weight_columns.cuh"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// The product on sm_90a, in kernels/cuda/sm90/byte_mma.cu. K must be a multiple of 16 and the
/// spikes aligned to it, N a multiple of 8, and Y aligned to 16 bytes.
void byte_mma_on_hopper(const CudaContext& context, const Bytes& bytes,
                        const WeightColumns& columns, const WeightView& weights,
                        const OutputView& output, const ByteMma& config);

}  // namespace spiketune::cuda
