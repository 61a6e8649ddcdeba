// Y = S·W with S in slots, two of every four columns, for Hopper's sparse wgmma. One block a
// multiprocessor: a warp that copies tiles of 64 × tile_n of W, and words of slots, by TMA, some
// ahead; two warpgroups that take half of the rows each; seven warps that sum the rows of W that
// the residual names.
//
// A word of presence holds, for a lane, what a word of a bitmap does (expand_bits): operands A in
// registers. A word of metadata is half of a row's metadata for two instructions. So a step of 64
// columns costs three words a row.
//
// Operations: half of those of a dense product; but B is as large, and an instruction takes no
// longer than its reading of B from shared memory, 128 bytes a clock: whatever else goes through
// that memory and L1 adds to the time. Tiles are tall, for W to be copied there M / tile_m times,
// and words of slots come by TMA (slot_source.cuh).

#include "spiketune/kernels/cuda/sparse_mma.cuh"

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/residual_tile.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/slot_source.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int hopper_threads = 512;
constexpr int consumer_warps = 8;
constexpr std::uint32_t residual_warps = 7;
constexpr int consumer_registers = 208;
constexpr int other_registers = 48;

constexpr int tile_n = 128;
static_assert(tile_n == ResidualTile::columns);
/// As many as leave room for words of slots and the sums of the residual.
template <int blocks>
constexpr std::uint32_t stages = blocks > 1 ? 4 : 8;
template <int blocks>
constexpr std::uint32_t slot_bytes = 128 * blocks* SlotBuffers::row_bytes;
template <int blocks>
constexpr std::uint32_t residual_bytes = 128 * blocks* tile_n * 4;

/// Named barriers between the warps of the residual and a warpgroup, 0 or 1.
constexpr std::uint32_t residual_threads = 32 * residual_warps + 128;
constexpr std::uint32_t sums_are_there = 1;
constexpr std::uint32_t sums_were_added = 3;

/// Maps for TMA of what a product reads.
struct Maps {
  CUtensorMap w;
  CUtensorMap presence;
  CUtensorMap metadata;
};

/// The tiles of Y that a block makes, one after another: first all rows of some columns.
template <int tile_m>
struct Tiles {
  std::uint32_t down;
  std::uint32_t count;

  __device__ Tiles(std::uint64_t m, std::uint32_t n)
      : down(static_cast<std::uint32_t>(ceil_div(m, tile_m))),
        count(down * static_cast<std::uint32_t>(ceil_div(n, tile_n))) {}
  [[nodiscard]] __device__ std::uint64_t row_of(std::uint32_t tile) const {
    return std::uint64_t{tile % down} * tile_m;
  }
  [[nodiscard]] __device__ std::uint32_t column_of(std::uint32_t tile) const {
    return tile / down * tile_n;
  }
};

template <class W, class Y, int blocks, bool staged>
__global__ void __launch_bounds__(hopper_threads, 1)
    sparse_wgmma(const __grid_constant__ Maps maps, const __grid_constant__ TwoFour format,
                 const W* __restrict__ w, Y* __restrict__ y, std::uint32_t n) {
  constexpr std::uint32_t tile_m = 128 * blocks;
  constexpr std::uint32_t slabs = tile_m / ResidualTile::slab_rows;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages<blocks>];
  __shared__ std::uint64_t empty_states[stages<blocks>];
  __shared__ std::uint64_t slots_full_states[SlotBuffers::count];
  __shared__ std::uint64_t slots_empty_states[SlotBuffers::count];
  __shared__ std::uint32_t occupied_rows[slabs];
  const Ring ring(full_states, empty_states);
  const Ring slot_ring(slots_full_states, slots_empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  std::uint8_t* slot_buffers = buffers + stages<blocks> * stage_bytes<tile_n>;
  const ResidualTile residual(
      reinterpret_cast<float*>(slot_buffers + SlotBuffers::count * slot_bytes<blocks>),
      occupied_rows);
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages<blocks>; ++i) ring.init(i, consumer_warps);
    for (std::uint32_t i = 0; i < SlotBuffers::count; ++i) slot_ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();
  const std::uint64_t m = format.layout.m();
  const Tiles<tile_m> tiles(m, n);
  const std::uint32_t steps = (format.words_per_row + 1) / 2;
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t first_tile = blockIdx.x;
  const std::uint32_t tile_step = gridDim.x;
  const bool has_residual = !format.prune();
  if (warp >= consumer_warps) {
    leave_registers<other_registers>();
    if (warp == consumer_warps) {
      Turn turn(stages<blocks>);
      Turn slot_turn(SlotBuffers::count);
      if (lane == 0) {
        for (std::uint32_t tile = first_tile; tile < tiles.count; tile += tile_step) {
          const std::uint32_t column = tiles.column_of(tile);
          const auto row = static_cast<std::uint32_t>(tiles.row_of(tile));
          for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
            if (staged && step % SlotBuffers::steps == 0) {
              slot_ring.empty.wait(slot_turn.stage, slot_turn.parity ^ 1);
              slot_ring.full.arrive_expecting(slot_turn.stage, slot_bytes<blocks>);
              std::uint8_t* to = slot_buffers + slot_turn.stage * slot_bytes<blocks>;
              const std::uint32_t barrier = slot_ring.full.at(slot_turn.stage);
              copy_box(to, &maps.presence, step, row, barrier);
              copy_box(to + tile_m * SlotBuffers::presence_bytes, &maps.metadata, 2 * step, row,
                       barrier);
              slot_turn.advance();
            }
            ring.empty.wait(turn.stage, turn.parity ^ 1);
            ring.full.arrive_expecting(turn.stage, stage_bytes<tile_n>);
            copy_rows<tile_n>(buffers + turn.stage * stage_bytes<tile_n>, maps.w, column,
                              step * depth, ring.full.at(turn.stage));
          }
        }
      }
      __syncwarp();
    } else if (has_residual) {
      for (std::uint32_t tile = first_tile; tile < tiles.count; tile += tile_step) {
        const auto row = static_cast<std::uint32_t>(tiles.row_of(tile));
        std::uint32_t slab = warp - consumer_warps - 1;
        for (std::uint32_t group = 0; group < 2; ++group) {
          if (tile != first_tile) wait_for_others(sums_were_added + group, residual_threads);
          for (; slab < slabs / 2 * (group + 1); slab += residual_warps) {
            residual.sum(format, w, n, row, tiles.column_of(tile), slab);
          }
          tell_others(sums_are_there + group, residual_threads);
        }
      }
    }
  } else {
    take_registers<consumer_registers>();
    const std::uint32_t described =
        __shfl_sync(~0u, static_cast<std::uint32_t>(describe_rows(buffers)), 0);
    const std::uint32_t group = warp / 4;
    Turn turn(stages<blocks>);
    const auto release_previous = [&] {  // the buffer of the step before
      if (lane == 0) ring.empty.arrive(turn.previous_stage());
    };
    // Two sets of operands take turns: one is read while the next is made. Words come one step
    // ahead.
    SparseOperands<blocks> operands[2];
    SlotWords<2 * blocks> words;
    const std::uint32_t lane_row = group * (64 * blocks) + warp % 4 * 16 + lane / 4;
    SlotSource<blocks, staged> slots(format, {shared_address(slot_buffers), slot_ring}, lane_row);
    slots.begin_tile(format, tiles.row_of(first_tile) + lane_row);
    slots.load(0, words);
    for (std::uint32_t tile = first_tile; tile < tiles.count; tile += tile_step) {
      float sums[blocks][tile_n / 2] = {};
      const auto multiply_step = [&](std::uint32_t step, SparseOperands<blocks>& now) {
        expand_slots<blocks>(words, lane, now);
        slots.used(step, lane);
        slots.load(step + 1, words);
        ring.full.wait(turn.stage, turn.parity);
        keep_before_products(now);
        begin_products();
        const std::uint32_t b = described + turn.stage * (stage_bytes<tile_n> >> 4);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int block = 0; block < blocks; ++block) {
            multiply_sparse<W, tile_n>(
                sums[block], now.slots[block][i],
                rows_descriptor(b + static_cast<std::uint32_t>(2 * i * sixteen_rows)),
                now.metadata[block][i]);
          }
        }
        commit_products();
        wait_for_products<1>();
        if (step > 0) release_previous();
        turn.advance();
      };
      for (std::uint32_t step = 0; step < steps; step += 2) {
        multiply_step(step, operands[0]);
        if (step + 1 == steps) break;
        multiply_step(step + 1, operands[1]);
      }
      // The next tile's first words come while this one's products end and its sums are written,
      // where there are registers for both.
      constexpr bool early = staged || sizeof(Y) == 2;
      const std::uint32_t next = tile + tile_step;
      const auto load_first_words = [&] {
        if (next >= tiles.count) return;
        slots.begin_tile(format, tiles.row_of(next) + lane_row);
        slots.load(0, words);
      };
      if constexpr (early) load_first_words();
      wait_for_products<0>();
      release_previous();
      if (has_residual) wait_for_others(sums_are_there + group, residual_threads);
      const std::uint32_t column = tiles.column_of(tile);
#pragma unroll
      for (int block = 0; block < blocks; ++block) {
        keep_in_place(sums[block]);
#pragma unroll
        for (int below = 0; below < 2; ++below) {
          const std::uint32_t in_tile = lane_row + 64 * block + 8 * below;
          const std::uint64_t at = tiles.row_of(tile) + in_tile;
          float* row_sums = sums[block] + 2 * below;
          if (has_residual) residual.add_row(in_tile, lane, row_sums);
          __syncwarp();
          store_row<tile_n>(row_sums, at < m ? y + at * n : nullptr, column, n, lane);
        }
      }
      if (has_residual && next < tiles.count) {
        tell_others(sums_were_added + group, residual_threads);
      }
      if constexpr (!early) load_first_words();
    }
  }
}

/// Whether TMA can copy words of slots: their rows are whole pieces of 16 bytes.
bool can_stage(const TwoFour& format) {
  const auto aligned = [](const void* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  return format.words_per_row % 4 == 0 && format.presence_words_per_row() % 4 == 0 &&
         aligned(format.metadata.data) && aligned(format.presence.data);
}

CUtensorMap map_words(const std::uint32_t* words, std::uint64_t rows, std::uint32_t words_per_row,
                      std::uint32_t box_words, std::uint32_t box_rows, CUtensorMapSwizzle swizzle) {
  return map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT32, words, rows, words_per_row,
                    std::uint64_t{words_per_row} * 4, box_rows, box_words, swizzle);
}

template <class W, class Y, int blocks, bool staged>
void launch(const CudaContext& context, const TwoFour& format, const WeightView& weights,
            const OutputView& output) {
  constexpr int tile_m = 128 * blocks;
  constexpr int bytes = stages<blocks> * stage_bytes<tile_n> +
                        SlotBuffers::count * slot_bytes<blocks> + residual_bytes<blocks> +
                        buffer_alignment;
  const auto kernel = sparse_wgmma<W, Y, blocks, staged>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  const auto grid = static_cast<unsigned>(std::min<std::uint64_t>(tiles, multiprocessors));
  Maps maps{map_weights(weights), {}, {}};
  if constexpr (staged) {
    maps.presence = map_words(format.presence.data, output.m, format.presence_words_per_row(), 4,
                              tile_m, CU_TENSOR_MAP_SWIZZLE_NONE);
    maps.metadata = map_words(format.metadata.data, output.m, format.words_per_row, 8, tile_m,
                              CU_TENSOR_MAP_SWIZZLE_32B);
  }
  kernel<<<grid, hopper_threads, bytes, context.stream>>>(
      maps, format, static_cast<const W*>(weights.data), static_cast<Y*>(output.data), output.n);
  check_launch();
}

template <class W, class Y, int blocks>
void launch(const CudaContext& context, const TwoFour& format, const WeightView& weights,
            const OutputView& output) {
  can_stage(format) ? launch<W, Y, blocks, true>(context, format, weights, output)
                    : launch<W, Y, blocks, false>(context, format, weights, output);
}

}  // namespace

void sparse_mma_on_hopper(const CudaContext& context, const TwoFour& format,
                          const WeightView& weights, const OutputView& output,
                          const SparseMma& config) {
  if (weights.k == 0) {  // no tensor map has an empty side
    check(cudaMemsetAsync(output.data, 0, output.bytes(), context.stream));
    return;
  }
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      config.tile_m == 256 ? launch<W, Y, 2>(context, format, weights, output)
                           : launch<W, Y, 1>(context, format, weights, output);
    }
  });
}

}  // namespace spiketune::cuda
