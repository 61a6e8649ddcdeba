#pragma once
/// \file
/// Units of a binary Csr (union_units.cuh).

#include <algorithm>
#include <cstdint>

#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/cuda/union_units.cuh"

namespace spiketune::cuda {

inline constexpr int plan_threads = 512;  // a warp for each row

/// A block makes a unit, a warp takes a row of it.
static __global__ void __launch_bounds__(plan_threads)
    plan_units(const __grid_constant__ Csr csr, const UnionPlan plan, const UnionSlab slab,
               std::uint64_t m) {
  start_dependents();
  constexpr std::uint32_t warps = plan_threads / 32;
  constexpr std::uint32_t most_steps = most_octets / 2;
  __shared__ __align__(16) std::uint32_t rows_of[most_octets * 4];  // 16 bits for each column
  __shared__ __align__(16) std::uint32_t step_rows[most_steps * step_columns / 2];
  __shared__ std::uint32_t before[warps][8];  // columns of class c of the warps before
  __shared__ std::uint32_t total[8];
  __shared__ std::uint32_t far_count[unit_rows];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t unit = blockIdx.x;
  for (std::uint32_t i = threadIdx.x; i < most_octets; i += plan_threads) {
    reinterpret_cast<uint4*>(rows_of)[i] = {0, 0, 0, 0};
    reinterpret_cast<uint4*>(step_rows)[i] = {0, 0, 0, 0};
  }
  const std::uint64_t row = std::uint64_t{unit} * unit_rows + warp;
  const std::uint32_t begin = row < m ? csr.row_offsets[row] : 0;
  const std::uint32_t end = row < m ? csr.row_offsets[row + 1] : 0;
  const std::uint32_t offset = csr.row_offsets[std::uint64_t{unit} * unit_rows];
  const std::uint32_t far_batch = plan.far_batch_of(unit, offset);
  __syncthreads();

  std::uint32_t resident = 0;
  for (std::uint32_t at = begin; at < end; at += 32) {
    const std::uint32_t column =
        at + lane < end ? csr.column_indices.as<const std::uint16_t>()[at + lane] : 0xffffffffu;
    const bool near = column < slab.resident();
    resident += __popc(__ballot_sync(~0u, near));
    if (near) {
      atomicOr(&rows_of[column / 2], 1u << (warp + column % 2 * 16));
    } else if (at + lane < end) {
      const std::uint32_t j = at + lane - begin - resident;  // columns ascend
      plan.far_batches[far_batch + j / far_batch_entries].rows[warp][j % far_batch_entries] =
          static_cast<std::uint16_t>(column - slab.resident());
    }
  }
  if (lane == 0) far_count[warp] = end - begin - resident;
  __syncthreads();

  // A thread has an octet; a class's columns are numbered in the order of octets.
  uint4 octet = {};
  if (threadIdx.x < slab.octets) octet = reinterpret_cast<const uint4*>(rows_of)[threadIdx.x];
  const std::uint32_t pairs[4] = {octet.x, octet.y, octet.z, octet.w};
  std::uint32_t number[8];
#pragma unroll
  for (std::uint32_t c = 0; c < 8; ++c) {
    const bool used = (pairs[c / 2] >> (c % 2 * 16) & 0xffff) != 0;
    const std::uint32_t all = __ballot_sync(~0u, used);
    number[c] = __popc(all & ((1u << lane) - 1));
    if (lane == c) before[warp][c] = __popc(all);
  }
  __syncthreads();
  if (threadIdx.x < 8) {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < warps; ++i) {
      const std::uint32_t count = before[i][threadIdx.x];
      before[i][threadIdx.x] = sum;
      sum += count;
    }
    total[threadIdx.x] = sum;
  }
  __syncthreads();
  std::uint32_t most = 0;
#pragma unroll
  for (std::uint32_t c = 0; c < 8; ++c) most = std::max(most, total[c]);
  const std::uint32_t steps = (most + 1) / 2;
  // The first is read whether there are steps or not.
  const std::uint32_t batches = std::max(1u, (steps + batch_steps - 1) / batch_steps);
  const std::uint32_t more = plan.more_of(unit, offset);
  const auto batch_at = [&](std::uint32_t i) -> Batch& {
    return plan.batches[i == 0 ? unit : more + i - 1];
  };
  const auto put = [&](std::uint32_t c, std::uint32_t i, std::uint32_t place) {
    const std::uint32_t step = i / 2;
    batch_at(step / batch_steps).places[i % 2 * 8 + c][step % batch_steps] =
        static_cast<std::uint16_t>(place);
  };
#pragma unroll
  for (std::uint32_t c = 0; c < 8; ++c) {
    const std::uint32_t rows = pairs[c / 2] >> (c % 2 * 16) & 0xffff;
    if (rows != 0) {
      const std::uint32_t i = before[warp][c] + number[c];
      put(c, i, slab.place(threadIdx.x * 8 + c));
      reinterpret_cast<std::uint16_t*>(step_rows)[i / 2 * step_columns + i % 2 * 8 + c] =
          static_cast<std::uint16_t>(rows);
    }
  }
  for (std::uint32_t i = threadIdx.x; i < batches * batch_steps * step_columns; i += plan_threads) {
    const std::uint32_t c = i % 8;
    if (i / 8 >= total[c]) put(c, i / 8, slab.place(c));
  }
  __syncthreads();
  for (std::uint32_t b = warp; b < batches; b += warps) {
    uint2 bits = {};
    for (std::uint32_t s = 0; s < batch_steps; ++s) {
      const std::uint32_t step = b * batch_steps + s;
      if (step >= steps) break;
      const std::uint32_t at = step * (step_columns / 2) + lane % 4;
      bits.x |= (step_rows[at] >> (lane / 4) & 0x01010101u) << s;
      bits.y |= (step_rows[at + 4] >> (lane / 4) & 0x01010101u) << s;
    }
    batch_at(b).bits[lane] = bits;
  }

  // What is missing of a far list, to the end of its last batch: the far row of zeros.
  std::uint32_t far_entries[2] = {};
#pragma unroll
  for (std::uint32_t i = 0; i < unit_rows; ++i) {
    far_entries[i / 8] = std::max(far_entries[i / 8], far_count[i]);
  }
  const std::uint32_t far_end =
      (far_entries[warp / 8] + far_batch_entries - 1) / far_batch_entries * far_batch_entries;
  for (std::uint32_t j = far_count[warp] + lane; j < far_end; j += 32) {
    plan.far_batches[far_batch + j / far_batch_entries].rows[warp][j % far_batch_entries] =
        static_cast<std::uint16_t>(slab.far);
  }
  if (threadIdx.x == 0) {
    plan.units[unit] = {
        more,
        far_batch,
        static_cast<std::uint16_t>(steps),
        {static_cast<std::uint16_t>(far_entries[0]), static_cast<std::uint16_t>(far_entries[1])}};
  }
}

}  // namespace spiketune::cuda
