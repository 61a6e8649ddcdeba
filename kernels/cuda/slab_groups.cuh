#pragma once
/// \file
/// Binary Csr times W from slabs of 64 columns of shared memory, added up by the tensor cores.
/// Called by slab_gather.cu.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// Whether all K rows of a slab of 64 columns fit into the shared memory of a block.
[[nodiscard]] bool wide_slab_fits(const CudaContext& context, std::uint32_t k);

[[nodiscard]] std::size_t slab_groups_workspace_bytes(const Csr& csr);
/// csr has no values and 16-bit columns, K < 65536; W is f16 or bf16, N a multiple of 8;
/// wide_slab_fits().
void slab_groups(const CudaContext& context, const Csr& csr, const WeightView& weights,
                 const OutputView& output, Workspace workspace);

/// The same from the rows as they are, without a workspace: for few slabs.
void slab_rows(const CudaContext& context, const Csr& csr, const WeightView& weights,
               const OutputView& output);

}  // namespace spiketune::cuda
