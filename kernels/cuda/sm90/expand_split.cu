// Y = S·W with S a bitmap, for Hopper, where Y has too few tiles for all multiprocessors: two
// blocks, a cluster, share a tile of 256 × 64 and take half of K each. Each sums up its part as
// expand.cu does, a warpgroup for 64 rows, then hands the other one the columns of its sums that
// that one writes, through distributed shared memory. W is read once, by all multiprocessors.

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/cluster.cuh"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr std::uint32_t groups = 4;
constexpr std::uint32_t tile_m = 64 * groups;
constexpr std::uint32_t consumers = 128 * groups;
constexpr std::uint32_t consumer_warps = consumers / 32;

constexpr int tile_n = 64;
/// Blocks of a cluster. Clusters of four would not be on all multiprocessors at once.
constexpr std::uint32_t split = 2;
constexpr std::uint32_t stages = 16;
constexpr std::uint32_t round = 4;  // steps whose words are loaded together
/// Columns of a tile that each block of a cluster writes, and what the other one sends it.
constexpr int own_columns = tile_n / split;
constexpr std::uint32_t received_bytes = (split - 1) * consumers * (own_columns / 2) * 4;

template <class W, class Y>
__global__ void __launch_bounds__(consumers + 128, 1)
    expand_split(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ Bitmap bitmap,
                 Y* __restrict__ y, std::uint32_t n) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[stages];
  __shared__ std::uint64_t empty_states[stages];
  const Ring ring(full_states, empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < stages; ++i) ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();
  arrive_at_cluster();  // the others may write here, once they have met this block

  const std::uint64_t m = bitmap.layout.m();
  const std::uint32_t rank = rank_in_cluster();
  const std::uint32_t tile = blockIdx.x / split;
  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(m, tile_m));
  const std::uint64_t first_row = std::uint64_t{tile % tiles_m} * tile_m;
  const std::uint32_t column = tile / tiles_m * tile_n;
  // The first part is whole rounds of four steps; in the last round of the other one W is zeros
  // beyond K.
  const std::uint32_t all_steps = step_count(bitmap);
  const std::uint32_t half_steps =
      std::min(all_steps, static_cast<std::uint32_t>(ceil_div(all_steps, 2 * round)) * round);
  const std::uint32_t first_step = rank == 0 ? 0 : half_steps;
  const std::uint32_t end_step = rank == 0 ? half_steps : all_steps;
  const auto rounds = static_cast<std::uint32_t>(ceil_div(end_step - first_step, round));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t lane = threadIdx.x % 32;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp == consumer_warps && lane == 0) {
      CountedTurn<stages> turn;
      for (std::uint32_t step = 0; step < rounds * round; ++step, turn.advance()) {
        ring.empty.wait(turn.stage(), turn.parity() ^ 1);
        ring.full.arrive_expecting(turn.stage(), stage_bytes<tile_n>);
        copy_rows<tile_n>(buffers + turn.stage() * stage_bytes<tile_n>, w_map, column,
                          (first_step + step) * depth, ring.full.at(turn.stage()));
      }
    }
    __syncwarp();
    wait_for_cluster();
    return;
  }

  take_registers<112>();
  const std::uint32_t described =
      __shfl_sync(~0u, static_cast<std::uint32_t>(describe_rows(buffers)), 0);
  const std::uint32_t factor = expand_factor(lane);
  const std::uint64_t row = first_row + warp * 16 + lane / 4;
  // Words of two rows, a round ahead. Rows beyond the matrix read its last one.
  const std::uint32_t step_words = bitmap.params.tiles ? 2 * Bitmap::tile_size : 2;
  const std::uint32_t* from[2];
#pragma unroll
  for (std::uint32_t below = 0; below < 2; ++below) {
    from[below] =
        &bitmap.words[bitmap.word_index(std::min(row + 8 * below, m - 1), 2 * first_step)];
  }
  uint2 next[round][2];
  const auto load = [&](std::uint32_t first) {
#pragma unroll
    for (std::uint32_t j = 0; j < round; ++j) {
#pragma unroll
      for (std::uint32_t below = 0; below < 2; ++below) {
        next[j][below] = {0, 0};
        if (first_step + first + j < end_step) {
          next[j][below] =
              __ldg(reinterpret_cast<const uint2*>(from[below] + (first + j) * step_words));
        }
      }
    }
  };
  load(0);
  float sums[tile_n / 2] = {};
  std::uint32_t operands[2][1][2][4];  // of 32 columns of S each, in turns
#pragma unroll 1
  for (std::uint32_t i = 0; i < rounds; ++i) {
    uint2 now[round][2];
#pragma unroll
    for (std::uint32_t j = 0; j < round; ++j) {
      now[j][0] = next[j][0];
      now[j][1] = next[j][1];
    }
    load((i + 1) * round);
    const std::uint32_t first_stage = i % (stages / round) * round;
    const std::uint32_t parity = i / (stages / round) % 2;
    const std::uint32_t b = described + first_stage * (stage_bytes<tile_n> >> 4);
#pragma unroll
    for (std::uint32_t j = 0; j < round; ++j) {
      ring.full.wait(first_stage + j, parity);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int below = 0; below < 2; ++below) {
          std::uint32_t expanded[4];
          expand_by_factor(half == 0 ? now[j][below].x : now[j][below].y, factor, expanded);
#pragma unroll
          for (int part = 0; part < 4; ++part) {
            operands[half][0][part / 2][below + part % 2 * 2] = expanded[part];
          }
        }
        begin_products();
#pragma unroll
        for (int sixteen = 0; sixteen < 2; ++sixteen) {
          multiply<W, tile_n>(
              sums, operands[half][0][sixteen],
              rows_descriptor(b + static_cast<std::uint32_t>(j * (stage_bytes<tile_n> >> 4) +
                                                             (2 * half + sixteen) * sixteen_rows)));
        }
        commit_products();
        wait_for_products<1>();
        // The products of the step before are done.
        if (half == 0 && i + j != 0 && lane == 0) {
          ring.empty.arrive(j == 0 ? (first_stage + stages - 1) % stages : first_stage + j - 1);
        }
      }
    }
  }
  wait_for_products<0>();
  keep_in_place(sums);

  // A lane has own_columns / 4 sums of each of its two rows for each block of the cluster.
  constexpr int own = own_columns / 2;
  const std::uint32_t received =
      shared_address(buffers) + stages * stage_bytes<tile_n> + threadIdx.x * 16;
  constexpr std::uint32_t piece = consumers * 16;
  float mine[own];
  wait_for_cluster();
#pragma unroll
  for (std::uint32_t to = 0; to < split; ++to) {
    if (to == rank) {
#pragma unroll
      for (int i = 0; i < own; ++i) mine[i] = sums[to * own + i];
    } else {
      const std::uint32_t slot =
          in_cluster(received + (rank < to ? rank : rank - 1) * (own / 4) * piece, to);
#pragma unroll
      for (int i = 0; i < own; i += 4) store_in_cluster(slot + i / 4 * piece, sums + to * own + i);
    }
  }
  arrive_at_cluster();
  wait_for_cluster();
#pragma unroll
  for (std::uint32_t from = 0; from < split - 1; ++from) {
#pragma unroll
    for (int i = 0; i < own; i += 4) {
      const float4 got = load_shared(received + (from * (own / 4) + i / 4) * piece);
      mine[i] += got.x;
      mine[i + 1] += got.y;
      mine[i + 2] += got.z;
      mine[i + 3] += got.w;
    }
  }
#pragma unroll
  for (int below = 0; below < 2; ++below) {
    const std::uint64_t at = row + 8 * below;
    store_row<own_columns>(mine + 2 * below, at < m ? y + at * n : nullptr,
                           column + rank * own_columns, n, lane);
  }
}

template <class W, class Y>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const OutputView& output) {
  constexpr std::uint32_t bytes = stages * stage_bytes<tile_n> + received_bytes + buffer_alignment;
  const auto kernel = expand_split<W, Y>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  launch_clusters(context, kernel, static_cast<unsigned>(tiles * split), split, consumers + 128,
                  bytes, map_weights(weights), bitmap, static_cast<Y*>(output.data), output.n);
  check_launch();
}

}  // namespace

void expand_split(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                  const OutputView& output) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) launch<W, Y>(context, bitmap, weights, output);
  });
}

}  // namespace spiketune::cuda
