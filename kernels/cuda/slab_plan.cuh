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
/// An entry of all lists of a group is what one ldmatrix collects. With a slab of 64 columns there
/// are four lists: list i % 2 + 2·(j % 2) has spike j of row i of the group as its entry
/// j - j % 2 + i / 2. With 32 columns two rows of W share a line of shared memory, `line` and
/// `line + lines`: lists 2·i and 2·i + 1 are the columns of row i in the first and in the second
/// half of the lines. Columns beyond those that fit into shared memory, which are read from L2,
/// have batches of their own after those: list i is of row i.

#include <algorithm>
#include <cstdint>

#include "spiketune/core/workspace.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/cuda/dependent_launch.cuh"
#include "spiketune/kernels/cuda/slab_sums.cuh"

namespace spiketune::cuda {

inline constexpr std::uint32_t window_rows = 32;  // of S, sorted together
inline constexpr std::uint32_t window_groups = window_rows / group_rows;
inline constexpr std::uint32_t batch_entries = 8;
inline constexpr std::uint32_t no_column = 0xffff;
inline constexpr int plan_warps = 8;

struct alignas(16) Group {
  std::uint32_t batch;        ///< the first of its resident columns
  std::uint16_t entries;      ///< of them; even where there are four lists
  std::uint16_t far_entries;  ///< of the others
  std::uint8_t rows[4];       ///< within the window
  std::uint32_t far_batch;
};

struct GroupPlan {
  Group* groups = nullptr;  ///< [windows · window_groups]
  uint4* lists = nullptr;   ///< [batch][Slab::lists]
  std::uint32_t windows = 0;
  std::uint32_t batches_per_window = 0;  ///< 0: a window begins where its nonzeros say

  [[nodiscard]] __device__ std::uint32_t first_batch(const Csr& csr, std::uint32_t window) const {
    if (batches_per_window != 0) return window * batches_per_window;
    return csr.row_offsets[std::uint64_t{window} * window_rows] / batch_entries +
           window * 2 * window_groups;
  }
};

/// The smaller of what the capacity of `csr` and what its shape may need.
template <int pieces>
GroupPlan carve_plan(WorkspaceCarver& carver, const Csr& csr, const Slab<pieces>& slab) {
  GroupPlan plan;
  plan.windows = static_cast<std::uint32_t>(ceil_div(csr.layout.m(), window_rows));
  const std::uint64_t far = csr.layout.k() - std::min(csr.layout.k(), slab.resident_rows());
  const std::uint64_t most =
      window_groups * (ceil_div(slab.lines + 1, batch_entries) + ceil_div(far, batch_entries));
  const std::uint64_t by_nonzeros =
      csr.column_indices.size / batch_entries + std::uint64_t{plan.windows} * 2 * window_groups;
  const bool by_shape = most * plan.windows < by_nonzeros;
  if (by_shape) plan.batches_per_window = static_cast<std::uint32_t>(most);
  plan.groups = carver.take<Group>(std::uint64_t{plan.windows} * window_groups);
  plan.lists =
      carver.take<uint4>((by_shape ? most * plan.windows : by_nonzeros) * Slab<pieces>::lists);
  return plan;
}

__device__ inline std::uint32_t larger(std::uint32_t a, std::uint32_t b) {
  return a > b ? a : b;
}

__device__ inline std::uint32_t whole_batches(std::uint32_t entries) {
  return (entries + batch_entries - 1) / batch_entries;
}

/// A warp makes the groups of a window; lane i has row i.
template <int pieces>
__device__ void group_window(const Csr& csr, const GroupPlan& plan,
                             const std::uint32_t (&entries)[window_rows],
                             const std::uint32_t (&far_entries)[window_rows],
                             std::uint32_t (&place)[window_rows],  // of a row, once sorted
                             Group (&groups)[window_groups]) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t mine = entries[lane];
  std::uint32_t rank = 0;
#pragma unroll
  for (std::uint32_t i = 0; i < window_rows; ++i) {
    const std::uint32_t other = __shfl_sync(~0u, mine, i);
    rank += other < mine || (other == mine && i < lane);
  }
  place[lane] = rank;
  groups[rank / group_rows].rows[rank % group_rows] = static_cast<std::uint8_t>(lane);
  __syncwarp();
  Group& group = groups[lane / group_rows];
  const std::uint32_t row = group.rows[lane % group_rows];  // of rank `lane`
  std::uint32_t most = entries[row];
  std::uint32_t most_far = far_entries[row];
#pragma unroll
  for (int i = 1; i < static_cast<int>(group_rows); i *= 2) {
    most = larger(most, __shfl_xor_sync(~0u, most, i));
    most_far = larger(most_far, __shfl_xor_sync(~0u, most_far, i));
  }
  if constexpr (pieces == 8) most += most % 2;
  const std::uint32_t near_batches = whole_batches(most);
  const std::uint32_t batches = near_batches + whole_batches(most_far);
  std::uint32_t end = lane % group_rows == 0 ? batches : 0;  // of its batches, in the window
#pragma unroll
  for (std::uint32_t i = 1; i < 32; i *= 2) {
    const std::uint32_t before = __shfl_up_sync(~0u, end, i);
    if (lane >= i) end += before;
  }
  if (lane % group_rows == 0) {
    group.batch = plan.first_batch(csr, blockIdx.x) + end - batches;
    group.entries = static_cast<std::uint16_t>(most);
    group.far_entries = static_cast<std::uint16_t>(most_far);
    group.far_batch = group.batch + near_batches;
  }
  __syncwarp();
  if (lane < window_groups) {
    plan.groups[std::uint64_t{blockIdx.x} * window_groups + lane] = groups[lane];
  }
}

/// A block takes a window, a warp four of its rows.
template <int pieces>
__global__ void __launch_bounds__(32 * plan_warps)
    plan_groups(const __grid_constant__ Csr csr, const GroupPlan plan, const Slab<pieces> slab,
                std::uint64_t m) {
  start_dependents();
  constexpr bool split = Slab<pieces>::halves == 2;
  constexpr int rows = window_rows / plan_warps;
  __shared__ std::uint32_t entries[window_rows];
  __shared__ std::uint32_t far_entries[window_rows];
  __shared__ std::uint32_t place[window_rows];
  __shared__ Group groups[window_groups];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  const auto* indices = csr.column_indices.as<std::uint16_t>();

  // The columns of a row come sorted: lower[] in the first half of the lines, resident[] in both.
  std::uint32_t begin[rows], count[rows], lower[rows], resident[rows], first[rows];
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    const std::uint64_t row = std::uint64_t{blockIdx.x} * window_rows + warp * rows + i;
    begin[i] = row < m ? csr.row_offsets[row] : 0;
    count[i] = row < m ? csr.row_offsets[row + 1] - begin[i] : 0;
  }
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    first[i] = lane < count[i] ? indices[begin[i] + lane] : no_column;
  }
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    lower[i] = count[i];
    resident[i] = count[i];
    if constexpr (split) {
      lower[i] = 0;
      resident[i] = 0;
      for (std::uint32_t at = 0; at < count[i]; at += 32) {
        std::uint32_t column = first[i];
        if (at != 0) column = at + lane < count[i] ? indices[begin[i] + at + lane] : no_column;
        lower[i] += __popc(__ballot_sync(~0u, column < slab.lines));
        resident[i] += __popc(__ballot_sync(~0u, column < slab.resident_rows()));
      }
    }
    if (lane == 0) {
      entries[warp * rows + i] = larger(lower[i], resident[i] - lower[i]);
      far_entries[warp * rows + i] = count[i] - resident[i];
    }
  }
  __syncthreads();
  if (warp == 0) group_window<pieces>(csr, plan, entries, far_entries, place, groups);
  __syncthreads();

#pragma unroll
  for (int i = 0; i < rows; ++i) {
    const std::uint32_t at = place[warp * rows + i];
    const Group& group = groups[at / group_rows];
    const std::uint32_t in_group = at % group_rows;
    const auto put = [&](std::uint32_t batch, std::uint32_t list, std::uint32_t entry,
                         std::uint32_t column) {
      uint4* const piece =
          plan.lists + std::uint64_t{batch + entry / batch_entries} * Slab<pieces>::lists + list;
      reinterpret_cast<std::uint16_t*>(piece)[entry % batch_entries] =
          static_cast<std::uint16_t>(column);
    };
    const auto put_near = [&](std::uint32_t half, std::uint32_t j, std::uint32_t column) {
      if constexpr (split) {
        put(group.batch, in_group * 2 + half, j, column);
      } else {
        put(group.batch, in_group % 2 + j % 2 * 2, j - j % 2 + in_group / 2, column);
      }
    };
    for (std::uint32_t j = lane; j < count[i]; j += 32) {
      const std::uint32_t column = j < 32 ? first[i] : indices[begin[i] + j];
      if (j < lower[i]) {
        put_near(0, j, column);
      } else if (j < resident[i]) {
        put_near(1, j - lower[i], column);
      } else {
        put(group.far_batch, in_group, j - resident[i], column);
      }
    }
    // What is missing of a list, to the end of its last batch: the line of zeros, or no column.
    const std::uint32_t end = whole_batches(group.entries) * batch_entries;
    for (std::uint32_t j = lower[i] + lane; j < end; j += 32) put_near(0, j, slab.lines);
    if constexpr (split) {
      for (std::uint32_t j = resident[i] - lower[i] + lane; j < end; j += 32) {
        put_near(1, j, 2 * slab.lines);
      }
      const std::uint32_t far_end = whole_batches(group.far_entries) * batch_entries;
      for (std::uint32_t j = count[i] - resident[i] + lane; j < far_end; j += 32) {
        put(group.far_batch, in_group, j, no_column);
      }
    }
  }
}

}  // namespace spiketune::cuda
