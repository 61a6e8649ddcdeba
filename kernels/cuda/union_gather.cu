// Y = S·W from units of 16 rows of S (union_units.cuh), and W in slabs of 32 or 64 columns of
// shared memory, on the tensor cores: the rows of W that any of 16 rows of S names, times the bits
// that say which of them do.
//
//   ldmatrix: 16 columns of S (rows of W) × 16 of the slab ─▶ operand A ─┐
//             16 columns of S × 8 rows of S, bits ─▶ operand B ──────────┴─ mma ─▶ D[column][row]
//
// Bound by shared memory: a row of the slab for each column that a unit has, at 128 bytes a cycle.
// The steps are made such that all banks work. A row of W that finds no room in shared memory is
// read from L1 and L2 for each spike, as 32 columns:
//
//   far row: lane p of four has elements 2·p and 2·p + 1 of pieces 0 to 3
//
// which is the operand B of two mma with a unit matrix, for eight rows of S at a time.

#include "spiketune/kernels/cuda/union_gather.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/kernels/cuda/slab_sums.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int gather_threads = 768;
constexpr std::uint32_t far_columns = 32;  // of a slab with far rows

template <class T>
__device__ T load_if(bool really, const void* from) {
  T value = {};
  if (really) value = __ldcg(static_cast<const T*>(from));
  return value;
}

__device__ inline Unit load_unit(const Unit* units, std::uint32_t index, std::uint32_t end) {
  Unit unit = {};
  *reinterpret_cast<uint4*>(&unit) = load_if<uint4>(index < end, units + index);
  return unit;
}

template <std::uint32_t columns, class W>
__device__ void load_octets(uint4* to, const UnionSlab& slab, const W* w, std::uint32_t k,
                            std::uint32_t n, std::uint32_t first_column) {
  constexpr std::uint32_t pieces = columns / 8;
  const std::uint32_t piece = threadIdx.x % pieces;
  const std::uint32_t column = first_column + piece * 8;
  for (std::uint32_t row = threadIdx.x / pieces; row < slab.resident();
       row += blockDim.x / pieces) {
    uint4* const at = to + (slab.place(row) ^ piece);
    if (row < k && column < n) {
      __pipeline_memcpy_async(at, w + std::uint64_t{row} * n + column, 16);
    } else {
      *at = {0, 0, 0, 0};
    }
  }
  __pipeline_commit();
}

template <class W>
__device__ void copy_far_rows(W* to, const W* w, const UnionSlab& slab, std::uint32_t n,
                              std::uint32_t first_column) {
  const auto* from = reinterpret_cast<const std::uint32_t*>(w + first_column);
  const std::uint32_t part = threadIdx.x % 4;
  for (std::uint32_t row = threadIdx.x / 4; row <= slab.far; row += blockDim.x / 4) {
    const std::uint64_t source = (slab.resident() + row) * std::uint64_t{n} / 2 + part;
    uint4 words = {};
    if (row < slab.far) {
      words.x = __ldcg(from + source);
      if (first_column + 8 < n) words.y = __ldcg(from + source + 4);
      if (first_column + 16 < n) words.z = __ldcg(from + source + 8);
      if (first_column + 24 < n) words.w = __ldcg(from + source + 12);
    }
    reinterpret_cast<uint4*>(to)[row * 4 + part] = words;
  }
}

/// What a lane has of eight steps.
struct Steps {
  uint4 places;
  uint2 bits;

  template <int i>
  [[nodiscard]] __device__ std::uint32_t place() const {
    const std::uint32_t pair = i < 2 ? places.x : i < 4 ? places.y : i < 6 ? places.z : places.w;
    return __byte_perm(pair, 0, i % 2 == 0 ? 0x4410 : 0x4432);
  }
  /// Four bits of step i, each as the top bit of the exponent of an element (spike_scale).
  template <int i>
  [[nodiscard]] static __device__ std::uint32_t exponents(std::uint32_t bits) {
    return (i < 7 ? bits << (i < 7 ? 6 - i : 0) : bits >> 1) & 0x40404040u;
  }
};

template <int i>
__device__ std::uint32_t far_row(const uint4& batch) {
  const std::uint32_t pair = i < 2 ? batch.x : i < 4 ? batch.y : i < 6 ? batch.z : batch.w;
  return __byte_perm(pair, 0, i % 2 == 0 ? 0x4410 : 0x4432);
}

/// Four lanes have four values each: lane i's value j becomes lane j's value i.
__device__ inline void transpose_4x4(std::uint32_t (&values)[4], std::uint32_t lane) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool set = (lane & bit) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((i & bit) != 0) continue;
      const std::uint32_t other = __shfl_xor_sync(~0u, set ? values[i] : values[i | bit], bit);
      values[i] = set ? other : values[i];
      values[i | bit] = set ? values[i | bit] : other;
    }
  }
}

/// sums[i]: columns 16·i up to 16·i + 15 of eight rows of S, as mma leaves them. Lane 4·r + j
/// stores of row r, which `to` is in.
template <class Y>
__device__ void store_rows(Y* to, const float (&low)[4], const float (&high)[4], bool row_inside,
                           std::uint32_t first_column, std::uint32_t n, std::uint32_t lane) {
  const float sums[8] = {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
  if constexpr (sizeof(Y) == 2) {
    std::uint32_t values[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      values[i] =
          transpose_8x8(from_float<Y>(sums[2 * i] * spike_scale).bits |
                        std::uint32_t{from_float<Y>(sums[2 * i + 1] * spike_scale).bits} << 16);
    }
    transpose_4x4(values, lane);
    const std::uint32_t column = first_column + lane % 4 * 8;
    if (row_inside && column < n) {
      __stcg(reinterpret_cast<uint4*>(to + column),
             uint4{values[0], values[1], values[2], values[3]});
    }
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t column = first_column + i * 8 + lane % 4 * 2;
      store_pair(to + column, row_inside && column < n, sums[2 * i] * spike_scale,
                 sums[2 * i + 1] * spike_scale);
    }
  }
}

/// blockIdx.x: slab, blockIdx.y: part of the units. Warps take the units of their block one after
/// another; a unit's description and its first batch are loaded one unit ahead.
template <class W, class Y, std::uint32_t columns>
__global__ void __launch_bounds__(gather_threads, 1)
    gather_units(const UnionPlan plan, const UnionSlab slab, const W* __restrict__ w,
                 W* __restrict__ far_rows, Y* __restrict__ y, std::uint32_t m, std::uint32_t k,
                 std::uint32_t n, std::uint32_t units_per_block) {
  extern __shared__ uint4 octets[];
  __shared__ std::uint32_t next_unit;
  const std::uint32_t first_column = blockIdx.x * columns;
  load_octets<columns>(octets, slab, w, k, n, first_column);
  if constexpr (columns == far_columns) {
    far_rows += (blockIdx.y * gridDim.x + blockIdx.x) * std::uint64_t{slab.far + 1} * far_columns;
    if (slab.far != 0) copy_far_rows(far_rows, w, slab, n, first_column);
  }
  wait_for_primary();

  std::uint32_t lane = threadIdx.x % 32;
  keep(lane);
  const std::uint32_t warps = blockDim.x / 32;
  const std::uint32_t begin = blockIdx.y * units_per_block;
  std::uint32_t end = plan.size - begin < units_per_block ? plan.size : begin + units_per_block;
  keep(end);
  // Lane 8·i + j reads row j of matrix i: of column j or j + 8 of the step, piece 0 or 1.
  const char* slab_begin = reinterpret_cast<const char*>(octets);
  keep_shared(slab_begin);
  const std::uint32_t piece = lane / 8 % 2 * 16;
  const char* batches = reinterpret_cast<const char*>(plan.batches) +
                        (lane % 8 + lane / 16 * 8) * sizeof(plan.batches->places[0]);
  keep(batches);
  // From a lane's places to its bits.
  const std::uint32_t bits_offset =
      static_cast<std::uint32_t>(sizeof(plan.batches->places)) +
      lane * static_cast<std::uint32_t>(sizeof(uint2)) -
      (lane % 8 + lane / 16 * 8) * static_cast<std::uint32_t>(sizeof(plan.batches->places[0]));
  const auto load_steps = [&](std::uint32_t batch, bool really) {
    const char* at = advance(batches, batch, sizeof(Batch));
    return Steps{load_if<uint4>(really, at), load_if<uint2>(really, at + bits_offset)};
  };
  const char* far_piece = reinterpret_cast<const char*>(far_rows) + lane % 4 * 16;
  keep(far_piece);
#if defined(__CUDA_ARCH__)
  __builtin_assume(__isGlobal(far_piece));
#endif
  // Twice the unit matrix: sums are to be scaled.
  std::uint32_t twice[4] = {};
  twice[0] =
      (lane / 4 == lane % 4 * 2 ? 0x4000u : 0u) | (lane / 4 == lane % 4 * 2 + 1 ? 0x40000000u : 0u);
  twice[3] = twice[0];

  if (threadIdx.x == 0) next_unit = begin + 2 * warps;
  std::uint32_t index = begin + threadIdx.x / 32;
  std::uint32_t index1 = index + warps;
  Unit unit = load_unit(plan.units, index, end);
  Steps steps = load_steps(index, index < end);
  __pipeline_wait_prior(0);
  __syncthreads();
  while (index < end) {
    const Unit unit1 = load_unit(plan.units, index1, end);
    const Steps steps1 = load_steps(index1, index1 < end);
    // Not atomicAdd(), which the compiler would turn into a sum over the warp first.
    std::uint32_t index2 = lane == 0 ? atomicInc(&next_unit, 0x7fffffffu) : 0;

    float sums[columns / 16][2][4] = {};  // [16 columns of the slab][half of the rows]
    const auto add_step = [&]<int i>(const Steps& from) {
      const std::uint32_t place = from.template place<i>() * 16 ^ piece;
      std::uint32_t loaded[columns / 16][4];
#pragma unroll
      for (std::uint32_t part = 0; part < columns / 16; ++part) {
        load_transposed(loaded[part], slab_begin + (place ^ part * 32));
      }
      const std::uint32_t x = Steps::exponents<i>(from.bits.x);
      const std::uint32_t y_bits = Steps::exponents<i>(from.bits.y);
#pragma unroll
      for (int rows = 0; rows < 2; ++rows) {
        const std::uint32_t select = rows == 0 ? 0x2404 : 0x3414;
        const std::uint32_t first = __byte_perm(x, 0, select);
        const std::uint32_t second = __byte_perm(y_bits, 0, select);
#pragma unroll
        for (std::uint32_t part = 0; part < columns / 16; ++part) {
          mma_m16n8k16<W>(sums[part][rows], loaded[part], first, second);
        }
      }
    };
    std::uint32_t left = unit.steps;
#pragma unroll 1
    for (std::uint32_t at = unit.more; left > batch_steps; ++at) {
      const Steps now = steps;
      steps = load_steps(at, true);
      add_step.template operator()<0>(now);
      add_step.template operator()<1>(now);
      add_step.template operator()<2>(now);
      add_step.template operator()<3>(now);
      add_step.template operator()<4>(now);
      add_step.template operator()<5>(now);
      add_step.template operator()<6>(now);
      add_step.template operator()<7>(now);
      left -= batch_steps;
    }
    const auto add_two = [&]<int i>() {
      add_step.template operator()<i>(steps);
      add_step.template operator()<i + 1>(steps);
      return left > i + 2;
    };
    if (left != 0 && add_two.template operator()<0>() && add_two.template operator()<2>() &&
        add_two.template operator()<4>()) {
      add_two.template operator()<6>();
    }

    if constexpr (columns == far_columns) {
#pragma unroll
      for (std::uint32_t rows = 0; rows < 2; ++rows) {
        std::uint32_t far_left = unit.far_entries[rows];
#pragma unroll 1
        for (std::uint32_t at = unit.far_batch; far_left != 0; ++at) {
          const uint4 batch = __ldcg(
              reinterpret_cast<const uint4*>(plan.far_batches[at].rows[lane / 4 + rows * 8]));
          const auto fetch = [&](std::uint32_t row) {
            return *reinterpret_cast<const uint4*>(advance(far_piece, row, far_columns * 2));
          };
          const auto add_far = [&](const uint4& elements) {
            mma_m16n8k16<W>(sums[0][rows], twice, elements.x, elements.y);
            mma_m16n8k16<W>(sums[1][rows], twice, elements.z, elements.w);
          };
          const auto add_two_far = [&]<int i>() {
            const uint4 a = fetch(far_row<i>(batch));
            const uint4 b = fetch(far_row<i + 1>(batch));
            add_far(a);
            add_far(b);
            return far_left > i + 2;
          };
          if (!add_two_far.template operator()<0>() || !add_two_far.template operator()<2>() ||
              !add_two_far.template operator()<4>() || !add_two_far.template operator()<6>()) {
            break;
          }
          far_left -= far_batch_entries;
        }
      }
    }

#pragma unroll
    for (std::uint32_t rows = 0; rows < 2; ++rows) {
      const std::uint32_t row = index * unit_rows + rows * 8 + lane / 4;
#pragma unroll
      for (std::uint32_t i = 0; i < columns / 32; ++i) {
        store_rows(y + std::uint64_t{row} * n, sums[2 * i][rows], sums[2 * i + 1][rows], row < m,
                   first_column + i * 32, n, lane);
      }
    }

    index2 = __shfl_sync(~0u, index2, 0);
    index = index1;
    index1 = index2;
    unit = unit1;
    steps = steps1;
  }
}

struct Blocks {
  dim3 grid;
  dim3 threads;
  std::uint32_t units;  // of each
};

Blocks blocks_for(const CudaContext& context, const UnionSlab& slab, std::uint32_t n,
                  std::uint32_t units) {
  const std::uint64_t slabs = ceil_div(n, slab.columns);
  const Cut cut = cut_rows(context, slabs, slab.bytes(), units);
  const auto units_per_block = static_cast<std::uint32_t>(ceil_div(units, cut.parts));
  return {
      dim3(static_cast<unsigned>(slabs), static_cast<unsigned>(ceil_div(units, units_per_block))),
      dim3(gather_threads / cut.beside_each_other / 32 * 32), units_per_block};
}

template <class W, class Y, std::uint32_t columns>
void launch(const CudaContext& context, const UnionPlan& plan, const UnionSlab& slab,
            void* far_rows, const WeightView& weights, const OutputView& output) {
  const Blocks blocks = blocks_for(context, slab, output.n, plan.size);
  auto* kernel = gather_units<W, Y, columns>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(slab.bytes())));
  launch_dependent(context, kernel, blocks.grid, blocks.threads, slab.bytes(), plan, slab,
                   static_cast<const W*>(weights.data), static_cast<W*>(far_rows),
                   static_cast<Y*>(output.data), static_cast<std::uint32_t>(output.m), weights.k,
                   output.n, blocks.units);
  check_launch();
}

}  // namespace

UnionSlab union_slab(const CudaContext& context, std::uint32_t k, std::uint32_t columns) {
  constexpr int beside = 128;  // bytes of shared memory that a block has beside its octets
  const auto fitting = static_cast<std::uint32_t>(
      (attribute(context, cudaDevAttrMaxSharedMemoryPerBlockOptin) - beside) / (16 * columns));
  const auto octets = static_cast<std::uint32_t>(ceil_div(k, 8));
  const UnionSlab slab{columns, std::min({octets, fitting, most_octets}), 0};
  return {columns, slab.octets, k - std::min(k, slab.resident())};
}

std::size_t far_row_bytes(const CudaContext& context, const UnionPlan& plan, const UnionSlab& slab,
                          std::uint32_t n) {
  if (slab.far == 0) return 0;
  const dim3 grid = blocks_for(context, slab, n, plan.size).grid;
  return (std::size_t{slab.far} + 1) * far_columns * sizeof(std::uint16_t) * grid.x * grid.y;
}

void gather_units(const CudaContext& context, const UnionPlan& plan, const UnionSlab& slab,
                  void* far_rows, const WeightView& weights, const OutputView& output) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      if (slab.columns == 32) {
        launch<W, Y, 32>(context, plan, slab, far_rows, weights, output);
      } else {
        launch<W, Y, 64>(context, plan, slab, far_rows, weights, output);
      }
    }
  });
}

}  // namespace spiketune::cuda
