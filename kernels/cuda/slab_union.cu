// Y = S·W with S a binary Csr, 16 rows of S together: a kernel makes units of them, union_gather.cu
// multiplies these.

#include "spiketune/kernels/cuda/slab_union.cuh"

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/union_gather.cuh"
#include "spiketune/kernels/cuda/union_plan.cuh"

namespace spiketune::cuda {
namespace {

UnionSlab slab_for(const CudaContext& context, const Csr& csr) {
  return union_slab(context, csr.layout.k(), 32);
}
UnionPlan carve_plan(WorkspaceCarver& carver, const Csr& csr, const UnionSlab& slab) {
  return carve_union_plan(carver, csr.layout.m(), csr.column_indices.size, slab);
}

}  // namespace

std::size_t slab_union_workspace_bytes(const CudaContext& context, const Csr& csr,
                                       std::uint32_t n) {
  const UnionSlab slab = slab_for(context, csr);
  WorkspaceCarver carver;
  const UnionPlan plan = carve_plan(carver, csr, slab);
  carver.take<std::byte>(far_row_bytes(context, plan, slab, n));
  return carver.bytes();
}

void slab_union(const CudaContext& context, const Csr& csr, const WeightView& weights,
                const OutputView& output, Workspace workspace) {
  const UnionSlab slab = slab_for(context, csr);
  WorkspaceCarver carver(workspace);
  const UnionPlan plan = carve_plan(carver, csr, slab);
  auto* const far_rows = carver.take<std::byte>(far_row_bytes(context, plan, slab, output.n));
  plan_units<<<plan.size, plan_threads, 0, context.stream>>>(csr, plan, slab, output.m);
  check_launch();
  gather_units(context, plan, slab, far_rows, weights, output);
}

}  // namespace spiketune::cuda
