// Y = S·W with S a bitmap and W in planes of bits, for Hopper. One block a multiprocessor: a warp
// that copies by TMA, some steps ahead, 512 columns of S of a tile's rows and 512 rows of a plane
// of tile_n columns; two warpgroups that take half of the rows each and multiply with wgmma, both
// operands in shared memory.
//
// Of S, the steps of a tile stay in shared memory for all planes where they fit: then a tile reads
// tile_m · K / 8 bytes of S and tile_n · K / 8 of each plane. Planes come M / tile_m times from L2,
// so tiles are tall: 256 × 128 take 16 bytes of them a clock and multiprocessor at the rate of the
// tensor cores, 65,536 operations.

#include "spiketune/kernels/cuda/bit_planes.cuh"

#include <algorithm>
#include <type_traits>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_b1.cuh"

namespace spiketune::cuda {
namespace {

constexpr int hopper_threads = 384;
constexpr int consumer_warps = 8;
constexpr std::uint32_t least_weight_stages = 8;
constexpr std::uint32_t most_weight_stages = 16;
constexpr std::uint32_t most_spike_stages = 12;
constexpr std::uint32_t shared_bytes = 226 * 1024;  // of 227 KB; the barriers are beside them

static_assert(step_words * 4 == bit_row_bytes);

/// What a block has to know of the product.
struct Job {
  std::uint64_t m;
  std::uint32_t n;
  std::uint32_t k;
  std::uint32_t planes;
  std::uint32_t steps;
  std::uint32_t padded_n;       ///< columns of W in memory
  std::uint32_t spike_stages;   ///< steps of S in shared memory
  std::uint32_t weight_stages;  ///< and of planes
  std::uint32_t apart;          ///< steps that the second warpgroup begins later
  const float* scales;

  /// Whether S stays for all planes.
  [[nodiscard]] __device__ bool keeps_spikes() const { return steps <= spike_stages; }
};

/// A ring, and where its buffers are.
struct Pipeline {
  std::uint8_t* buffers;
  Ring ring;
};

/// Copies what tile after tile needs, in the order in which it is used. One thread calls.
template <std::uint32_t tile_m, std::uint32_t tile_n>
__device__ void copy_tiles(const CUtensorMap& spike_map, const CUtensorMap& plane_map,
                           const Job& job, const Pipeline& spikes, const Pipeline& weights) {
  constexpr std::uint32_t spike_bytes = tile_m * bit_row_bytes;
  constexpr std::uint32_t weight_bytes = tile_n * bit_row_bytes;
  Turn spike(job.spike_stages);
  Turn weight(job.weight_stages);
  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(job.m, tile_m));
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(job.n, tile_n));
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::uint32_t row = tile % tiles_m * tile_m;
    const std::uint32_t column = tile / tiles_m * tile_n;
    for (std::uint32_t plane = 0; plane < job.planes; ++plane) {
      for (std::uint32_t step = 0; step < job.steps; ++step) {
        if (plane == 0 || !job.keeps_spikes()) {
          spikes.ring.empty.wait(spike.stage, spike.parity ^ 1);
          spikes.ring.full.arrive_expecting(spike.stage, spike_bytes);
          copy_box(spikes.buffers + spike.stage * spike_bytes, &spike_map, step * bit_row_bytes,
                   row, spikes.ring.full.at(spike.stage));
          spike.advance();
        }
        weights.ring.empty.wait(weight.stage, weight.parity ^ 1);
        weights.ring.full.arrive_expecting(weight.stage, weight_bytes);
        copy_box(weights.buffers + weight.stage * weight_bytes, &plane_map, 0,
                 (plane * job.steps + step) * job.padded_n + column,
                 weights.ring.full.at(weight.stage));
        weight.advance();
      }
    }
  }
}

/// Makes the tiles of Y, a warpgroup half of the rows of each.
template <class Y, int blocks, int tile_n>
__device__ void multiply_tiles(const Job& job, const Pipeline& spikes, const Pipeline& weights,
                               std::uint8_t* staging, Y* y) {
  constexpr std::uint32_t tile_m = 128 * blocks;
  constexpr std::uint32_t spike_bytes = tile_m * bit_row_bytes;
  constexpr std::uint32_t weight_bytes = tile_n * bit_row_bytes;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t group = threadIdx.x / 128;
  const std::uint32_t warp_row = group * (64 * blocks) + threadIdx.x / 32 % 4 * warp_rows;
  const std::uint64_t spike_rows = describe_bits(spikes.buffers) + group * blocks * next_64_rows;
  const std::uint64_t weight_columns = describe_bits(weights.buffers);
  // Where K ends in the first half of a step, the second one has nothing but zeros.
  const std::uint32_t whole_steps = job.steps - ((job.k - 1) % step_bits < step_bits / 2);
  Turn spike(job.spike_stages);
  Turn weight(job.weight_stages);
  const auto tiles_m = static_cast<std::uint32_t>(ceil_div(job.m, tile_m));
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(job.n, tile_n));
  Apart apart(group, job.apart);
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    std::int32_t sums[blocks][tile_n / 2];
    const std::uint32_t column = tile / tiles_m * tile_n;
    float scales[tile_n / 32];  // of columns lane, lane + 32, ...
#pragma unroll
    for (int i = 0; i < tile_n / 32; ++i) {
      const std::uint32_t at = column + 32 * i + lane;
      scales[i] = job.scales != nullptr && at < job.n ? __ldg(job.scales + at) : 1.0f;
    }
    const Turn first_spike = spike;
    for (std::uint32_t plane = 0; plane < job.planes; ++plane) {
      if (job.keeps_spikes()) spike = first_spike;
      const bool last_use = !job.keeps_spikes() || plane + 1 == job.planes;
      const auto release = [&](std::uint32_t spike_stage, std::uint32_t weight_stage) {
        if (lane == 0) {
          weights.ring.empty.arrive(weight_stage);
          if (last_use) spikes.ring.empty.arrive(spike_stage);
        }
      };
      std::uint32_t used_spike = 0;  // buffers of the step before
      std::uint32_t used_weight = 0;
      const auto multiply_step = [&](std::uint32_t step, auto halves) {
        apart.step();
        spikes.ring.full.wait(spike.stage, spike.parity);
        weights.ring.full.wait(weight.stage, weight.parity);
        const std::uint64_t a = spike_rows + spike.stage * (spike_bytes >> 4);
        const std::uint64_t b = weight_columns + weight.stage * (weight_bytes >> 4);
        begin_products();
#pragma unroll
        for (int half = 0; half < halves; ++half) {
#pragma unroll
          for (int block = 0; block < blocks; ++block) {
            multiply_bits<tile_n>(sums[block], a + block * next_64_rows + half * next_256_bits,
                                  b + half * next_256_bits, plane + step + half != 0);
          }
        }
        commit_products();
        wait_for_products<1>();
        if (step != 0) release(used_spike, used_weight);
        used_spike = spike.stage;
        used_weight = weight.stage;
        spike.advance();
        weight.advance();
      };
      for (std::uint32_t step = 0; step < whole_steps; ++step) {
        multiply_step(step, std::integral_constant<int, 2>{});
      }
      if (whole_steps != job.steps) {
        multiply_step(whole_steps, std::integral_constant<int, 1>{});
      }
      wait_for_products<0>();
      release(used_spike, used_weight);
      // The highest plane counts negative; all but the lowest are worth twice as much as the next.
#pragma unroll
      for (int block = 0; block < blocks; ++block) {
        keep_in_place(sums[block]);
        if (plane == 0) {
#pragma unroll
          for (std::int32_t& sum : sums[block]) sum *= -2;
        } else if (plane + 1 != job.planes) {
#pragma unroll
          for (std::int32_t& sum : sums[block]) sum += sum;
        }
      }
    }
    float of_sums[tile_n / 4];  // the scales of columns 8·i + 2·(lane % 4) and the next
#pragma unroll
    for (int i = 0; i < tile_n / 4; ++i) {
      const int at = i / 2 * 8 + i % 2;
      of_sums[i] = __shfl_sync(~0u, scales[at / 32], at % 32 + 2 * (lane % 4));
    }
#pragma unroll
    for (int block = 0; block < blocks; ++block) {
      store_rows<tile_n>(
          [&](int i) { return static_cast<float>(sums[block][i]) * of_sums[i / 4 * 2 + i % 2]; },
          TileRows(y, std::uint64_t{tile % tiles_m} * tile_m + warp_row + 64 * block, job.m, column,
                   job.n),
          staging, lane);
    }
  }
  apart.end();
}

template <class Y, int blocks, int tile_n>
__global__ void __launch_bounds__(hopper_threads, 1)
    bit_planes_wgmma(const __grid_constant__ CUtensorMap spike_map,
                     const __grid_constant__ CUtensorMap plane_map, const __grid_constant__ Job job,
                     Y* __restrict__ y) {
  constexpr std::uint32_t tile_m = 128 * blocks;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t states[2 * (most_spike_stages + most_weight_stages)];
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  const std::uint64_t* weight_states = states + 2 * most_spike_stages;
  const Pipeline spikes{buffers, Ring(states, states + most_spike_stages)};
  const Pipeline weights{buffers + job.spike_stages * tile_m * bit_row_bytes,
                         Ring(weight_states, weight_states + most_weight_stages)};
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < job.spike_stages; ++i) spikes.ring.init(i, consumer_warps);
    for (std::uint32_t i = 0; i < job.weight_stages; ++i) weights.ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();
  if (threadIdx.x >= 32 * consumer_warps) {
    leave_registers<24>();
    if (threadIdx.x == 32 * consumer_warps) {
      copy_tiles<tile_m, tile_n>(spike_map, plane_map, job, spikes, weights);
    }
  } else {
    take_registers<240>();
    multiply_tiles<Y, blocks, tile_n>(job, spikes, weights,
                                      weights.buffers + job.weight_stages * tile_n * bit_row_bytes +
                                          threadIdx.x / 32 * staging_bytes,
                                      y);
  }
}

template <class Y, int blocks, int tile_n>
void launch(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
            const WeightView& weights, const OutputView& output, std::uint32_t multiprocessors) {
  constexpr std::uint32_t tile_m = 128 * blocks;
  constexpr std::uint32_t spike_bytes = tile_m * bit_row_bytes;
  constexpr std::uint32_t weight_bytes = tile_n * bit_row_bytes;
  constexpr std::uint32_t room = shared_bytes - buffer_alignment - consumer_warps * staging_bytes;
  constexpr std::uint32_t fit =
      std::min(most_spike_stages, (room - least_weight_stages * weight_bytes) / spike_bytes);
  // Twice the steps of a tile let the next one's come early.
  const std::uint32_t spike_stages = std::min(fit, 2 * planes.steps);
  const std::uint32_t weight_stages =
      std::min(most_weight_stages, (room - spike_stages * spike_bytes) / weight_bytes);
  const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, tile_n);
  // Fewer than a tile has, and than fit beside those that are on their way; none where no tile
  // follows.
  const std::uint32_t apart = tiles <= multiprocessors
                                  ? 0
                                  : std::min({6U, planes.steps * planes.count - 1,
                                              std::min(spike_stages, weight_stages) - 2});
  const std::uint32_t bytes = spike_stages * spike_bytes + weight_stages * weight_bytes +
                              consumer_warps * staging_bytes + buffer_alignment;
  const auto kernel = bit_planes_wgmma<Y, blocks, tile_n>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  const CUtensorMap spike_map =
      map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, bitmap.words.data, output.m, weights.k / 8,
                 weights.k / 8, tile_m, bit_row_bytes, CU_TENSOR_MAP_SWIZZLE_64B);
  const CUtensorMap plane_map =
      map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, planes.words,
                 std::uint64_t{planes.count} * planes.steps * planes.columns, bit_row_bytes,
                 bit_row_bytes, tile_n, bit_row_bytes, CU_TENSOR_MAP_SWIZZLE_64B);
  const Job job{output.m,       weights.n,    weights.k,     planes.count, planes.steps,
                planes.columns, spike_stages, weight_stages, apart,        weights.scales};
  const auto grid = static_cast<unsigned>(std::min<std::uint64_t>(tiles, multiprocessors));
  kernel<<<grid, hopper_threads, bytes, context.stream>>>(spike_map, plane_map, job,
                                                          static_cast<Y*>(output.data));
  check_launch();
}

/// Fills what the config leaves open: the tiles with the shortest time if a multiprocessor makes
/// one at a time. Those of fewer rows read planes oftener, those of fewer columns S.
BitPlanes choose_tiles(const BitPlanes& config, const OutputView& output,
                       std::uint32_t multiprocessors) {
  struct Option {
    int tile_m;
    int tile_n;
    double slowness;
  };
  BitPlanes best;
  double least = 0;
  for (const Option& option : {Option{256, 128, 1}, {128, 128, 1.3}, {256, 64, 1.3}}) {
    if (config.tile_m != 0 && config.tile_m != option.tile_m) continue;
    if (config.tile_n != 0 && config.tile_n != option.tile_n) continue;
    const std::uint64_t tiles =
        ceil_div(output.m, option.tile_m) * ceil_div(output.n, option.tile_n);
    const double time = static_cast<double>(ceil_div(tiles, multiprocessors)) * option.tile_m *
                        option.tile_n * option.slowness;
    if (best.tile_m == 0 || time < least) {
      best = {option.tile_m, option.tile_n};
      least = time;
    }
  }
  return best;
}

template <class Y>
void run(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
         const WeightView& weights, const OutputView& output, const BitPlanes& config) {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, context.device));
  const auto multiprocessors = static_cast<std::uint32_t>(count);
  const BitPlanes tiles = choose_tiles(config, output, multiprocessors);
  if (tiles.tile_m == 128) {
    launch<Y, 1, 128>(context, bitmap, planes, weights, output, multiprocessors);
  } else if (tiles.tile_n == 128) {
    launch<Y, 2, 128>(context, bitmap, planes, weights, output, multiprocessors);
  } else {
    launch<Y, 2, 64>(context, bitmap, planes, weights, output, multiprocessors);
  }
}

}  // namespace

void bit_planes_on_hopper(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
                          const WeightView& weights, const OutputView& output,
                          const BitPlanes& config) {
  if (output.type == DType::f16) {
    run<Half>(context, bitmap, planes, weights, output, config);
  } else if (output.type == DType::bf16) {
    run<Bfloat16>(context, bitmap, planes, weights, output, config);
  } else {
    run<float>(context, bitmap, planes, weights, output, config);
  }
}

}  // namespace spiketune::cuda
