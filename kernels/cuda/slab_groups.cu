// Y = S·W with S a binary Csr, W in slabs of shared memory, and the tensor cores as adders.
//
// How they add: slab_sums.cuh.
//
// Bound by shared memory: nnz·N elements of two bytes at 128 bytes a cycle. The eight pieces of a
// matrix are those of a row of 64 columns, which lie in all banks. slab_plan.cuh makes lists of the
// rows of W to collect while the slab is on its way.

#include "spiketune/kernels/cuda/slab_groups.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/slab_plan.cuh"
#include "spiketune/kernels/cuda/slab_sums.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int gather_threads = 1024;
constexpr std::uint32_t slab_columns = 64;

__device__ inline Group load_group(const Group* groups, std::uint32_t index, std::uint32_t end) {
  Group group = {};
  if (index < end) {
    *reinterpret_cast<uint4*>(&group) = __ldcg(reinterpret_cast<const uint4*>(groups + index));
  }
  return group;
}

/// Eight columns of a list.
struct Batch {
  uint4 pairs;

  template <int i>
  [[nodiscard]] __device__ std::uint32_t column() const {
    const std::uint32_t pair = i < 2 ? pairs.x : i < 4 ? pairs.y : i < 6 ? pairs.z : pairs.w;
    return __byte_perm(pair, 0, i % 2 == 0 ? 0x4410 : 0x4432);
  }
};

/// blockIdx.x: slab, blockIdx.y: part of the groups. Warps take the groups of their block one after
/// another; the first batch of a group is loaded one group ahead, its description two.
template <class W, class Y>
__global__ void __launch_bounds__(gather_threads, 1)
    gather_groups(const GroupPlan plan, const Slab slab, const W* __restrict__ w, Y* __restrict__ y,
                  std::uint32_t m, std::uint32_t n, std::uint32_t groups_per_block) {
  extern __shared__ uint4 lines[];
  __shared__ std::uint32_t next_group;
  const std::uint32_t first_column = blockIdx.x * slab_columns;
  load_slab(lines, slab, w, n, first_column);
  wait_for_primary();

  std::uint32_t lane = threadIdx.x % 32;
  keep(lane);
  const std::uint32_t warps = blockDim.x / 32;
  const std::uint32_t begin = blockIdx.y * groups_per_block;
  const std::uint32_t all = plan.windows * window_groups;
  std::uint32_t end = all - begin < groups_per_block ? all : begin + groups_per_block;
  keep(end);
  // Lane 8·i + j reads row j of matrix i: a piece of a line.
  const char* piece = reinterpret_cast<const char*>(lines) + lane % 8 * 16;
  const uint4* lists = plan.lists + lane / 8;
  keep(lists);
  constexpr std::uint32_t batch_bytes = group_lists * sizeof(uint4);
  const auto load_batch = [&](std::uint32_t batch) {
    return Batch{__ldcg(advance(lists, batch, batch_bytes))};
  };
  const std::uint32_t column = first_column + lane / 4 * 8 + lane % 4 * 2;
  const Y* out = y + column;
  keep(out);
  std::uint32_t rows_to_store = column < n ? m : 0;
  keep(rows_to_store);
  const typename Sums<W>::Operand operand(lane);

  if (threadIdx.x == 0) next_group = begin + 3 * warps;
  std::uint32_t index = begin + threadIdx.x / 32;
  std::uint32_t index1 = index + warps;
  std::uint32_t index2 = index1 + warps;
  Group group = load_group(plan.groups, index, end);
  Group group1 = load_group(plan.groups, index1, end);
  const auto load_first = [&](const Group& of) {
    return of.entries != 0 ? load_batch(of.batch) : Batch{};
  };
  Batch batch = load_first(group);
  __pipeline_wait_prior(0);
  __syncthreads();
  while (index < end) {
    const Group group2 = load_group(plan.groups, index2, end);
    const Batch batch1 = load_first(group1);
    // Not atomicAdd(), which the compiler would turn into a sum over the warp first.
    std::uint32_t index3 = lane == 0 ? atomicInc(&next_group, 0x7fffffffu) : 0;

    Sums<W> sums;
    const auto load = [&](std::uint32_t(&loaded)[4], std::uint32_t line) {
      load_transposed(loaded, piece + line * line_bytes);
    };
    std::uint32_t loaded[4][4];
    std::uint32_t entries = group.entries;
    for (std::uint32_t at = group.batch + 1; entries >= batch_entries; ++at) {
      const Batch now = batch;
      if (entries > batch_entries) batch = load_batch(at);
      load(loaded[0], now.template column<0>());
      load(loaded[1], now.template column<1>());
      load(loaded[2], now.template column<2>());
      load(loaded[3], now.template column<3>());
      sums.add(operand, loaded[0], 0);
      sums.add(operand, loaded[1], 1);
      load(loaded[0], now.template column<4>());
      load(loaded[1], now.template column<5>());
      sums.add(operand, loaded[2], 2);
      sums.add(operand, loaded[3], 3);
      load(loaded[2], now.template column<6>());
      load(loaded[3], now.template column<7>());
      sums.add(operand, loaded[0], 4);
      sums.add(operand, loaded[1], 5);
      sums.add(operand, loaded[2], 6);
      sums.add(operand, loaded[3], 7);
      entries -= batch_entries;
    }
    for (; entries >= 2; entries -= 2) {
      load(loaded[0], batch.template column<0>());
      load(loaded[1], batch.template column<1>());
      sums.add(operand, loaded[0], 0);
      sums.add(operand, loaded[1], 1);
      batch.pairs = {batch.pairs.y, batch.pairs.z, batch.pairs.w, 0};
    }

    const std::uint32_t first_row = index / window_groups * window_rows;
    const auto store = [&](std::uint32_t row_in_window, float low, float high) {
      const std::uint32_t row = first_row + row_in_window;
      store_pair(advance(out, row, n * static_cast<std::uint32_t>(sizeof(Y))), row < rows_to_store,
                 low, high);
    };
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      store(group.rows[i], sums.at[i / 2][i % 2 * 2], sums.at[i / 2][i % 2 * 2 + 1]);
    }

    index3 = __shfl_sync(~0u, index3, 0);
    index = index1;
    index1 = index2;
    index2 = index3;
    group = group1;
    group1 = group2;
    batch = batch1;
  }
}

template <class W, class Y>
void launch(const CudaContext& context, const Csr& csr, const WeightView& weights,
            const OutputView& output, Workspace workspace) {
  const Slab slab{weights.k};
  WorkspaceCarver carver(workspace);
  const GroupPlan plan = carve_plan(carver, csr);
  // With the split of shared memory and L1 that the product needs, both can share a multiprocessor.
  check(cudaFuncSetAttribute(plan_groups, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared));
  plan_groups<<<plan.windows, 32 * plan_warps, 0, context.stream>>>(csr, plan, output.m);
  check_launch();

  const std::uint64_t groups = std::uint64_t{plan.windows} * window_groups;
  const std::uint64_t slabs = ceil_div(output.n, slab_columns);
  const Cut cut = cut_rows(context, slabs, slab.bytes(), plan.windows);
  const auto groups_per_block = static_cast<std::uint32_t>(ceil_div(groups, cut.parts));
  const dim3 grid(static_cast<unsigned>(slabs),
                  static_cast<unsigned>(ceil_div(groups, groups_per_block)));
  const dim3 block(gather_threads / cut.beside_each_other / 32 * 32);
  auto* kernel = gather_groups<W, Y>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(slab.bytes())));
  launch_dependent(context, kernel, grid, block, slab.bytes(), plan, slab,
                   static_cast<const W*>(weights.data), static_cast<Y*>(output.data),
                   static_cast<std::uint32_t>(output.m), output.n, groups_per_block);
  check_launch();
}

}  // namespace

std::size_t slab_groups_workspace_bytes(const Csr& csr) {
  WorkspaceCarver carver;
  carve_plan(carver, csr);
  return carver.bytes();
}

void slab_groups(const CudaContext& context, const Csr& csr, const WeightView& weights,
                 const OutputView& output, Workspace workspace) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) launch<W, Y>(context, csr, weights, output, workspace);
  });
}

}  // namespace spiketune::cuda
