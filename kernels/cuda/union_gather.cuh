#pragma once
/// \file
/// The product of units of 16 rows of S (union_units.cuh) and W from slabs of shared memory. Called
/// by slab_union.cu and union_mma.cu.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/kernels/cuda/union_units.cuh"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// A slab of `columns` columns (32 or 64), of as many of K rows of W as fit. With 64 columns all
/// rows have to.
[[nodiscard]] UnionSlab union_slab(const CudaContext& context, std::uint32_t k,
                                   std::uint32_t columns);

/// Of the copies of far rows that gather_units() makes for itself.
[[nodiscard]] std::size_t far_row_bytes(const CudaContext& context, const UnionPlan& plan,
                                        const UnionSlab& slab, std::uint32_t n);

/// Enqueued right after the kernel that makes the units, which calls start_dependents(). W is f16
/// or bf16, N a multiple of 8.
void gather_units(const CudaContext& context, const UnionPlan& plan, const UnionSlab& slab,
                  void* far_rows, const WeightView& weights, const OutputView& output);

}  // namespace spiketune::cuda
