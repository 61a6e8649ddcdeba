// Y = S·W with S in column vectors or blocks: plan_columns() makes units of 16 rows of S of them
// (union_units.cuh), union_gather.cu multiplies these. A warp makes a unit. Columns of vectors of
// 16 rows are numbered within their class as they are listed, 32 at a time; of others the rows of
// each column are collected first:
//
//   vectors or blocks ──▶ 16 bits for each column of S ──ballots──▶ the columns that are used
//
// Bytes: the format once, and four for each column of a unit. Bound by instructions, some 70 for 32
// vectors of 16 rows, and 200 for 256 columns of S.

#include "spiketune/kernels/union_mma.hpp"

#include <algorithm>
#include <type_traits>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/union_gather.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// Of a block. Four of K 2304 share a multiprocessor with 20 others.
constexpr int plan_warps = 4;

/// Columns that the units before `unit` have, those of each counted, at most.
__device__ std::uint64_t columns_before(const Cvs& cvs, std::uint32_t unit) {
  const std::uint32_t v = cvs.vector();
  return cvs.vector_offsets[std::uint64_t{unit} * (v == 16 ? 1 : v == 8 ? 2 : 4)];
}
__device__ std::uint64_t columns_before(const Bsr& bsr, std::uint32_t unit) {
  const std::uint32_t b = bsr.block_size();
  const std::uint64_t row = std::uint64_t{unit} * unit_rows;
  const std::uint32_t begin = bsr.block_row_offsets[row / b];
  if (b <= unit_rows) return std::uint64_t{begin} * b;
  const std::uint32_t blocks = bsr.block_row_offsets[row / b + 1] - begin;
  return std::uint64_t{begin} * b * (b / unit_rows) + row % b / unit_rows * blocks * b;
}
/// Of all units, at most.
std::uint64_t most_columns(const Cvs& cvs) {
  return cvs.column_indices.size;
}
std::uint64_t most_columns(const Bsr& bsr) {
  const std::uint32_t b = bsr.block_size();
  return bsr.block_column_indices.size * b * std::max(b / unit_rows, 1u);
}

/// Calls visit(column, rows), all lanes together, for each column of a unit, or several times for
/// one with different rows, between which next() is called. Lanes without a column have rows 0.
/// Of vectors of 4 or 8 rows.
template <class Visit, class Next>
__device__ void for_each_column(const Cvs& cvs, std::uint32_t unit, std::uint32_t lane,
                                Visit&& visit, Next&& next) {
  const std::uint32_t v = cvs.vector();
  const auto* indices = cvs.column_indices.as<std::uint16_t>();  // K is small enough for them
  const auto* masks = cvs.masks.as<std::uint8_t>();
  std::uint64_t group = std::uint64_t{unit} * (v == 8 ? 2 : 4);
  for (std::uint32_t row = 0; row < unit_rows && group < cvs.groups(); row += v, ++group) {
    next();
    const std::uint32_t begin = cvs.vector_offsets[group];
    const std::uint32_t count = cvs.vector_offsets[group + 1] - begin;
    for (std::uint32_t at = lane; at - lane < count; at += 32) {
      const std::uint64_t vector = std::uint64_t{begin} + at;
      const bool inside = at < count;
      visit(inside ? indices[vector] : 0u, inside ? std::uint32_t{masks[vector]} << row : 0u);
    }
  }
}

/// The transpose of a matrix of side x side bits, of which a lane has row lane % side.
template <std::uint32_t side>
__device__ std::uint32_t transpose(std::uint32_t row, std::uint32_t lane) {
  std::uint32_t left = low_mask(side);  // columns whose number lacks the bit `apart`
#pragma unroll
  for (std::uint32_t apart = side / 2; apart != 0; apart /= 2) {
    left ^= left << apart;
    left &= low_mask(side);
    const std::uint32_t other = __shfl_xor_sync(~0u, row, apart);
    row = (lane & apart) == 0 ? (row & left) | (other & left) << apart
                              : (row & ~left) | (other >> apart & left);
  }
  return row;
}

/// Tiles of `side` x `side` of block row `block_row`, from row `first_row` of it on: a lane has a
/// row of a tile, and then a column.
template <std::uint32_t side, class Visit>
__device__ void for_each_tile(const Bsr& bsr, std::uint64_t block_row, std::uint32_t first_row,
                              std::uint32_t lane, Visit&& visit) {
  const std::uint32_t b = bsr.block_size();
  const std::uint32_t begin = bsr.block_row_offsets[block_row];
  const std::uint32_t tiles = (bsr.block_row_offsets[block_row + 1] - begin) * (b / side);
  const std::uint32_t in_tile = lane % side;
  for (std::uint32_t first = 0; first < tiles; first += 32 / side) {
    const std::uint32_t tile = first + lane / side;
    const std::uint64_t block = std::uint64_t{begin} + tile / (b / side);
    const std::uint32_t in_block = tile % (b / side) * side;
    std::uint32_t row = 0;
    std::uint32_t column = 0;
    if (tile < tiles) {
      const std::uint32_t at = (first_row + in_tile) * b + in_block;
      row = bsr.patterns[block * bsr.words_per_block() + at / 32] >> at % 32;
      column = load_index(bsr.block_column_indices, block) * b + in_block + in_tile;
    }
    visit(column, transpose<side>(row & low_mask(side), lane));
  }
}
template <class Visit, class Next>
__device__ void for_each_column(const Bsr& bsr, std::uint32_t unit, std::uint32_t lane,
                                Visit&& visit, Next&& next) {
  const std::uint32_t b = bsr.block_size();
  const std::uint64_t first_row = std::uint64_t{unit} * unit_rows;
  if (b >= unit_rows) {
    next();
    for_each_tile<unit_rows>(bsr, first_row / b, static_cast<std::uint32_t>(first_row % b), lane,
                             visit);
    return;
  }
  for (std::uint32_t i = 0; i < 2 && first_row / b + i < bsr.block_rows(); ++i) {
    next();
    for_each_tile<8>(
        bsr, first_row / b + i, 0, lane,
        [&](std::uint32_t column, std::uint32_t rows) { visit(column, rows << i * 8); });
  }
}

/// Makes the far lists of a unit. Lane r has the length of row r's.
class FarLists {
 public:
  __device__ FarLists(const UnionPlan& plan, const UnionSlab& slab, std::uint32_t first_batch,
                      std::uint32_t lane)
      : batches_(plan.far_batches + first_batch), slab_(slab), lane_(lane) {}

  __device__ void add(std::uint32_t column, std::uint32_t rows) {
    const bool far = column >= slab_.resident();
    if (!__any_sync(~0u, far)) return;
#pragma unroll 1
    for (std::uint32_t r = 0; r < unit_rows; ++r) {
      const bool mine = far && (rows >> r & 1u) != 0;
      const std::uint32_t all = __ballot_sync(~0u, mine);
      const std::uint32_t before = __shfl_sync(~0u, length_, r);
      if (mine) put(r, before + __popc(all & ((1u << lane_) - 1)), column - slab_.resident());
      if (lane_ == r) length_ += __popc(all);
    }
  }

  /// The most of rows 8·half up to 8·half + 7, whose lists end with the far row of zeros.
  __device__ std::uint16_t finish(std::uint32_t half) {
    const std::uint32_t longest = __reduce_max_sync(~0u, lane_ / 8 == half ? length_ : 0);
    const std::uint32_t end =
        (longest + far_batch_entries - 1) / far_batch_entries * far_batch_entries;
    for (std::uint32_t r = half * 8; r < half * 8 + 8; ++r) {
      const std::uint32_t length = __shfl_sync(~0u, length_, r);
      for (std::uint32_t j = length + lane_; j < end; j += 32) put(r, j, slab_.far);
    }
    return static_cast<std::uint16_t>(longest);
  }

 private:
  __device__ void put(std::uint32_t r, std::uint32_t j, std::uint32_t far_row) {
    batches_[j / far_batch_entries].rows[r][j % far_batch_entries] =
        static_cast<std::uint16_t>(far_row);
  }

  FarBatch* batches_;
  const UnionSlab& slab_;
  std::uint32_t lane_;
  std::uint32_t length_ = 0;
};

/// Steps in the shared memory of a warp, whole batches of them, until they are stored: columns are
/// numbered within their class, column i of class c is column i % 2 · 8 + c of step i / 2.
class StepsMade {
 public:
  static constexpr std::uint32_t batch_columns = batch_steps * step_columns;
  /// Of shared memory, two bytes each, for places, and as many for rows.
  static std::uint32_t capacity(const UnionSlab& slab) {
    return static_cast<std::uint32_t>(ceil_div(std::max(slab.octets, 1u), 2 * batch_steps)) *
           batch_columns;
  }

  __device__ StepsMade(std::uint16_t* rows, std::uint32_t capacity)
      : rows_(rows), places_(rows + capacity) {}

  __device__ void put(std::uint32_t c, std::uint32_t i, std::uint32_t place, std::uint32_t rows) {
    rows_[i * 8 + c] = static_cast<std::uint16_t>(rows);
    places_[(i & ~15u) * 8 + (i % 2 * 8 + c) * batch_steps + i / 2 % batch_steps] =
        static_cast<std::uint16_t>(place);
  }

  /// Fills up the last batch; lanes that have class c = lane % 8 have `total` of it. Returns the
  /// number of steps.
  __device__ std::uint32_t finish(std::uint32_t total, const UnionSlab& slab, std::uint32_t lane) {
    steps_ = (__reduce_max_sync(~0u, total) + 1) / 2;
    // The first batch is read whether there are steps or not.
    const std::uint32_t end =
        (std::max(steps_, 1u) + batch_steps - 1) / batch_steps * (2 * batch_steps);
    for (std::uint32_t i = total + lane / 8; i < end; i += 4) {
      put(lane % 8, i, slab.place(lane % 8), 0);
    }
    __syncwarp();
    return steps_;
  }

  /// Stores the batches: the first as number `first`, the others from `more` on.
  __device__ void store(Batch* batches, std::uint32_t first, std::uint32_t more,
                        std::uint32_t lane) const {
    const auto* pairs = reinterpret_cast<const std::uint32_t*>(rows_) + lane % 4;
    const auto* places = reinterpret_cast<const uint2*>(places_) + lane;
    const std::uint32_t row = lane / 4;
    const auto rotate = [](std::uint32_t x, std::uint32_t by) {
      return x << by | x >> (32 - by) % 32;
    };
    for (std::uint32_t b = 0; b == 0 || b * batch_steps < steps_; ++b) {
      // A step a bit, the bits of `row` where they are in a pair until all are there.
      uint2 bits = {};
#pragma unroll
      for (std::uint32_t s = batch_steps; s-- > 0;) {
        bits.x = rotate(bits.x, 1) | (pairs[s * (step_columns / 2)] & 0x01010101u << row);
        bits.y = rotate(bits.y, 1) | (pairs[s * (step_columns / 2) + 4] & 0x01010101u << row);
      }
      Batch& to = batches[b == 0 ? first : more + b - 1];
      to.bits[lane] = {rotate(bits.x, (32 - row) % 32), rotate(bits.y, (32 - row) % 32)};
      reinterpret_cast<uint2*>(to.places)[lane] = *places;
      pairs += batch_columns / 2;
      places += batch_columns / 4;
    }
  }

 private:
  std::uint16_t* rows_;
  std::uint16_t* places_;
  std::uint32_t steps_ = 0;
};

/// Vectors of 16 rows, 32 at a time. Returns how many of class lane % 8 there are.
__device__ std::uint32_t number_vectors(const Cvs& cvs, std::uint32_t unit, const UnionSlab& slab,
                                        std::uint32_t lane, StepsMade& steps, FarLists& far) {
  constexpr std::uint32_t together = 4;  // loads in flight
  constexpr std::uint32_t none = 0xffffffff;
  const std::uint32_t begin = cvs.vector_offsets[unit];
  const std::uint32_t count = cvs.vector_offsets[unit + std::uint64_t{1}] - begin;
  // K is small enough for 16 bits.
  const auto* indices = cvs.column_indices.as<std::uint16_t>() + begin + lane;
  const auto* masks = cvs.masks.as<std::uint16_t>() + begin + lane;
  const std::uint32_t resident = slab.resident();
  const auto same_class = [](const std::uint32_t(&ballots)[3], std::uint32_t c) {
    return (ballots[0] ^ ((c & 1u) - 1)) & (ballots[1] ^ ((c >> 1 & 1u) - 1)) &
           (ballots[2] ^ ((c >> 2 & 1u) - 1));
  };
  std::uint32_t total = 0;
  for (std::uint32_t done = 0; done < count; done += 32 * together) {
    std::uint32_t columns[together], rows[together];
#pragma unroll
    for (std::uint32_t j = 0; j < together; ++j) {
      const bool inside = done + j * 32 + lane < count;
      columns[j] = inside ? indices[done + j * 32] : none;
      rows[j] = inside ? masks[done + j * 32] : 0;
    }
#pragma unroll
    for (std::uint32_t j = 0; j < together; ++j) {
      if (j * 32 >= count - done) break;
      const std::uint32_t column = columns[j];
      const bool near = column < resident;
      const std::uint32_t all = __ballot_sync(~0u, near);
      const std::uint32_t ballots[3] = {__ballot_sync(~0u, (column & 1u) != 0),
                                        __ballot_sync(~0u, (column & 2u) != 0),
                                        __ballot_sync(~0u, (column & 4u) != 0)};
      const std::uint32_t before = __shfl_sync(~0u, total, column % 8);
      const std::uint32_t mine = same_class(ballots, column) & all & ((1u << lane) - 1);
      if (near) steps.put(column % 8, before + __popc(mine), slab.place(column), rows[j]);
      total += __popc(same_class(ballots, lane) & all);
      if (slab.far != 0) far.add(column == none ? 0 : column, rows[j]);
    }
  }
  return total;
}

/// The same from 16 bits for each column of S, which are where the rows of `steps` will be:
/// numbering moves them to lower places.
__device__ std::uint32_t number_columns(const std::uint16_t* rows_of, const UnionSlab& slab,
                                        std::uint32_t lane, StepsMade& steps) {
  const auto* pieces = reinterpret_cast<const uint4*>(rows_of);
  std::uint32_t total[8] = {};
  for (std::uint32_t first = 0; first < slab.octets; first += 32) {
    const std::uint32_t octet = first + lane;
    uint4 piece = {};
    if (octet < slab.octets) piece = pieces[octet];
    __syncwarp();
    const std::uint32_t pairs[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
    for (std::uint32_t c = 0; c < 8; ++c) {
      const std::uint32_t rows = pairs[c / 2] >> c % 2 * 16 & 0xffff;
      const std::uint32_t all = __ballot_sync(~0u, rows != 0);
      const std::uint32_t i = total[c] + __popc(all & ((1u << lane) - 1));
      if (rows != 0) steps.put(c, i, slab.place(octet * 8 + c), rows);
      total[c] += __popc(all);
    }
  }
  std::uint32_t mine = 0;
#pragma unroll
  for (std::uint32_t c = 0; c < 8; ++c) {
    if (lane % 8 == c) mine = total[c];
  }
  return mine;
}

/// A warp makes a unit. `listed`: S is in vectors of 16 rows.
template <bool listed, class Format>
__global__ void __launch_bounds__(32 * plan_warps)
    plan_columns(const __grid_constant__ Format format, const UnionPlan plan, const UnionSlab slab,
                 std::uint32_t capacity) {
  start_dependents();
  extern __shared__ uint4 memory[];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t unit = blockIdx.x * plan_warps + threadIdx.x / 32;
  if (unit >= plan.size) return;
  auto* const rows_of = reinterpret_cast<std::uint16_t*>(memory) + threadIdx.x / 32 * 2 * capacity;
  const std::uint64_t offset = columns_before(format, unit);
  const std::uint32_t far_batch = plan.far_batch_of(unit, offset);
  FarLists far(plan, slab, far_batch, lane);
  StepsMade made(rows_of, capacity);
  std::uint32_t total;
  if constexpr (listed) {
    total = number_vectors(format, unit, slab, lane, made, far);
  } else {
    for (std::uint32_t i = lane; i < capacity / 8; i += 32) {
      reinterpret_cast<uint4*>(rows_of)[i] = {0, 0, 0, 0};
    }
    for_each_column(
        format, unit, lane,
        [&](std::uint32_t column, std::uint32_t rows) {
          if (rows != 0 && column < slab.resident()) {
            rows_of[column] = static_cast<std::uint16_t>(rows_of[column] | rows);
          }
          if (slab.far != 0) far.add(column, rows);
        },
        [] { __syncwarp(); });
    __syncwarp();
    total = number_columns(rows_of, slab, lane, made);
  }
  __syncwarp();
  const std::uint32_t steps = made.finish(total, slab, lane);
  const std::uint32_t more = plan.more_of(unit, offset);
  made.store(plan.batches, unit, more, lane);
  Unit described = {more, far_batch, static_cast<std::uint16_t>(steps), {0, 0}};
  if (slab.far != 0) {
    described.far_entries[0] = far.finish(0);
    described.far_entries[1] = far.finish(1);
  }
  if (lane == 0) plan.units[unit] = described;
}

UnionSlab slab_for(const CudaContext& context, std::uint32_t k, const UnionMma& config) {
  if (config.columns == 32) return union_slab(context, k, 32);
  const UnionSlab wide = union_slab(context, k, 64);
  return wide.far == 0 || config.columns == 64 ? wide : union_slab(context, k, 32);
}

template <class Format>
UnionPlan carve_plan(WorkspaceCarver& carver, const Format& format, const UnionSlab& slab) {
  return carve_union_plan(carver, format.layout.m(), most_columns(format), slab);
}

template <class Format>
std::size_t workspace_bytes(const CudaContext& context, const Format& format,
                            const OutputView& output, const UnionMma& config) {
  if (output.m == 0 || output.n == 0) return 0;
  const UnionSlab slab = slab_for(context, format.layout.k(), config);
  WorkspaceCarver carver;
  const UnionPlan plan = carve_plan(carver, format, slab);
  carver.take<std::byte>(far_row_bytes(context, plan, slab, output.n));
  return carver.bytes();
}

template <class Format>
void multiply(const CudaContext& context, const Format& format, const WeightView& weights,
              const OutputView& output, const UnionMma& config, Workspace workspace) {
  check_spmm(format, weights, output, Space::device);
  if (const std::string why = config.why_invalid(format.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "union_mma: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  const UnionSlab slab = slab_for(context, weights.k, config);
  if (slab.columns == 64 && slab.far != 0) {
    throw Error(ErrorCode::unsupported,
                "union_mma: the shared memory of this GPU is too little for a slab of K x 64");
  }
  WorkspaceCarver carver(workspace);
  const UnionPlan plan = carve_plan(carver, format, slab);
  auto* const far_rows = carver.take<std::byte>(far_row_bytes(context, plan, slab, output.n));
  const std::uint32_t capacity = StepsMade::capacity(slab);
  const std::size_t bytes = std::size_t{plan_warps} * 2 * capacity * sizeof(std::uint16_t);
  auto* kernel = plan_columns<false, Format>;
  if constexpr (std::is_same_v<Format, Cvs>) {
    if (format.vector() == unit_rows) kernel = plan_columns<true, Format>;
  }
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  // With the split of shared memory and L1 that the product needs, both can share a multiprocessor.
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared));
  kernel<<<static_cast<unsigned>(ceil_div(plan.size, plan_warps)), 32 * plan_warps, bytes,
           context.stream>>>(format, plan, slab, capacity);
  check_launch();
  gather_units(context, plan, slab, far_rows, weights, output);
}

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext& context, const Cvs& cvs, const WeightView&,
                                 const OutputView& output, const UnionMma& config) {
  return cuda::workspace_bytes(context, cvs, output, config);
}
std::size_t spmm_workspace_bytes(const CudaContext& context, const Bsr& bsr, const WeightView&,
                                 const OutputView& output, const UnionMma& config) {
  return cuda::workspace_bytes(context, bsr, output, config);
}
void spmm(const CudaContext& context, const Cvs& cvs, const WeightView& weights,
          const OutputView& output, const UnionMma& config, Workspace workspace) {
  cuda::multiply(context, cvs, weights, output, config, workspace);
}
void spmm(const CudaContext& context, const Bsr& bsr, const WeightView& weights,
          const OutputView& output, const UnionMma& config, Workspace workspace) {
  cuda::multiply(context, bsr, weights, output, config, workspace);
}

}  // namespace spiketune
