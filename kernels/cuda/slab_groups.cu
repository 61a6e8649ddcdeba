// Y = S·W with S a binary Csr, W in slabs of shared memory, and the tensor cores as adders.
//
// How they add: slab_sums.cuh.
//
// Bound by shared memory: nnz·N elements of two bytes at 128 bytes a cycle. The eight pieces of a
// matrix lie in all banks: they are those of a row of 64 columns, or of 32 columns in the first
// half of a line and 32 in the second. slab_plan.cuh makes the lists that see to it, while the slab
// is on its way.

#include "spiketune/kernels/cuda/slab_groups.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/slab_plan.cuh"
#include "spiketune/kernels/cuda/slab_sums.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

template <int pieces>
inline constexpr int gather_threads = pieces == 8 ? 1024 : 896;

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
template <class W, class Y, int pieces>
__global__ void __launch_bounds__(gather_threads<pieces>, 1)
    gather_groups(const GroupPlan plan, const Slab<pieces> slab, const W* __restrict__ w,
                  Y* __restrict__ y, std::uint32_t m, std::uint32_t k, std::uint32_t n,
                  std::uint32_t groups_per_block) {
  extern __shared__ uint4 lines[];
  __shared__ std::uint32_t next_group;
  const std::uint32_t first_column = blockIdx.x * pieces * 8;
  load_slab<W, pieces>(lines, slab, w, k, n, first_column);
  wait_for_primary();

  std::uint32_t lane = threadIdx.x % 32;
  keep(lane);
  const std::uint32_t warps = blockDim.x / 32;
  const std::uint32_t begin = blockIdx.y * groups_per_block;
  const std::uint32_t all = plan.windows * window_groups;
  std::uint32_t end = all - begin < groups_per_block ? all : begin + groups_per_block;
  keep(end);
  // Lane 8·i + j reads row j of matrix i: a piece of one of the halves of a line.
  const char* piece = reinterpret_cast<const char*>(lines) + lane % 8 * 16 -
                      std::size_t{lane % 8 / pieces} * slab.lines * line_bytes;
  const uint4* near_list = plan.lists + lane / pieces;
  const uint4* far_list = plan.lists + lane / 8;
  keep(near_list);
  keep(far_list);
  constexpr std::uint32_t batch_bytes = Slab<pieces>::lists * sizeof(uint4);
  const auto load_batch = [](const uint4* list, std::uint32_t batch) {
    return Batch{__ldcg(advance(list, batch, batch_bytes))};
  };
  // A far spike is four elements of its row's 32 for each of eight lanes.
  const std::uint32_t far_column = first_column + lane % 8 * 4;
  const W* far_weights = w + (far_column < n ? far_column : 0);
  keep(far_weights);
  const std::uint32_t column = first_column + lane / 4 % pieces * 8 + lane % 4 * 2;
  const Y* out = y + column;
  keep(out);
  std::uint32_t rows_to_store = column < n ? m : 0;
  keep(rows_to_store);
  const typename Sums<W, pieces>::Operands operands(lane);

  if (threadIdx.x == 0) next_group = begin + 3 * warps;
  std::uint32_t index = begin + threadIdx.x / 32;
  std::uint32_t index1 = index + warps;
  std::uint32_t index2 = index1 + warps;
  Group group = load_group(plan.groups, index, end);
  Group group1 = load_group(plan.groups, index1, end);
  const auto load_first = [&](const Group& of) {
    return of.entries != 0 ? load_batch(near_list, of.batch) : Batch{};
  };
  Batch batch = load_first(group);
  __pipeline_wait_prior(0);
  __syncthreads();
  while (index < end) {
    const Group group2 = load_group(plan.groups, index2, end);
    const Batch batch1 = load_first(group1);
    // Not atomicAdd(), which the compiler would turn into a sum over the warp first.
    std::uint32_t index3 = lane == 0 ? atomicInc(&next_group, 0x7fffffffu) : 0;
    Batch far_batch = {};
    if (pieces == 4 && group.far_entries != 0) far_batch = load_batch(far_list, group.far_batch);

    Sums<W, pieces> sums;
    const auto load = [&](std::uint32_t(&loaded)[4], std::uint32_t line) {
      load_transposed(loaded, piece + line * line_bytes);
    };
    std::uint32_t loaded[4][4];
    std::uint32_t entries = group.entries;
    for (std::uint32_t at = group.batch + 1; entries >= batch_entries; ++at) {
      const Batch now = batch;
      if (entries > batch_entries) batch = load_batch(near_list, at);
      load(loaded[0], now.template column<0>());
      load(loaded[1], now.template column<1>());
      load(loaded[2], now.template column<2>());
      load(loaded[3], now.template column<3>());
      sums.add(operands, loaded[0], 0);
      sums.add(operands, loaded[1], 1);
      load(loaded[0], now.template column<4>());
      load(loaded[1], now.template column<5>());
      sums.add(operands, loaded[2], 2);
      sums.add(operands, loaded[3], 3);
      load(loaded[2], now.template column<6>());
      load(loaded[3], now.template column<7>());
      sums.add(operands, loaded[0], 4);
      sums.add(operands, loaded[1], 5);
      sums.add(operands, loaded[2], 6);
      sums.add(operands, loaded[3], 7);
      entries -= batch_entries;
    }
    for (; entries >= 2; entries -= 2) {
      load(loaded[0], batch.template column<0>());
      load(loaded[1], batch.template column<1>());
      sums.add(operands, loaded[0], 0);
      sums.add(operands, loaded[1], 1);
      batch.pairs = {batch.pairs.y, batch.pairs.z, batch.pairs.w, 0};
    }
    if (pieces == 4 && entries != 0) {
      load(loaded[0], batch.template column<0>());
      sums.add(operands, loaded[0], 0);
    }

    if constexpr (pieces == 4) {
      if (group.far_entries != 0) {
        const auto fetch = [&](std::uint32_t row) {
          uint2 elements = {0, 0};
          if (row != no_column) {
            elements = __ldg(reinterpret_cast<const uint2*>(
                advance(far_weights, row, n * static_cast<std::uint32_t>(sizeof(W)))));
          }
          return elements;
        };
        float far[4] = {};
        const auto add = [&](const uint2& elements) {
          mma_m16n8k16<W>(far, operands.far, elements.x, elements.y);
        };
        std::uint32_t left = group.far_entries;
        for (std::uint32_t at = group.far_batch + 1;; ++at) {
          const uint2 a = fetch(far_batch.template column<0>());
          const uint2 b = fetch(far_batch.template column<1>());
          const uint2 c = fetch(far_batch.template column<2>());
          const uint2 d = fetch(far_batch.template column<3>());
          if (left > 4) {
            const uint2 e = fetch(far_batch.template column<4>());
            const uint2 f = fetch(far_batch.template column<5>());
            const uint2 g = fetch(far_batch.template column<6>());
            const uint2 h = fetch(far_batch.template column<7>());
            add(e);
            add(f);
            add(g);
            add(h);
          }
          add(a);
          add(b);
          add(c);
          add(d);
          if (left <= batch_entries) break;
          left -= batch_entries;
          far_batch = load_batch(far_list, at);
        }
        sums.add_far(far, lane);
      }
    }

    const std::uint32_t first_row = index / window_groups * window_rows;
    const auto store = [&](std::uint32_t row_in_window, float low, float high) {
      const std::uint32_t row = first_row + row_in_window;
      store_pair(advance(out, row, n * static_cast<std::uint32_t>(sizeof(Y))), row < rows_to_store,
                 low, high);
    };
    if constexpr (pieces == 4) {
      store(lane < 16 ? group.rows[0] : group.rows[2], sums.at[0][0], sums.at[0][1]);
      store(lane < 16 ? group.rows[1] : group.rows[3], sums.at[0][2], sums.at[0][3]);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        store(group.rows[i], sums.at[i / 2][i % 2 * 2], sums.at[i / 2][i % 2 * 2 + 1]);
      }
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

template <int pieces>
Slab<pieces> slab_for(const CudaContext& context, std::uint32_t k) {
  const auto lines = static_cast<std::uint32_t>(ceil_div(k, Slab<pieces>::halves));
  return {std::min(lines, most_lines(context))};
}

template <class W, class Y, int pieces>
void launch(const CudaContext& context, const Csr& csr, const WeightView& weights,
            const OutputView& output, Workspace workspace) {
  const Slab<pieces> slab = slab_for<pieces>(context, weights.k);
  WorkspaceCarver carver(workspace);
  const GroupPlan plan = carve_plan(carver, csr, slab);
  auto* make_plan = plan_groups<pieces>;
  // With the split of shared memory and L1 that the product needs, both can share a multiprocessor.
  check(cudaFuncSetAttribute(make_plan, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared));
  make_plan<<<plan.windows, 32 * plan_warps, 0, context.stream>>>(csr, plan, slab, output.m);
  check_launch();

  const std::uint64_t slabs = ceil_div(output.n, 8 * pieces);
  const std::uint64_t groups = std::uint64_t{plan.windows} * window_groups;
  const auto multiprocessors =
      static_cast<std::uint64_t>(attribute(context, cudaDevAttrMultiProcessorCount));
  const std::uint64_t parts = std::clamp<std::uint64_t>(multiprocessors / slabs, 1, plan.windows);
  const auto groups_per_block = static_cast<std::uint32_t>(ceil_div(groups, parts));
  const dim3 grid(static_cast<unsigned>(slabs),
                  static_cast<unsigned>(ceil_div(groups, groups_per_block)));
  auto* kernel = gather_groups<W, Y, pieces>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(slab.bytes())));
  launch_dependent(context, kernel, grid, gather_threads<pieces>, slab.bytes(), plan, slab,
                   static_cast<const W*>(weights.data), static_cast<Y*>(output.data),
                   static_cast<std::uint32_t>(output.m), weights.k, output.n, groups_per_block);
  check_launch();
}

}  // namespace

std::size_t slab_groups_workspace_bytes(const CudaContext& context, const Csr& csr, int columns) {
  WorkspaceCarver carver;
  if (columns == 64) {
    carve_plan(carver, csr, slab_for<8>(context, csr.layout.k()));
  } else {
    carve_plan(carver, csr, slab_for<4>(context, csr.layout.k()));
  }
  return carver.bytes();
}

void slab_groups(const CudaContext& context, const Csr& csr, const WeightView& weights,
                 const OutputView& output, int columns, Workspace workspace) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      if (columns == 64) {
        launch<W, Y, 8>(context, csr, weights, output, workspace);
      } else {
        launch<W, Y, 4>(context, csr, weights, output, workspace);
      }
    }
  });
}

}  // namespace spiketune::cuda
