// dW = Sᵀ·dY for Hopper's sparse wgmma: 256 columns of S, 128 of dY a tile, and M is what sums run
// over. Tiles are few and M is long, so that a tile is no block's work: units of 256 rows of dY, of
// all tiles one after another, are dealt out evenly, and a block has a run of them, the end of one
// tile and the beginning of the next. Its sums of each go to memory, in f32, unless it has all of
// the tile; a second kernel adds them, and the rows of dY of the spikes that have no slot.
//
// In a block a warp copies 64 × 128 of dY, and words of slots (slot_source.cuh), by TMA; two
// warpgroups multiply 128 columns of S each. Operations: M·K·N, half of a dense product's. As in
// sparse_mma.cu, what bounds it is shared memory: 512 clocks a step of 64 rows to read dY as
// operand, and 128 to write it there. Bytes: K·N·4 twice for each part of a tile.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/dependent_launch.cuh"
#include "spiketune/kernels/cuda/gradients.cuh"
#include "spiketune/kernels/cuda/sm90/slot_source.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int part_threads = 384;
constexpr int consumer_warps = 8;
constexpr int blocks_of_rows = 2;  // 64 rows each, for each warpgroup
constexpr std::uint32_t tile_m = 256;
constexpr int tile_n = 128;
constexpr std::uint32_t part_size = tile_m * tile_n;
constexpr int depth = 64;
constexpr std::uint32_t stage_bytes = depth * tile_n * 2;
constexpr std::uint32_t stages = 10;
constexpr std::uint32_t slot_bytes = tile_m * SlotBuffers::row_bytes;
constexpr std::uint32_t steps_per_unit = unit_rows / depth;
static_assert(steps_per_unit == SlotBuffers::steps);

/// Maps for TMA of what a product reads.
struct Maps {
  CUtensorMap dy;
  CUtensorMap presence;
  CUtensorMap metadata;
};

/// How tiles are dealt out. A part is what one block has of one tile.
struct Deal {
  std::uint32_t down;  ///< tiles below one another
  std::uint32_t tiles;
  std::uint32_t units;  ///< of a tile
  std::uint32_t blocks;

  [[nodiscard]] SPIKETUNE_HD std::uint64_t all_units() const {
    return std::uint64_t{tiles} * units;
  }
  [[nodiscard]] SPIKETUNE_HD std::uint64_t first_unit(std::uint32_t block) const {
    return all_units() * block / blocks;
  }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t block_of(std::uint64_t unit) const {
    return static_cast<std::uint32_t>(((unit + 1) * blocks - 1) / all_units());
  }
  /// Along the runs of all blocks either the block or the tile changes: no two parts have one sum.
  [[nodiscard]] SPIKETUNE_HD static std::uint64_t part(std::uint32_t block, std::uint32_t tile) {
    return std::uint64_t{block} + tile;
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

/// Keeps the compiler from making operands after the fence before products: it would then fence
/// each of them.
__device__ void keep_before_products(SparseOperands<blocks_of_rows>& operands) {
#if SPIKETUNE_SM90
#pragma unroll
  for (int block = 0; block < blocks_of_rows; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i) asm volatile("" : "+r"(operands.slots[block][half][i])::"memory");
      asm volatile("" : "+r"(operands.metadata[block][half])::"memory");
    }
  }
#endif
}

template <class W>
__global__ void __launch_bounds__(part_threads, 1)
    multiply_parts(const __grid_constant__ Maps maps, const Deal deal, float* __restrict__ parts,
                   float* __restrict__ dw, std::uint32_t k, std::uint32_t n) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages];
  __shared__ std::uint64_t empty_states[stages];
  __shared__ std::uint64_t slots_full_states[SlotBuffers::count];
  __shared__ std::uint64_t slots_empty_states[SlotBuffers::count];
  const CopyBarriers full(full_states);
  const CopyBarriers empty(empty_states);
  const CopyBarriers slots_full(slots_full_states);
  const CopyBarriers slots_empty(slots_empty_states);
  // The swizzle works on addresses: buffers begin at multiples of 1024 bytes.
  std::uint8_t* buffers = shared + (1024 - shared_address(shared) % 1024) % 1024;
  std::uint8_t* slot_buffers = buffers + stages * stage_bytes;
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages; ++i) {
      full.init(i, 1);
      empty.init(i, consumer_warps);
    }
    for (std::uint32_t i = 0; i < SlotBuffers::count; ++i) {
      slots_full.init(i, 1);
      slots_empty.init(i, consumer_warps);
    }
    fence_barriers();
  }
  __syncthreads();
  start_dependents();
  const std::uint64_t first = deal.first_unit(blockIdx.x);
  const std::uint64_t last = deal.first_unit(blockIdx.x + 1);
  auto tile = static_cast<std::uint32_t>(first / deal.units);
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps || lane != 0) return;
    wait_for_primary();
    Turn<stages> turn;
    Turn<SlotBuffers::count> slot_turn;
    auto unit_of_tile = static_cast<std::uint32_t>(first % deal.units);
    for (std::uint64_t unit = first; unit < last; ++unit) {
      const std::uint32_t row = tile % deal.down * tile_m;
      const std::uint32_t column = tile / deal.down * tile_n;
      slots_empty.wait(slot_turn.stage, slot_turn.parity ^ 1);
      slots_full.arrive_expecting(slot_turn.stage, slot_bytes);
      std::uint8_t* slots_to = slot_buffers + slot_turn.stage * slot_bytes;
      const std::uint32_t barrier = slots_full.at(slot_turn.stage);
      copy_box(slots_to, &maps.presence, unit_of_tile * steps_per_unit, row, barrier);
      copy_box(slots_to + tile_m * SlotBuffers::presence_bytes, &maps.metadata,
               unit_of_tile * unit_words, row, barrier);
      slot_turn.advance();
      for (std::uint32_t step = 0; step < steps_per_unit; ++step, turn.advance()) {
        empty.wait(turn.stage, turn.parity ^ 1);
        full.arrive_expecting(turn.stage, stage_bytes);
        std::uint8_t* to = buffers + turn.stage * stage_bytes;
#pragma unroll
        for (int part = 0; part < tile_n / 64; ++part) {
          copy_box(to + part * 8192, &maps.dy, column + 64 * part,
                   unit_of_tile * unit_rows + step * depth, full.at(turn.stage));
        }
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
  Turn<stages> turn;
  const auto release_previous = [&] {  // the buffer of the step before
    if (lane == 0) empty.arrive((turn.stage == 0 ? stages : turn.stage) - 1);
  };
  // Two sets of operands take turns: one is read while the next is made. Words come one step ahead.
  SparseOperands<blocks_of_rows> operands[2];
  SlotWords<2 * blocks_of_rows> words;
  const std::uint32_t lane_row = warp / 4 * (64 * blocks_of_rows) + warp % 4 * 16 + lane / 4;
  SlotSource<blocks_of_rows, true> slots(static_cast<std::uint32_t>(last - first) * steps_per_unit,
                                         {shared_address(slot_buffers), slots_full, slots_empty},
                                         lane_row);
  std::uint32_t step = 0;
  slots.load(step, words);
  for (std::uint64_t unit = first; unit < last; ++tile) {
    const std::uint64_t tile_begin = std::uint64_t{tile} * deal.units;
    const std::uint64_t tile_end = tile_begin + deal.units;
    const bool whole = unit == tile_begin && tile_end <= last;
    const std::uint64_t end = tile_end < last ? tile_end : last;
    float sums[blocks_of_rows][tile_n / 2] = {};
    bool pending = false;
    const auto multiply_step = [&](SparseOperands<blocks_of_rows>& now) {
      expand_slots<blocks_of_rows>(words, lane, now);
      slots.used(step, lane);
      slots.load(++step, words);
      full.wait(turn.stage, turn.parity);
      keep_before_products(now);
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
    const std::uint32_t row = tile % deal.down * tile_m;
    const std::uint32_t column = tile / deal.down * tile_n;
    float* part = parts + Deal::part(blockIdx.x, tile) * part_size;
#pragma unroll
    for (int block = 0; block < blocks_of_rows; ++block) {
      keep_in_place(sums[block]);
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const std::uint32_t in_tile = lane_row + 64 * block + 8 * below;
        const float* row_sums = sums[block] + 2 * below;
        if (whole) {
          float* to = row + in_tile < k ? dw + std::uint64_t{row + in_tile} * n : nullptr;
          store_row<tile_n>(row_sums, to, column, n, lane);
        } else {
          store_row<tile_n>(row_sums, part + in_tile * tile_n, 0, tile_n, lane);
        }
      }
    }
  }
}

constexpr std::uint32_t sum_threads = 256;

/// sum[i] += element i of four.
template <class W>
__device__ void add_four(const W* from, float (&sum)[4]) {
  const auto four = *reinterpret_cast<const Vector<W, 4>*>(from);
#pragma unroll
  for (int i = 0; i < 4; ++i) sum[i] += to_float(four.at[i]);
}

/// A warp finishes 128 columns of a row of dW: adds the sums of parts, in order, and the rows of dY
/// that the residual names.
template <class W>
__global__ void __launch_bounds__(sum_threads)
    add_parts(const Deal deal, const float* __restrict__ parts, const ColumnSlots slots,
              const W* __restrict__ dy, float* __restrict__ dw, std::uint32_t n) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t row = blockIdx.x;
  const std::uint32_t across = blockIdx.y * (sum_threads / 32) + threadIdx.x / 32;
  const std::uint32_t column = across * tile_n + lane * 4;
  const bool there = column < n;
  wait_for_primary();
  if (across * tile_n >= n) return;
  const std::uint32_t tile = across * deal.down + row / tile_m;
  const std::uint64_t first_unit = std::uint64_t{tile} * deal.units;
  const std::uint32_t first = deal.block_of(first_unit);
  const std::uint32_t last = deal.block_of(first_unit + deal.units - 1);
  float* to = dw + std::uint64_t{row} * n + column;
  float sum[4] = {};
  if (first == last) {
    if (there) add_four(to, sum);
  } else {
    const float* from = parts + (row % tile_m) * tile_n + lane * 4;
    for (std::uint32_t block = first; block <= last; ++block) {
      add_four(from + Deal::part(block, tile) * part_size, sum);
    }
  }
  bool changed = first != last;
  const std::uint32_t* residual = slots.residual + std::uint64_t{row} * slots.words;
  for (std::uint32_t base = 0; base < slots.words; base += 128) {
    const std::uint32_t at = base + lane * 4;
    const uint4 four =
        at < slots.words ? *reinterpret_cast<const uint4*>(residual + at) : uint4{0, 0, 0, 0};
    std::uint32_t lanes = __ballot_sync(0xffffffffu, (four.x | four.y | four.z | four.w) != 0);
    changed |= lanes != 0;
    for (; lanes != 0; lanes &= lanes - 1) {
      const std::uint32_t from = lowest_bit(lanes);
      const std::uint32_t spikes[4] = {__shfl_sync(0xffffffffu, four.x, static_cast<int>(from)),
                                       __shfl_sync(0xffffffffu, four.y, static_cast<int>(from)),
                                       __shfl_sync(0xffffffffu, four.z, static_cast<int>(from)),
                                       __shfl_sync(0xffffffffu, four.w, static_cast<int>(from))};
#pragma unroll
      for (std::uint32_t i = 0; i < 4; ++i) {
        for (std::uint32_t word = spikes[i]; word != 0; word &= word - 1) {
          const std::uint64_t m = (base + from * 4 + i) * 32 + lowest_bit(word);
          if (there) add_four(dy + m * n + column, sum);
        }
      }
    }
  }
  if (there && changed) *reinterpret_cast<float4*>(to) = {sum[0], sum[1], sum[2], sum[3]};
}

CUtensorMap map_words(const std::uint32_t* words, std::uint32_t rows, std::uint32_t words_per_row,
                      std::uint32_t box_words, CUtensorMapSwizzle swizzle) {
  return map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT32, words, rows, words_per_row,
                    std::uint64_t{words_per_row} * 4, tile_m, box_words, swizzle);
}

template <class W>
void launch(const CudaContext& context, const ColumnSlots& slots, const GradientView& gradient,
            const OutputView& result, float* parts) {
  constexpr int bytes = stages * stage_bytes + SlotBuffers::count * slot_bytes + 1024;
  const auto k = static_cast<std::uint32_t>(result.m);
  const Deal deal = deal_out(context, k, gradient);
  const WeightView dy{gradient.data, gradient.type, static_cast<std::uint32_t>(gradient.m),
                      gradient.n, Space::device};
  const Maps maps{
      map_weights(dy),
      map_words(slots.presence, k, slots.words / 2, steps_per_unit, CU_TENSOR_MAP_SWIZZLE_NONE),
      map_words(slots.metadata, k, slots.words, unit_words, CU_TENSOR_MAP_SWIZZLE_32B)};
  auto* dw = static_cast<float*>(result.data);
  check(
      cudaFuncSetAttribute(multiply_parts<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  launch_dependent(context, multiply_parts<W>, dim3(deal.blocks), dim3(part_threads), bytes, maps,
                   deal, parts, dw, k, gradient.n);
  const auto across = static_cast<std::uint32_t>(ceil_div(gradient.n, tile_n * sum_threads / 32));
  launch_dependent(context, add_parts<W>, dim3(k, across), dim3(sum_threads), 0, deal,
                   static_cast<const float*>(parts), slots, static_cast<const W*>(gradient.data),
                   dw, gradient.n);
}

}  // namespace

std::uint64_t weight_gradient_parts(const CudaContext& context, std::uint32_t k,
                                    const GradientView& gradient) {
  const Deal deal = deal_out(context, k, gradient);
  return std::uint64_t{part_size} * (deal.blocks + deal.tiles);
}

void weight_gradient_on_hopper(const CudaContext& context, const ColumnSlots& slots,
                               const GradientView& gradient, const OutputView& result,
                               float* parts) {
  gradient.type == DType::f16 ? launch<Half>(context, slots, gradient, result, parts)
                              : launch<Bfloat16>(context, slots, gradient, result, parts);
}

}  // namespace spiketune::cuda
