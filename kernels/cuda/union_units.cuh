#pragma once
/// \file
/// Spikes regrouped for union_gather.cu: of 16 rows of S, a unit, the columns that any of them
/// has, and which of them do.
///
///   row 0:   1 . . 1 . . .        columns  0   3   5       steps of 16 columns, which are an
///   row 1:   . . . 1 . 1 .   ──▶  rows     {0} {0,1} {1}   operand A (W) and an operand B (S)
///
/// Columns 0 to 7 of a step are of classes (column mod 8) 0 to 7, and so are columns 8 to 15: what
/// is read together lies in all banks of shared memory. A class with fewer columns than the others
/// is filled up with columns that no row has.
///
/// Columns beyond those that fit into shared memory, the far ones, are lists of each row.

#include <cstdint>

#include "spiketune/core/portable.hpp"
#include "spiketune/core/shape.hpp"
#include "spiketune/core/workspace.hpp"

namespace spiketune::cuda {

inline constexpr std::uint32_t unit_rows = 16;
inline constexpr std::uint32_t step_columns = 16;
inline constexpr std::uint32_t batch_steps = 8;
inline constexpr std::uint32_t far_batch_entries = 8;
inline constexpr std::uint32_t most_octets = 480;  // that kernels which make units can take

/// `octets` octets of rows of W in shared memory, `columns` (32 or 64) columns of each; `far` rows
/// find no room in it.
struct UnionSlab {
  std::uint32_t columns;
  std::uint32_t octets;
  std::uint32_t far;

  [[nodiscard]] SPIKETUNE_HD std::uint32_t resident() const { return octets * 8; }
  [[nodiscard]] SPIKETUNE_HD std::size_t bytes() const {
    return std::size_t{octets} * 8 * columns * 2;
  }
  /// Pieces of 16 bytes from the slab's begin to piece 0 of a row; piece p: its lowest two bits, or
  /// three where there are 64 columns, xor p. Eight rows of different classes, row mod 8, have the
  /// same piece in different bank groups.
  [[nodiscard]] SPIKETUNE_HD std::uint32_t place(std::uint32_t row) const {
    const std::uint32_t wide = columns / 64;
    return (row << (2 + wide)) + (row >> (1 - wide) & (3 + 4 * wide));
  }
};

/// Eight steps. Lane 4·r + i of a warp holds columns 2·i, 2·i + 1 and 8 more of a step, and rows r
/// and r + 8.
struct Batch {
  std::uint16_t places[step_columns][batch_steps];
  /// Bit `step` of bytes 0 to 3: whether row r has the even column, row r + 8 has it, row r has the
  /// odd column, row r + 8 has it. x: of the first eight columns, y: of the others.
  uint2 bits[32];
};

struct FarBatch {
  std::uint16_t rows[unit_rows][far_batch_entries];  ///< of W, from the first far one
};

struct alignas(16) Unit {
  std::uint32_t more;            ///< where its batches after the first are
  std::uint32_t far_batch;       ///< where its far batches are
  std::uint16_t steps;           ///< of all batches
  std::uint16_t far_entries[2];  ///< the most of rows 0 to 7, and of rows 8 to 15
  std::uint16_t unused = 0;      ///< written too: a unit is read whole
};

/// `offset` of a unit: columns that the units before it have, each counted once or more often.
struct UnionPlan {
  Unit* units = nullptr;
  Batch* batches = nullptr;  ///< the first of each unit, then the others
  FarBatch* far_batches = nullptr;
  std::uint32_t size = 0;              ///< units
  std::uint32_t batches_per_unit = 0;  ///< after the first; 0: as many as its nonzeros may need
  std::uint32_t far_batches_per_unit = 0;

  [[nodiscard]] __device__ std::uint32_t more_of(std::uint32_t unit, std::uint64_t offset) const {
    return size + (batches_per_unit != 0 ? unit * batches_per_unit
                                         : static_cast<std::uint32_t>(offset / 16));
  }
  [[nodiscard]] __device__ std::uint32_t far_batch_of(std::uint32_t unit,
                                                      std::uint64_t offset) const {
    return batches_per_unit != 0 ? unit * far_batches_per_unit
                                 : unit + static_cast<std::uint32_t>(offset / far_batch_entries);
  }
};

/// Room for the units of `m` rows that have at most `entries` columns, each counted in every unit:
/// the smaller of what that and what the shape may need.
inline UnionPlan carve_union_plan(WorkspaceCarver& carver, std::uint64_t m, std::uint64_t entries,
                                  const UnionSlab& slab) {
  UnionPlan plan;
  plan.size = static_cast<std::uint32_t>(ceil_div(m, unit_rows));
  const std::uint64_t most = ceil_div(slab.octets, 2 * batch_steps);
  const std::uint64_t most_far = ceil_div(slab.far, far_batch_entries);
  const std::uint64_t by_shape = plan.size * (most * sizeof(Batch) + most_far * sizeof(FarBatch));
  const std::uint64_t by_entries =
      entries / 16 * sizeof(Batch) + (plan.size + entries / far_batch_entries) * sizeof(FarBatch);
  std::uint64_t batches = entries / 16;
  std::uint64_t far_batches = plan.size + entries / far_batch_entries;
  if (by_shape < by_entries) {
    plan.batches_per_unit = static_cast<std::uint32_t>(most);
    plan.far_batches_per_unit = static_cast<std::uint32_t>(most_far);
    batches = plan.size * most;
    far_batches = plan.size * most_far;
  }
  plan.units = carver.take<Unit>(plan.size);
  plan.batches = carver.take<Batch>(plan.size + batches);
  plan.far_batches = carver.take<FarBatch>(slab.far == 0 ? 0 : far_batches);
  return plan;
}

}  // namespace spiketune::cuda
