#pragma once
/// \file
/// Binary Csr regrouped for slab_groups.cu: four rows of similar length go together, and their
/// columns become lists that a lane reads 16 bytes at a time.
///
///   32 rows of S ──sort by length──▶ 8 groups of 4 ──▶ lists, interleaved in batches of 8 entries
///
///               list 0         list 1        …
///   batch 0     [8 columns]    [8 columns]
///   batch 1     [8 columns]    [8 columns]
///
/// An entry of the four lists of a group is what one ldmatrix collects: list i % 2 + 2·(j % 2) has
/// spike j of row i of the group as its entry j - j % 2 + i / 2.

#include <algorithm>
#include <cstdint>

#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/core/workspace.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/cuda/slab_sums.cuh"

namespace spiketune::cuda {

inline constexpr std::uint32_t window_rows = 32;  // of S, sorted together
inline constexpr std::uint32_t window_groups = window_rows / group_rows;
inline constexpr std::uint32_t batch_entries = 8;
inline constexpr std::uint32_t group_lists = 4;
inline constexpr int plan_warps = 8;

struct alignas(16) Group {
  std::uint32_t batch;            ///< the first of its lists
  std::uint32_t entries;          ///< of a list; even
  std::uint8_t rows[group_rows];  ///< within the window
};

struct GroupPlan {
  Group* groups = nullptr;  ///< [windows · window_groups]
  uint4* lists = nullptr;   ///< [batch][group_lists]
  std::uint32_t windows = 0;
  std::uint32_t batches_per_window = 0;  ///< 0: a window begins where its nonzeros say

  [[nodiscard]] __device__ std::uint32_t first_batch(const Csr& csr, std::uint32_t window) const {
    if (batches_per_window != 0) return window * batches_per_window;
    return csr.row_offsets[std::uint64_t{window} * window_rows] / batch_entries +
           window * window_groups;
  }
};

/// The smaller of what the capacity of `csr` and what its shape may need.
inline GroupPlan carve_plan(WorkspaceCarver& carver, const Csr& csr) {
  GroupPlan plan;
  plan.windows = static_cast<std::uint32_t>(ceil_div(csr.layout.m(), window_rows));
  const std::uint64_t most = window_groups * ceil_div(csr.layout.k() + 1, batch_entries);
  const std::uint64_t by_nonzeros =
      csr.column_indices.size / batch_entries + std::uint64_t{plan.windows} * window_groups;
  const bool by_shape = most * plan.windows < by_nonzeros;
  if (by_shape) plan.batches_per_window = static_cast<std::uint32_t>(most);
  plan.groups = carver.take<Group>(std::uint64_t{plan.windows} * window_groups);
  plan.lists = carver.take<uint4>((by_shape ? most * plan.windows : by_nonzeros) * group_lists);
  return plan;
}

__device__ inline std::uint32_t whole_batches(std::uint32_t entries) {
  return (entries + batch_entries - 1) / batch_entries;
}

/// A warp makes the groups of a window; lane i has row i.
__device__ inline void group_window(const Csr& csr, const GroupPlan& plan,
                                    const std::uint32_t (&counts)[window_rows],
                                    std::uint32_t (&place)[window_rows],  // of a row, once sorted
                                    Group (&groups)[window_groups]) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t mine = counts[lane];
  std::uint32_t rank = 0;
#pragma unroll
  for (std::uint32_t i = 0; i < window_rows; ++i) {
    const std::uint32_t other = __shfl_sync(~0u, mine, i);
    rank += other < mine || (other == mine && i < lane);
  }
  place[lane] = rank;
  groups[rank / group_rows].rows[rank % group_rows] = static_cast<std::uint8_t>(lane);
  __syncwarp();
  const bool leads = lane < window_groups;
  Group& group = groups[lane % window_groups];
  const std::uint32_t most = counts[group.rows[group_rows - 1]];
  const std::uint32_t batches = leads ? whole_batches(most) : 0;
  std::uint32_t end = batches;  // of its batches, in the window
#pragma unroll
  for (std::uint32_t i = 1; i < window_groups; i *= 2) {
    const std::uint32_t before = __shfl_up_sync(~0u, end, i);
    if (lane >= i) end += before;
  }
  if (leads) {
    group.batch = plan.first_batch(csr, blockIdx.x) + end - batches;
    group.entries = most + most % 2;
    plan.groups[std::uint64_t{blockIdx.x} * window_groups + lane] = group;
  }
}

/// A block takes a window, a warp four of its rows.
static __global__ void __launch_bounds__(32 * plan_warps)
    plan_groups(const __grid_constant__ Csr csr, const GroupPlan plan, std::uint64_t m) {
  start_dependents();
  constexpr int rows = window_rows / plan_warps;
  __shared__ std::uint32_t counts[window_rows];
  __shared__ std::uint32_t place[window_rows];
  __shared__ Group groups[window_groups];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  const auto* indices = csr.column_indices.as<std::uint16_t>();

  std::uint32_t begin[rows], count[rows], first[rows];
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    const std::uint64_t row = std::uint64_t{blockIdx.x} * window_rows + warp * rows + i;
    begin[i] = row < m ? csr.row_offsets[row] : 0;
    count[i] = row < m ? csr.row_offsets[row + 1] - begin[i] : 0;
  }
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    first[i] = lane < count[i] ? indices[begin[i] + lane] : 0;
    if (lane == 0) counts[warp * rows + i] = count[i];
  }
  __syncthreads();
  if (warp == 0) group_window(csr, plan, counts, place, groups);
  __syncthreads();

#pragma unroll
  for (int i = 0; i < rows; ++i) {
    const std::uint32_t at = place[warp * rows + i];
    const Group& group = groups[at / group_rows];
    const std::uint32_t in_group = at % group_rows;
    const auto put = [&](std::uint32_t j, std::uint32_t column) {
      const std::uint32_t entry = j - j % 2 + in_group / 2;
      uint4* const batch =
          plan.lists + std::uint64_t{group.batch + entry / batch_entries} * group_lists;
      reinterpret_cast<std::uint16_t*>(batch + in_group % 2 + j % 2 * 2)[entry % batch_entries] =
          static_cast<std::uint16_t>(column);
    };
    for (std::uint32_t j = lane; j < count[i]; j += 32) {
      put(j, j < 32 ? first[i] : indices[begin[i] + j]);
    }
    // What is missing of a list, to the end of its last batch: the line of zeros, K.
    const std::uint32_t end = whole_batches(group.entries) * batch_entries;
    for (std::uint32_t j = count[i] + lane; j < end; j += 32) put(j, csr.layout.k());
  }
}

}  // namespace spiketune::cuda
