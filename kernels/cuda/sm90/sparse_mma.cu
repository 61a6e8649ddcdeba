// Y = S·W with S in slots, two of every four columns, for Hopper's sparse wgmma. One block a
// multiprocessor: a warp that copies tiles of 64 × tile_n of W by TMA, some ahead; two warpgroups
// that take half of the rows each; three warps that sum the rows of W that the residual names.
//
// A word of presence holds, for a lane, what a word of a bitmap does (expand_bits): operands A in
// registers. A word of metadata is half of a row's metadata for two instructions. So nothing of S
// is in shared memory, and a step of 64 columns costs three words a row.
//
// Operations: half of those of a dense product; but B is as large, and an instruction takes no
// longer than its reading of B from shared memory, 128 bytes a clock: whatever else goes through
// that memory and L1 adds to the time. Tiles are tall, for W to be copied there M / tile_m times.

#include "spiketune/kernels/cuda/sparse_mma.cuh"

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int hopper_threads = 384;
constexpr int consumer_warps = 8;
constexpr std::uint32_t residual_warps = 3;
constexpr int depth = 64;  // columns of S, rows of W, per step
constexpr std::uint32_t slab_rows = 16;

/// Barriers by which the warps of the residual hand its sums over to each warpgroup, and get the
/// memory back.
constexpr std::uint32_t sums_there = 1;
constexpr std::uint32_t sums_taken = 3;
constexpr int handover_threads = 32 * (consumer_warps / 2 + residual_warps);

constexpr int tile_n = 128;
constexpr std::uint32_t stage_bytes = depth * tile_n * 2;
/// As many as leave room for the sums of the residual.
template <int blocks>
constexpr std::uint32_t stages = blocks > 1 ? 5 : 8;
/// Floats from a row of the residual's sums to the next: eight rows lie in different banks.
constexpr std::uint32_t residual_stride = tile_n + 8;

/// Which buffer is next, and the parity of its use.
template <std::uint32_t buffers>
struct Turn {
  std::uint32_t stage = 0;
  std::uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == buffers) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// Keeps the compiler from making operands after the fence before products: it would then fence
/// each of them.
template <int blocks>
__device__ void keep_before_products(SparseOperands<blocks>& operands) {
#if SPIKETUNE_SM90
#pragma unroll
  for (int block = 0; block < blocks; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i) asm volatile("" : "+r"(operands.slots[block][half][i])::"memory");
      asm volatile("" : "+r"(operands.metadata[block][half])::"memory");
    }
  }
#endif
}

/// What the residual adds to a tile of Y, in shared memory.
template <int tile_m>
struct ResidualTile {
  float* sums;          ///< [tile_m][residual_stride], in units of spike_scale
  std::uint32_t* rows;  ///< [tile_m / 16]: bit i: row i of these 16 has any

  [[nodiscard]] __device__ float* row(std::uint32_t i) const { return sums + i * residual_stride; }
};

/// Sums, for 16 rows of a tile, the rows of W that the residual names. A warp calls; a lane has
/// tile_n / 32 columns. Rows of W come many at a time, whatever rows of Y they belong to.
template <class W, int tile_m>
__device__ void sum_residual(const TwoFour& format, const W* w, std::uint32_t n,
                             std::uint64_t first_row, std::uint32_t column, std::uint32_t slab,
                             const ResidualTile<tile_m>& tile) {
  constexpr int each = tile_n / 32;
  constexpr int ahead = 8;
  using Piece = Vector<W, each>;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t m = format.layout.m();
  const std::uint64_t slab_row = first_row + slab * slab_rows;
  const std::uint64_t bound = slab_row + (lane < slab_rows ? lane : slab_rows);
  const std::uint32_t offset = __ldg(format.residual_row_offsets.data + (bound < m ? bound : m));
  const std::uint32_t begin = __shfl_sync(0xffffffffu, offset, 0);
  const std::uint32_t end = __shfl_sync(0xffffffffu, offset, slab_rows);
  const std::uint32_t next_offset = __shfl_down_sync(0xffffffffu, offset, 1);
  const std::uint32_t rows = __ballot_sync(0xffffffffu, lane < slab_rows && next_offset != offset);
  if (lane == 0) tile.rows[slab] = rows;
  const std::uint32_t at = column + lane * each;
  const W* from = w + (at < n ? at : 0);
  std::uint32_t current = slab_rows;
  float sum[each] = {};
  const auto flush = [&] {
    if (current == slab_rows) return;
    Vector<float, each> scaled;
#pragma unroll
    for (int i = 0; i < each; ++i) scaled.at[i] = sum[i] * (1.0f / spike_scale);
    *reinterpret_cast<Vector<float, each>*>(tile.row(slab * slab_rows + current) + lane * each) =
        scaled;
  };
  for (std::uint32_t base = begin; base < end; base += 32) {
    const std::uint32_t entry = base + lane;
    const std::uint32_t k = entry < end ? load_index(format.residual_column_indices, entry) : 0;
    std::uint32_t row_of_entry = 0;  // of the last entry, where there is none
#pragma unroll 5
    for (std::uint32_t i = 1; i < slab_rows; ++i) {
      row_of_entry += __shfl_sync(0xffffffffu, offset, i) <= (entry < end ? entry : end - 1);
    }
    const std::uint32_t count = end - base < 32 ? end - base : 32;
#pragma unroll 1
    for (std::uint32_t i = 0; i < count; i += ahead) {
      Piece pieces[ahead];
#pragma unroll
      for (int j = 0; j < ahead; ++j) {
        const std::uint32_t row_of_w = __shfl_sync(0xffffffffu, k, i + j);
        pieces[j] = *reinterpret_cast<const Piece*>(from + std::uint64_t{row_of_w} * n);
      }
#pragma unroll
      for (int j = 0; j < ahead; ++j) {
        const std::uint32_t row = __shfl_sync(0xffffffffu, row_of_entry, i + j);
        if (row != current) {
          flush();
          current = row;
#pragma unroll
          for (int c = 0; c < each; ++c) sum[c] = 0.0f;
        }
        if (i + j < count) {
#pragma unroll
          for (int c = 0; c < each; ++c) sum[c] += to_float(pieces[j].at[c]);
        }
      }
    }
  }
  flush();
}

template <class W, class Y, int blocks>
__global__ void __launch_bounds__(hopper_threads, 1)
    sparse_wgmma(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ TwoFour format,
                 const W* __restrict__ w, Y* __restrict__ y, std::uint32_t n) {
  constexpr std::uint32_t tile_m = 128 * blocks;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages<blocks>];
  __shared__ std::uint64_t empty_states[stages<blocks>];
  __shared__ std::uint32_t residual_rows[tile_m / slab_rows];
  const CopyBarriers full(full_states);
  const CopyBarriers empty(empty_states);
  // The swizzle works on addresses: buffers begin at multiples of 1024 bytes.
  std::uint8_t* buffers = shared + (1024 - shared_address(shared) % 1024) % 1024;
  const ResidualTile<tile_m> residual_tile{
      reinterpret_cast<float*>(buffers + stages<blocks> * stage_bytes), residual_rows};
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages<blocks>; ++i) {
      full.init(i, 1);
      empty.init(i, consumer_warps);
    }
    fence_barriers();
  }
  __syncthreads();
  const std::uint64_t m = format.layout.m();
  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(m, tile_m));
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(n, tile_n));
  const std::uint32_t steps = (format.words_per_row + 1) / 2;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  const auto row_of = [&](std::uint32_t tile) { return std::uint64_t{tile % tiles_m} * tile_m; };
  const auto column_of = [&](std::uint32_t tile) { return tile / tiles_m * tile_n; };
  const std::uint32_t first_tile = blockIdx.x;
  const std::uint32_t tile_step = gridDim.x;
  const bool has_residual = !format.prune();
  if (warp >= consumer_warps) {
    leave_registers<72>();
    if (warp == consumer_warps) {
      Turn<stages<blocks>> turn;
      if (lane == 0) {
        for (std::uint32_t tile = first_tile; tile < tiles; tile += tile_step) {
          const std::uint32_t column = column_of(tile);
          for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
            empty.wait(turn.stage, turn.parity ^ 1);
            full.arrive_expecting(turn.stage, stage_bytes);
            std::uint8_t* to = buffers + turn.stage * stage_bytes;
#pragma unroll
            for (int part = 0; part < tile_n / 64; ++part) {
              copy_box(to + part * 8192, &w_map, column + 64 * part, step * depth,
                       full.at(turn.stage));
            }
          }
        }
      }
      __syncwarp();
    } else if (has_residual) {
      for (std::uint32_t tile = first_tile; tile < tiles; tile += tile_step) {
        if (tile != first_tile) {
          wait_with<handover_threads>(sums_taken);
          wait_with<handover_threads>(sums_taken + 1);
        }
        for (std::uint32_t slab = warp - consumer_warps - 1; slab < tile_m / slab_rows;
             slab += residual_warps) {
          sum_residual(format, w, n, row_of(tile), column_of(tile), slab, residual_tile);
        }
        __syncwarp();
        tell<handover_threads>(sums_there);
        tell<handover_threads>(sums_there + 1);
      }
    }
  } else {
    take_registers<216>();
    const std::uint64_t described = describe_rows(buffers);
    Turn<stages<blocks>> turn;
    const auto release = [&](std::uint32_t stage) {
      if (lane == 0) empty.arrive(stage);
    };
    // Two sets of operands take turns: one is read while the next is made. Words come two steps
    // ahead.
    SparseOperands<blocks> operands[2];
    SlotWords<2 * blocks> words[2];
    const std::uint32_t lane_row = warp / 4 * (64 * blocks) + warp % 4 * 16 + lane / 4;
    SlotRows<2 * blocks> rows(format, row_of(first_tile) + lane_row);
    const auto load_first_words = [&] {
      rows.load(0, words[0]);
      rows.load(1, words[1]);
    };
    load_first_words();
    for (std::uint32_t tile = first_tile; tile < tiles; tile += tile_step) {
      float sums[blocks][tile_n / 2] = {};
      bool pending = false;        // products of the step before
      std::uint32_t previous = 0;  // its buffer
      const auto multiply_step = [&](std::uint32_t step, SparseOperands<blocks>& now,
                                     SlotWords<2 * blocks>& words_now) {
        expand_slots<blocks>(words_now, lane, now);
        rows.load(step + 2, words_now);
        full.wait(turn.stage, turn.parity);
        keep_before_products(now);
        begin_products();
        const std::uint64_t b = described + turn.stage * (stage_bytes >> 4);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int block = 0; block < blocks; ++block) {
            multiply_sparse<W, tile_n>(sums[block], now.slots[block][i], b + 2 * i * sixteen_rows,
                                       now.metadata[block][i]);
          }
        }
        commit_products();
        wait_for_products<1>();
        if (pending) release(previous);
        pending = true;
        previous = turn.stage;
        turn.advance();
      };
      for (std::uint32_t step = 0; step < steps; step += 2) {
        multiply_step(step, operands[0], words[0]);
        if (step + 1 == steps) break;
        multiply_step(step + 1, operands[1], words[1]);
      }
      // The next tile's first words come while this one's products end and its sums are written.
      const std::uint32_t next = tile + tile_step;
      if (next < tiles) {
        rows = SlotRows<2 * blocks>(format, row_of(next) + lane_row);
        load_first_words();
      }
      wait_for_products<0>();
      if (pending) release(previous);
      if (has_residual) wait_with<handover_threads>(sums_there + warp / 4);
      const std::uint32_t column = column_of(tile);
#pragma unroll
      for (int block = 0; block < blocks; ++block) {
        keep_in_place(sums[block]);
#pragma unroll
        for (int below = 0; below < 2; ++below) {
          const std::uint32_t in_tile = lane_row + 64 * block + 8 * below;
          const std::uint64_t at = row_of(tile) + in_tile;
          float* row_sums = sums[block] + 2 * below;
          if (has_residual && (residual_rows[in_tile / 16] >> in_tile % 16 & 1u) != 0) {
            const float* extra = residual_tile.row(in_tile) + 2 * (lane % 4);
#pragma unroll
            for (int i = 0; i < tile_n / 8; ++i) {
              const float2 pair = *reinterpret_cast<const float2*>(extra + 8 * i);
              row_sums[4 * i] += pair.x;
              row_sums[4 * i + 1] += pair.y;
            }
          }
          __syncwarp();
          store_row<tile_n>(row_sums, at < m ? y + at * n : nullptr, column, n, lane);
        }
      }
      if (has_residual && next < tiles) tell<handover_threads>(sums_taken + warp / 4);
    }
  }
}

template <class W, class Y, int blocks>
void launch(const CudaContext& context, const TwoFour& format, const WeightView& weights,
            const OutputView& output) {
  constexpr int tile_m = 128 * blocks;
  constexpr int bytes = stages<blocks> * stage_bytes + tile_m * residual_stride * 4 + 1024;
  const auto kernel = sparse_wgmma<W, Y, blocks>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  const auto grid = static_cast<unsigned>(std::min<std::uint64_t>(tiles, multiprocessors));
  kernel<<<grid, hopper_threads, bytes, context.stream>>>(map_weights(weights), format,
                                                          static_cast<const W*>(weights.data),
                                                          static_cast<Y*>(output.data), output.n);
  check_launch();
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
