// Y = S·W with S a bitmap, for Hopper, where Y has too few tiles for all multiprocessors: two
// blocks, a cluster, share a tile of 256 × 64 and take half of K each. Each sums up its part as
// expand.cu does, a warpgroup for 64 rows, then hands the other one the columns of its sums that
// that one writes, through distributed shared memory. W is read once, by all multiprocessors.

#include <cuda.h>

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
  const std::uint32_t all_steps = step_count(bitmap);
  const std::uint32_t first_step = all_steps * rank / split;
  const std::uint32_t end_step = all_steps * (rank + 1) / split;
  const StepRange part(bitmap, first_row, tile_m / 64, first_step, end_step);
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  CountedTurn<stages> turn;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp == consumer_warps) {
      StepRange steps = part;
      for (std::uint32_t step; (step = steps.next()) < steps.count(); turn.advance()) {
        if (lane == 0) {
          ring.empty.wait(turn.stage(), turn.parity() ^ 1);
          ring.full.arrive_expecting(turn.stage(), stage_bytes<tile_n>);
          copy_rows<tile_n>(buffers + turn.stage() * stage_bytes<tile_n>, w_map, column,
                            step * depth, ring.full.at(turn.stage()));
        }
        __syncwarp();
      }
    }
    wait_for_cluster();
    return;
  }

  take_registers<112>();
  const std::uint64_t described = describe_rows(buffers);
  const std::uint64_t row = first_row + warp * 16 + lane / 4;
  FourStepCursor<1, 2, StepRange> cursor(bitmap, part, [&](int i) { return row + i * 8; });
  float sums[tile_n / 2] = {};
  std::uint32_t operands[2][1][2][4];  // of 32 columns of S each, in turns
  bool pending = false;                // products of the step before
  for (bool more = true; more;) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      more = more && cursor.step(j) < cursor.count();
      if (!more) continue;
      ring.full.wait(turn.stage(), turn.parity());
      const std::uint64_t b = described + turn.stage() * (stage_bytes<tile_n> >> 4);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        cursor.template expand<1>(j, lane, half, operands[half]);
        if (half == 1) cursor.advance(j);
        begin_products();
#pragma unroll
        for (int sixteen = 0; sixteen < 2; ++sixteen) {
          multiply<W, tile_n>(sums, operands[half][0][sixteen],
                              b + (2 * half + sixteen) * sixteen_rows);
        }
        commit_products();
        wait_for_products<1>();
        if (half == 0 && pending && lane == 0) ring.empty.arrive(turn.previous_stage());
      }
      pending = true;
      turn.advance();
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
