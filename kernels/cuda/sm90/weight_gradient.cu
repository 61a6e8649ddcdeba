// dW = Sᵀ·dY for Hopper's sparse wgmma: 256 columns of S, 128 of dY a tile, and M is what sums run
// over. Tiles are few and M is long, so that a tile is no block's work: units of 256 rows of dY, of
// all tiles one after another, are dealt out evenly, and a block has a run of them: the end of one
// tile first, at last the beginning of another. Of a tile that is not all its own it leaves the end
// for the block that has the beginning, which adds up. A second kernel adds the rows of dY of the
// spikes that have no slot.
//
// In a block a warp copies 64 × 128 of dY by TMA, and slots as they lie (gradients.cuh); two
// warpgroups multiply 128 columns of S each. Operations: M·K·N, half of a dense product's. As in
// sparse_mma.cu, what bounds it is shared memory: 512 clocks a step of 64 rows to read dY as
// operand, and 128 to write it there. Bytes: for each block 128 KiB of sums, twice.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/gradients.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/slot_source.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int part_threads = 384;
constexpr std::uint32_t consumers = 256;
constexpr int consumer_warps = consumers / 32;
constexpr int blocks_of_rows = 2;  // 64 rows each, for each warpgroup
constexpr std::uint32_t tile_m = ColumnSlots::tile_columns;
constexpr int tile_n = 128;
static_assert(part_size == tile_m * tile_n);
constexpr std::uint32_t depth = 64;  // rows of dY a step
constexpr std::uint32_t steps_per_unit = unit_rows / depth;
constexpr std::uint32_t stage_bytes = depth * tile_n * 2;
constexpr std::uint32_t stages = 10;
constexpr std::uint32_t slot_bytes = ColumnSlots::unit_size * 4;
constexpr std::uint32_t slot_buffers = 3;
constexpr std::uint32_t consumer_barrier = 1;  // a named one

/// How tiles are dealt out. A part is what one block has of one tile.
struct Deal {
  std::uint32_t down;  ///< tiles below one another
  std::uint32_t tiles;
  std::uint32_t units;  ///< of a tile
  std::uint32_t blocks;

  [[nodiscard]] SPIKETUNE_HD std::uint64_t all_units() const {
    return std::uint64_t{tiles} * units;
  }
  /// Runs are in the order of the blocks, the last block's first: a block waits only for such as
  /// began before it.
  [[nodiscard]] SPIKETUNE_HD std::uint64_t first_unit(std::uint32_t run) const {
    return all_units() * run / blocks;
  }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t run_of(std::uint64_t unit) const {
    return static_cast<std::uint32_t>(((unit + 1) * blocks - 1) / all_units());
  }
  /// From part to part either the run or the tile changes: no two parts have one sum.
  [[nodiscard]] SPIKETUNE_HD static std::uint64_t part(std::uint32_t run, std::uint32_t tile) {
    return std::uint64_t{run} + tile;
  }
};

Deal deal_out(const CudaContext& context, std::uint32_t k, const GradientView& gradient) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  Deal deal{};
  deal.down = static_cast<std::uint32_t>(ceil_div(k, tile_m));
  deal.tiles = deal.down * static_cast<std::uint32_t>(ceil_div(gradient.n, tile_n));
  deal.units = static_cast<std::uint32_t>(ceil_div(gradient.m, unit_rows));
  deal.blocks = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(deal.all_units(), static_cast<std::uint64_t>(multiprocessors)));
  return deal;
}

/// Operands A, step by step: load(), one step ahead, and used() once they are made.
class StepSource {
 public:
  __device__ StepSource(std::uint32_t steps, std::uint32_t buffers, const Ring& ring)
      : ring_(ring), steps_(steps) {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t warp_at = buffers + threadIdx.x / 32 * (ColumnSlots::warp_words * 4);
    presence_at_ = warp_at + lane / 4 * 16;
    metadata_at_ = warp_at + ColumnSlots::metadata_at * 4 + (lane / 4 * 2 + lane % 2) * 16;
  }
  __device__ void load(std::uint32_t step) {
    if (step >= steps_) return;
    const std::uint32_t part = step % steps_per_unit;
    if (part == 0) ring_.full.wait(turn_.stage, turn_.parity);
    const std::uint32_t at = turn_.stage * slot_bytes + part * (ColumnSlots::step_words * 4);
    load_shared(presence_at_ + at, presence_);
    load_shared(metadata_at_ + at, metadata_);
  }
  __device__ void used(std::uint32_t step, std::uint32_t lane) {
    if (step % steps_per_unit != steps_per_unit - 1) return;
    __syncwarp();
    if (lane == 0) ring_.empty.arrive(turn_.stage);
    turn_.advance();
  }
  __device__ void expand(std::uint32_t lane, SparseOperands<blocks_of_rows>& operands) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
      for (int block = 0; block < blocks_of_rows; ++block) {
        std::uint32_t expanded[4];
        expand_bits(presence_[2 * h + block], lane, expanded);
#pragma unroll
        for (int j = 0; j < 4; ++j) operands.slots[block][j / 2][h + j % 2 * 2] = expanded[j];
        operands.metadata[block][h] = metadata_[2 * block + h];
      }
    }
    keep_before_products(operands);
  }

 private:
  __device__ static void load_shared(std::uint32_t address, std::uint32_t (&words)[4]) {
#if SPIKETUNE_SM90
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
#endif
  }

  Ring ring_;
  std::uint32_t steps_;
  std::uint32_t presence_at_;  ///< addresses of the lane's first words in the first buffer
  std::uint32_t metadata_at_;
  Turn turn_{slot_buffers};
  std::uint32_t presence_[4];
  std::uint32_t metadata_[4];
};

/// The sums of a warpgroup's thread, 64 rows further down the second.
using Sums = float[blocks_of_rows][tile_n / 2];

/// Leaves sums for another block. All consumers call.
__device__ void leave_sums(const Sums& sums, const Parts& parts, std::uint64_t part) {
  float* to = parts.sums + part * part_size + threadIdx.x * 4;
#pragma unroll
  for (int block = 0; block < blocks_of_rows; ++block) {
#pragma unroll
    for (int i = 0; i < tile_n / 2; i += 4, to += consumers * 4) {
      const float* four = sums[block] + i;
      *reinterpret_cast<float4*>(to) = {four[0], four[1], four[2], four[3]};
    }
  }
  __threadfence();
  wait_for_others(consumer_barrier, consumers);
  if (threadIdx.x == 0) {
#if SPIKETUNE_SM90
    asm volatile("st.release.gpu.global.u32 [%0], 1;" ::"l"(parts.flags + part) : "memory");
#endif
  }
}

/// Adds what another block has left, once it is there. All consumers call.
__device__ void add_sums(Sums& sums, const Parts& parts, std::uint64_t part) {
  if (threadIdx.x == 0) {
    std::uint32_t there = 0;
    while (there == 0) {
#if SPIKETUNE_SM90
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                   : "=r"(there)
                   : "l"(parts.flags + part)
                   : "memory");
#endif
    }
  }
  wait_for_others(consumer_barrier, consumers);
  const float* from = parts.sums + part * part_size + threadIdx.x * 4;
#pragma unroll
  for (int block = 0; block < blocks_of_rows; ++block) {
#pragma unroll
    for (int i = 0; i < tile_n / 2; i += 4, from += consumers * 4) {
      const float4 four = __ldcg(reinterpret_cast<const float4*>(from));
      sums[block][i] += four.x;
      sums[block][i + 1] += four.y;
      sums[block][i + 2] += four.z;
      sums[block][i + 3] += four.w;
    }
  }
}

template <class W>
__global__ void __launch_bounds__(part_threads, 1)
    multiply_parts(const __grid_constant__ CUtensorMap dy_map, const ColumnSlots slots,
                   const Deal deal, const Parts parts, float* __restrict__ dw, std::uint32_t n) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages];
  __shared__ std::uint64_t empty_states[stages];
  __shared__ std::uint64_t slots_full_states[slot_buffers];
  __shared__ std::uint64_t slots_empty_states[slot_buffers];
  const Ring ring(full_states, empty_states);
  const Ring slot_ring(slots_full_states, slots_empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  std::uint8_t* slots_here = buffers + stages * stage_bytes;
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages; ++i) ring.init(i, consumer_warps);
    for (std::uint32_t i = 0; i < slot_buffers; ++i) slot_ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();
  start_dependents();
  const std::uint32_t run = deal.blocks - 1 - blockIdx.x;
  const std::uint64_t first = deal.first_unit(run);
  const std::uint64_t last = deal.first_unit(run + 1);
  auto tile = static_cast<std::uint32_t>(first / deal.units);
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps || lane != 0) return;
    Turn turn(stages);
    Turn slot_turn(slot_buffers);
    auto unit_of_tile = static_cast<std::uint32_t>(first % deal.units);
    wait_for_primary();
    for (std::uint64_t unit = first; unit < last; ++unit) {
      const std::uint32_t down = tile % deal.down;
      const std::uint32_t column = tile / deal.down * tile_n;
      slot_ring.empty.wait(slot_turn.stage, slot_turn.parity ^ 1);
      slot_ring.full.arrive_expecting(slot_turn.stage, slot_bytes);
      copy_bytes(
          slots_here + slot_turn.stage * slot_bytes,
          slots.slots + (std::uint64_t{down} * deal.units + unit_of_tile) * ColumnSlots::unit_size,
          slot_bytes, slot_ring.full.at(slot_turn.stage));
      slot_turn.advance();
      for (std::uint32_t step = 0; step < steps_per_unit; ++step, turn.advance()) {
        ring.empty.wait(turn.stage, turn.parity ^ 1);
        ring.full.arrive_expecting(turn.stage, stage_bytes);
        copy_rows<tile_n>(buffers + turn.stage * stage_bytes, dy_map, column,
                          unit_of_tile * unit_rows + step * depth, ring.full.at(turn.stage));
      }
      if (++unit_of_tile == deal.units) {
        unit_of_tile = 0;
        ++tile;
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint64_t described = describe_rows(buffers);
  Turn turn(stages);
  const auto release_previous = [&] {  // the buffer of the step before
    if (lane == 0) ring.empty.arrive(turn.previous_stage());
  };
  // Two sets of operands take turns: one is read while the next is made. Words come one step ahead.
  SparseOperands<blocks_of_rows> operands[2];
  StepSource source(static_cast<std::uint32_t>(last - first) * steps_per_unit,
                    shared_address(slots_here), slot_ring);
  std::uint32_t step = 0;
  source.load(step);
  for (std::uint64_t unit = first; unit < last; ++tile) {
    const std::uint64_t tile_begin = std::uint64_t{tile} * deal.units;
    const std::uint64_t tile_end = tile_begin + deal.units;
    const bool has_begin = unit == tile_begin;
    const std::uint64_t end = tile_end < last ? tile_end : last;
    Sums sums = {};
    bool pending = false;
    const auto multiply_step = [&](SparseOperands<blocks_of_rows>& now) {
      source.expand(lane, now);
      source.used(step, lane);
      source.load(++step);
      ring.full.wait(turn.stage, turn.parity);
      begin_products();
      const std::uint64_t b = described + turn.stage * (stage_bytes >> 4);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int block = 0; block < blocks_of_rows; ++block) {
          multiply_sparse<W, tile_n>(sums[block], now.slots[block][i], b + 2 * i * sixteen_rows,
                                     now.metadata[block][i]);
        }
      }
      commit_products();
      wait_for_products<1>();
      if (pending) release_previous();
      pending = true;
      turn.advance();
    };
    for (std::uint64_t pair = 2 * (end - unit); pair > 0; --pair) {
      multiply_step(operands[0]);
      multiply_step(operands[1]);
    }
    unit = end;
    wait_for_products<0>();
    release_previous();
#pragma unroll
    for (int block = 0; block < blocks_of_rows; ++block) keep_in_place(sums[block]);
    if (!has_begin) {
      leave_sums(sums, parts, Deal::part(run, tile));
      continue;
    }
    if (end < tile_end) {
      const std::uint32_t last_run = deal.run_of(tile_end - 1);
      for (std::uint32_t other = run + 1; other <= last_run; ++other) {
        add_sums(sums, parts, Deal::part(other, tile));
      }
    }
    const std::uint32_t row =
        tile % deal.down * tile_m + warp / 4 * (64 * blocks_of_rows) + warp % 4 * 16 + lane / 4;
#pragma unroll
    for (int block = 0; block < blocks_of_rows; ++block) {
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const std::uint32_t at = row + 64 * block + 8 * below;
        store_row<tile_n>(sums[block] + 2 * below,
                          at < slots.k ? dw + std::uint64_t{at} * n : nullptr,
                          tile / deal.down * tile_n, n, lane);
      }
    }
  }
}

constexpr std::uint32_t residual_threads = 256;
constexpr std::uint32_t residual_words = 2 * residual_threads;  // a block lists at a time

/// Lists the rows, less 32·base, that bits of residual_words words name, ascending, and returns how
/// many. All threads call.
__device__ std::uint32_t list_rows(const std::uint32_t* residual, std::uint32_t base,
                                   std::uint32_t words, std::uint16_t* rows) {
  __shared__ std::uint32_t warp_counts[residual_threads / 32];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t at = 2 * threadIdx.x;
  uint2 both{0, 0};
  if (base + at < words) both = *reinterpret_cast<const uint2*>(residual + base + at);
  const std::uint32_t count = count_bits(both.x) + count_bits(both.y);
  if (__syncthreads_or(count != 0) == 0) return 0;
  std::uint32_t until = count;  // of the warp, this lane's included
#pragma unroll
  for (std::uint32_t step = 1; step < 32; step *= 2) {
    const std::uint32_t before = __shfl_up_sync(0xffffffffu, until, step);
    if (lane >= step) until += before;
  }
  if (lane == 31) warp_counts[threadIdx.x / 32] = until;
  __syncthreads();
  std::uint32_t first = until - count;
  std::uint32_t all = 0;
#pragma unroll
  for (std::uint32_t warp = 0; warp < residual_threads / 32; ++warp) {
    if (warp < threadIdx.x / 32) first += warp_counts[warp];
    all += warp_counts[warp];
  }
  for (std::uint32_t word = both.x; word != 0; word &= word - 1) {
    rows[first++] = static_cast<std::uint16_t>(32 * at + lowest_bit(word));
  }
  for (std::uint32_t word = both.y; word != 0; word &= word - 1) {
    rows[first++] = static_cast<std::uint16_t>(32 * at + 32 + lowest_bit(word));
  }
  __syncthreads();
  return all;
}

/// sum[i] += element i of four.
template <class W>
__device__ void add_four(const W* from, float (&sum)[4]) {
  const auto four = *reinterpret_cast<const Vector<W, 4>*>(from);
#pragma unroll
  for (int i = 0; i < 4; ++i) sum[i] += to_float(four.at[i]);
}

/// A block adds the rows of dY that the residual names to a row of dW, in one order.
template <class W>
__global__ void __launch_bounds__(residual_threads)
    add_residual(const ColumnSlots slots, const W* __restrict__ dy, float* __restrict__ dw,
                 std::uint32_t n) {
  // Two of four at most have no slot.
  __shared__ std::uint16_t rows[residual_words * 16];
  wait_for_primary();
  const std::uint32_t* residual = slots.residual + std::uint64_t{blockIdx.x} * slots.words;
  for (std::uint32_t base = 0; base < slots.words; base += residual_words) {
    const std::uint32_t count = list_rows(residual, base, slots.words, rows);
    for (std::uint32_t column = threadIdx.x * 4; count != 0 && column < n;
         column += residual_threads * 4) {
      const W* from = dy + std::uint64_t{base} * 32 * n + column;
      float* to = dw + std::uint64_t{blockIdx.x} * n + column;
      float sum[4] = {};
#pragma unroll 4
      for (std::uint32_t i = 0; i < count; ++i) add_four(from + std::uint64_t{rows[i]} * n, sum);
      add_four(to, sum);
      *reinterpret_cast<float4*>(to) = {sum[0], sum[1], sum[2], sum[3]};
    }
    __syncthreads();
  }
}

template <class W>
void launch(const CudaContext& context, const ColumnSlots& slots, const GradientView& gradient,
            const OutputView& result, const Parts& parts) {
  constexpr int bytes = stages * stage_bytes + slot_buffers * slot_bytes + buffer_alignment;
  const Deal deal = deal_out(context, slots.k, gradient);
  const WeightView dy{gradient.data, gradient.type, static_cast<std::uint32_t>(gradient.m),
                      gradient.n, Space::device};
  auto* dw = static_cast<float*>(result.data);
  check(
      cudaFuncSetAttribute(multiply_parts<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  launch_dependent(context, multiply_parts<W>, dim3(deal.blocks), dim3(part_threads), bytes,
                   map_weights(dy), slots, deal, parts, dw, gradient.n);
  launch_dependent(context, add_residual<W>, dim3(slots.k), dim3(residual_threads), 0, slots,
                   static_cast<const W*>(gradient.data), dw, gradient.n);
}

}  // namespace

std::uint64_t count_parts(const CudaContext& context, std::uint32_t k,
                          const GradientView& gradient) {
  const Deal deal = deal_out(context, k, gradient);
  return std::uint64_t{deal.blocks} + deal.tiles;
}

void weight_gradient_on_hopper(const CudaContext& context, const ColumnSlots& slots,
                               const GradientView& gradient, const OutputView& result,
                               const Parts& parts) {
  gradient.type == DType::f16 ? launch<Half>(context, slots, gradient, result, parts)
                              : launch<Bfloat16>(context, slots, gradient, result, parts);
}

}  // namespace spiketune::cuda
