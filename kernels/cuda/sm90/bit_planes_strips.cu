// Y = S·W with S a bitmap in rows and W, in s4, in planes of bits, where all planes of a block's
// columns of W fit into shared memory, for Hopper. Columns of B of a product are all four planes of
// the same 32 columns of W, side by side: a lane then has the sums of all planes of an element of
// Y, so that nothing has to be doubled between products, and a warpgroup's strip of 64 rows of S
// stays in registers, as operand A, for all of the block's columns. While one warpgroup makes
// elements of Y of its sums, the others multiply. Each warp copies the words of its own 16 rows, a
// strip ahead; Y leaves by TMA.

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/device.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/bit_planes.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_b1.cuh"

namespace spiketune::cuda {
namespace {

constexpr std::uint32_t strip_rows = 64;
/// Of 16 rows of 1,024 columns of S, in TMA's 128-byte swizzle.
constexpr std::uint32_t box_bytes = warp_rows * 128;
constexpr int planes = 4;
constexpr int wide = 128;                    // columns of B: those of a part of Y, in all planes
constexpr int part_columns = wide / planes;  // of Y, of which a lane has pieces of 8
constexpr int part_pieces = part_columns / 8;
constexpr std::uint32_t stage_width = 64;  // columns of Y that leave together
constexpr int stage_parts = stage_width / part_columns;
constexpr std::uint32_t most_stages = 4;
constexpr std::uint32_t step_bytes = wide * bit_row_bytes;  // of a part, of 512 rows of W

/// Warpgroups of a block: as many as have the registers for their strips of S.
template <int k256>
constexpr int groups = k256 <= 6    ? 4
                       : k256 <= 12 ? 3
                                    : 2;

/// The product, and how its strips are dealt out among the blocks: in the order of the tiles of
/// columns, where those of each tile come after `cost` that stand for the copying of its planes.
struct Strips {
  std::uint64_t m;
  std::uint32_t n;
  std::uint32_t steps;  ///< of 512 rows of W
  std::uint32_t boxes;  ///< of words of a warp's rows
  std::uint32_t count;  ///< of a tile
  std::uint32_t cost;   ///< in strips
  std::uint32_t tiles;
  std::uint32_t stages;  ///< of 64 columns, of a tile
  const float* scales;
};

/// Four matrices of 8 × 16 bytes; lane i gives the address of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(std::uint32_t (&to)[4], std::uint32_t address) {
#if SPIKETUNE_SM90
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
#endif
}

[[nodiscard]] __device__ inline std::uint64_t bits_descriptor(std::uint32_t lower) {
  return std::uint64_t{8 * bit_row_bytes >> 4} << 32 | std::uint64_t{2} << 62 | lower;
}

/// k256: products of 256 columns of S. What they have beyond K is zero in S.
template <class Y, int k256>
__global__ void __launch_bounds__(128 * groups<k256>, 1)
    multiply_strips(const __grid_constant__ CUtensorMap w_map,
                    const __grid_constant__ CUtensorMap words_map,
                    const __grid_constant__ CUtensorMap y_map,
                    const __grid_constant__ Strips strips, Y* y) {
  constexpr std::uint32_t warps = 4 * groups<k256>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t w_states[most_stages * stage_parts];
  __shared__ std::uint64_t word_states[warps];
  const CopyBarriers w_full(w_states);
  const CopyBarriers words_full(word_states);
  std::uint8_t* const weights = shared + bytes_to_buffers(shared_address(shared));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t group = warp / 4;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t part_bytes = strips.steps * step_bytes;
  const std::uint32_t parts = strips.stages * stage_parts;
  std::uint8_t* const words = weights + parts * part_bytes + warp * strips.boxes * box_bytes;
  std::uint8_t* const staging =
      weights + parts * part_bytes + warps * strips.boxes * box_bytes + warp * 2 * staging_bytes;
  auto* const scales = reinterpret_cast<float*>(
      weights + parts * part_bytes + warps * (strips.boxes * box_bytes + 2 * staging_bytes));
  const auto row_of = [&](std::uint32_t strip) {
    return strip * strip_rows + warp % 4 * warp_rows;
  };
  const auto copy_words = [&](std::uint32_t strip) {
    if (lane == 0) {
      words_full.arrive_expecting(warp, strips.boxes * box_bytes);
#pragma unroll 1
      for (std::uint32_t box = 0; box < strips.boxes; ++box) {
        copy_box(words + box * box_bytes, &words_map, box * 128, row_of(strip),
                 words_full.at(warp));
      }
    }
  };
  if (lane == 0) {
    words_full.init(warp, 1);
    for (std::uint32_t i = warp; i < parts; i += warps) w_full.init(i, 1);
    fence_barriers();
  }
  __syncwarp();

  const std::uint32_t described =
      __shfl_sync(~0u, static_cast<std::uint32_t>(describe_bits(weights)), 0);
  // Matrices of ldmatrix: rows from 0 and from 8 on, of 16 bytes and of the next.
  const std::uint32_t my_words = shared_address(words) + lane % 16 * 128;
  const std::uint32_t chunk = lane / 16;
  const std::uint32_t of_tile = strips.count + strips.cost;
  const std::uint64_t total = std::uint64_t{strips.tiles} * of_tile;
  auto at = static_cast<std::uint32_t>(total * blockIdx.x / gridDim.x);
  const auto end = static_cast<std::uint32_t>(total * (blockIdx.x + 1) / gridDim.x);
  std::uint32_t parity = 0;    // of words
  std::uint32_t w_parity = 1;  // of planes
  std::uint32_t buffer = 0;    // of staging, that the next columns of Y take
  bool again = false;
#pragma unroll 1
  while (at < end) {
    const std::uint32_t tile = at / of_tile;
    const std::uint32_t stop = min(end, (tile + 1) * of_tile);
    const std::uint32_t first = max(at - tile * of_tile, strips.cost) - strips.cost;
    const std::uint32_t last = max(stop - tile * of_tile, strips.cost) - strips.cost;
    at = stop;
    if (first == last) continue;
    const std::uint32_t column = tile * strips.stages * stage_width;
    const std::uint32_t stages =
        min(strips.stages, (strips.n - column + stage_width - 1) / stage_width);
    if (again) __syncthreads();  // all products with the planes of the tile before are done
    again = true;
    w_parity ^= 1;
    if (first + group < last) copy_words(first + group);
    if (lane == 0) {
#pragma unroll 1
      for (std::uint32_t i = warp; i < stages * stage_parts; i += warps) {  // each is waited for
        w_full.arrive_expecting(i, part_bytes);
#pragma unroll 1
        for (std::uint32_t step = 0; step < strips.steps; ++step) {
          copy_box(weights + i * part_bytes + step * step_bytes, &w_map, 0,
                   column + i * part_columns, step, 0, w_full.at(i));
        }
      }
    }
    for (std::uint32_t i = threadIdx.x; i < strips.stages * stage_width; i += 128 * groups<k256>) {
      scales[i] = strips.scales != nullptr && column + i < strips.n
                      ? __ldg(strips.scales + column + i)
                      : 1.0f;
    }
    __syncthreads();

    std::int32_t sums[wide / 2];
    std::uint32_t a[k256][4];
    bool wait = true;  // planes are on their way
    const auto multiply = [&](std::uint32_t part) {
      if (wait) w_full.wait(part, w_parity);
      const std::uint32_t b = described + part * (part_bytes >> 4);
      begin_products();
#pragma unroll
      for (int i = 0; i < k256; ++i) {
        const std::uint64_t descriptor =
            bits_descriptor(b + i / 2 * (step_bytes >> 4) + i % 2 * std::uint32_t{next_256_bits});
        if (i == 0) {
          multiply_bits<wide, false>(sums, a[i], descriptor);
        } else {
          multiply_bits<wide, true>(sums, a[i], descriptor);
        }
      }
      commit_products();
      wait_for_products<0>();
      keep_in_place(sums);
    };
    /// The part q of a stage to Y.
    const auto put = [&](int q, std::uint32_t stage, std::uint32_t row) {
      const auto value = [&](int i) {
        // The highest plane counts negative.
        std::int32_t sum = sums[i] * -2 + sums[4 * part_pieces + i];
#pragma unroll
        for (int plane = 2; plane < planes; ++plane) {
          sum = 2 * sum + sums[4 * part_pieces * plane + i];
        }
        const float2 of_two = *reinterpret_cast<const float2*>(
            scales + stage * stage_width + q * part_columns + i / 4 * 8 + 2 * (lane % 4));
        return static_cast<float>(sum) * (i % 2 == 0 ? of_two.x : of_two.y);
      };
      const std::uint32_t from = column + stage * stage_width;
      if constexpr (sizeof(Y) == 2) {
        std::uint8_t* const to = staging + buffer * staging_bytes;
        if (q == 0) {
          if (lane == 0) wait_until_read<1>();
          __syncwarp();
        }
        stage_columns<Y, part_pieces>(value, q * part_pieces, to, lane);
        if (q == stage_parts - 1) {
          fence_shared_writes();
          __syncwarp();
          if (lane == 0) {
            copy_box_out(&y_map, from, row, to);
            commit_copies();
          }
          buffer ^= 1;
        }
      } else {
#pragma unroll
        for (int i = 0; i < 4 * part_pieces; i += 2) {
          const std::uint64_t to_row = std::uint64_t{row} + lane / 4 + i % 4 / 2 * 8;
          const std::uint32_t to_column = from + q * part_columns + i / 4 * 8 + 2 * (lane % 4);
          if (to_row < strips.m && to_column < strips.n) {
            *reinterpret_cast<float2*>(y + to_row * strips.n + to_column) = {value(i),
                                                                             value(i + 1)};
          }
        }
      }
    };
#pragma unroll 1
    for (std::uint32_t strip = first + group; strip < last; strip += groups<k256>, parity ^= 1) {
      words_full.wait(warp, parity);
#pragma unroll
      for (int i = 0; i < k256; ++i) {
        load_matrices(a[i], my_words + i / 4 * box_bytes + ((2 * (i % 4) + chunk) ^ lane % 8) * 16);
      }
      __syncwarp();
      if (strip + groups<k256> < last) copy_words(strip + groups<k256>);
#pragma unroll 1
      for (std::uint32_t stage = 0; stage < stages; ++stage) {
#pragma unroll
        for (int q = 0; q < stage_parts; ++q) {
          multiply(stage * stage_parts + q);
          put(q, stage, row_of(strip));
        }
      }
      wait = false;
    }
  }
  if (sizeof(Y) == 2 && lane == 0) wait_until_read<0>();  // before the block's memory is another's
}

/// Bytes of shared memory of a block whose tiles have `stages` stages.
template <int k256>
constexpr std::uint32_t bytes_of(std::uint32_t stages) {
  constexpr std::uint32_t steps = (k256 + 1) / 2;
  constexpr std::uint32_t boxes = (k256 + 3) / 4;
  return stages * stage_parts * steps * step_bytes +
         4 * groups<k256> * (boxes * box_bytes + 2 * staging_bytes) + stages * stage_width * 4 +
         buffer_alignment;
}

/// Stages of a tile, unless `tile_n` says: those of the shortest time. A warpgroup spends on a
/// strip what one and a half stages take, before the first; a block, on a tile's planes, what two
/// of the tile's take.
template <int k256>
std::uint32_t stages_of(const OutputView& output, int tile_n, std::uint32_t blocks) {
  std::uint32_t best = 1;
  double least = 0;
  for (std::uint32_t stages = 1; stages <= most_stages; stages *= 2) {
    if (stages > 1 && bytes_of<k256>(stages) > 227 * 1024) break;
    if (tile_n != 0) {
      if (static_cast<std::uint32_t>(tile_n) >= stages * stage_width) best = stages;
      continue;
    }
    const std::uint64_t strips =
        ceil_div(output.m, strip_rows) * ceil_div(output.n, stages * stage_width);
    const std::uint64_t turns = ceil_div(strips, std::uint64_t{blocks} * groups<k256>);
    const double time = static_cast<double>(turns) * (stages + 1.5) + 2.0 * stages;
    if (least == 0 || time <= least) {
      best = stages;
      least = time;
    }
  }
  return best;
}

template <class Y, int k256>
void launch_strips(const CudaContext& context, const Bitmap& bitmap, const Planes& w,
                   const WeightView& weights, const OutputView& output, int tile_n) {
  const auto blocks =
      static_cast<std::uint32_t>(attribute(context, cudaDevAttrMultiProcessorCount));
  Strips strips{};
  strips.m = output.m;
  strips.n = output.n;
  strips.steps = (k256 + 1) / 2;
  strips.boxes = (k256 + 3) / 4;
  strips.count = static_cast<std::uint32_t>(ceil_div(output.m, strip_rows));
  strips.cost = groups<k256>;
  strips.stages = stages_of<k256>(output, tile_n, blocks);
  strips.tiles = static_cast<std::uint32_t>(ceil_div(output.n, strips.stages * stage_width));
  strips.scales = weights.scales;
  const std::uint32_t bytes = bytes_of<k256>(strips.stages);
  // Steps beyond W are zeros.
  const CUtensorMap w_map =
      map_tensor(CU_TENSOR_MAP_DATA_TYPE_UINT8, w.words,
                 {{bit_row_bytes, 1, bit_row_bytes},
                  {w.columns, bit_row_bytes, part_columns},
                  {w.steps, std::uint64_t{w.columns} * bit_row_bytes, 1},
                  {planes, std::uint64_t{w.columns} * w.steps * bit_row_bytes, planes}},
                 CU_TENSOR_MAP_SWIZZLE_64B);
  const CUtensorMap words_map =
      map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, bitmap.words.data, output.m, weights.k / 8,
                 weights.k / 8, warp_rows, 128, CU_TENSOR_MAP_SWIZZLE_128B);
  CUtensorMap y_map{};
  if (sizeof(Y) == 2) {
    y_map =
        map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT16, output.data, output.m, output.n,
                   std::uint64_t{output.n} * 2, warp_rows, stage_width, CU_TENSOR_MAP_SWIZZLE_128B);
  }
  const auto kernel = multiply_strips<Y, k256>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  kernel<<<blocks, 128 * groups<k256>, bytes, context.stream>>>(w_map, words_map, y_map, strips,
                                                                static_cast<Y*>(output.data));
  check_launch();
}

template <class Y>
void run(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
         const WeightView& weights, const OutputView& output, int tile_n) {
  const std::uint64_t k256 = ceil_div(weights.k, 256);
  const auto launch = k256 <= 2    ? launch_strips<Y, 2>
                      : k256 == 3  ? launch_strips<Y, 3>
                      : k256 == 4  ? launch_strips<Y, 4>
                      : k256 <= 6  ? launch_strips<Y, 6>
                      : k256 <= 9  ? launch_strips<Y, 9>
                      : k256 <= 12 ? launch_strips<Y, 12>
                                   : launch_strips<Y, 16>;
  launch(context, bitmap, planes, weights, output, tile_n);
}

}  // namespace

void bit_planes_in_strips(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
                          const WeightView& weights, const OutputView& output, int tile_n) {
  if (output.type == DType::f16) {
    run<Half>(context, bitmap, planes, weights, output, tile_n);
  } else if (output.type == DType::bf16) {
    run<Bfloat16>(context, bitmap, planes, weights, output, tile_n);
  } else {
    run<float>(context, bitmap, planes, weights, output, tile_n);
  }
}

}  // namespace spiketune::cuda
