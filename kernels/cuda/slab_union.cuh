#pragma once
/// \file
/// Binary Csr times W from slabs of 32 columns of shared memory, on the tensor cores, for any K.
/// Called by slab_gather.cu.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

[[nodiscard]] std::size_t slab_union_workspace_bytes(const CudaContext& context, const Csr& csr,
                                                     std::uint32_t n);
/// csr has no values and 16-bit columns, K < 65536; W is f16 or bf16, N a multiple of 8.
void slab_union(const CudaContext& context, const Csr& csr, const WeightView& weights,
                const OutputView& output, Workspace workspace);

}  // namespace spiketune::cuda
