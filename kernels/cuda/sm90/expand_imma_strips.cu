// Y = S·W with S a bitmap in rows, W in bytes, and all rows of W of a block's columns in shared
// memory, for Hopper. As expand_strips.cu, but with half the time for a product there is less for
// all else. So few warpgroups multiply at once, in the order of their strips: those that end one
// write their sums while the next ones multiply, instead of all at the same time. Each warp copies
// the words of its own 16 rows, a strip ahead, to where eight rows lie in all banks.

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/expand_imma.cuh"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/expand_imma.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"

namespace spiketune::cuda {
namespace {

constexpr std::uint32_t strip_rows = 64;
constexpr std::uint32_t most_steps = 32;
/// Warpgroups of a block, as many as registers allow, and those that multiply at once.
template <int tile_n>
inline constexpr std::uint32_t groups = tile_n == 64    ? 6
                                        : tile_n == 128 ? 4
                                                        : 3;
template <int tile_n>
inline constexpr std::uint32_t at_once = tile_n == 64    ? groups<tile_n>
                                         : tile_n == 128 ? 3
                                                         : 2;
/// Of 16 rows of 1,024 columns of S.
constexpr std::uint32_t box_bytes = warp_rows * 128;
template <int tile_n>
inline constexpr std::uint32_t step_bytes = ByteColumns::step_rows* tile_n;

/// Until `count`, in shared memory, is that much: a count and not a phase of a barrier, of which
/// those that come late take one for another.
__device__ void wait_for_count(const std::uint32_t& count, std::uint32_t least) {
  const volatile std::uint32_t& now = count;
  while (now < least) {
  }
}

/// S in strips, and how they are dealt out among the blocks of a column of tiles.
struct Strips {
  const std::uint8_t* words;
  std::uint32_t m;
  std::uint32_t steps;         ///< of 64 columns of S
  std::uint32_t row_bytes;     ///< of words
  std::uint32_t boxes;         ///< of 128 bytes of 16 rows, by TMA; 0: one copy of all
  std::uint32_t buffer_bytes;  ///< for a warp's words
  std::uint32_t staging;       ///< bytes from the words to where sums leave; 0: in their place
  std::uint32_t share;         ///< blocks
  std::uint32_t per_block;
  std::uint32_t one_more;  ///< blocks that have one more than that
};

/// Y, and W as TMA does not know it.
template <class Y>
struct Columns {
  Y* y;
  const float* scales;
  std::uint32_t n;
  std::uint32_t padded;  ///< from a step of W to the next
};

template <class Sum, class Y, int tile_n>
__global__ void __launch_bounds__(128 * groups<tile_n>, 1)
    expand_imma_strips(const __grid_constant__ CUtensorMap w_map,
                       const __grid_constant__ CUtensorMap words_map,
                       const __grid_constant__ Strips strips,
                       const __grid_constant__ Columns<Y> columns) {
  constexpr std::uint32_t threads = 128 * groups<tile_n>;
  constexpr std::uint32_t warps = threads / 32;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t w_states[most_steps];
  __shared__ std::uint64_t word_states[warps];
  __shared__ std::uint32_t ended[groups<tile_n>];  // strips whose products have, of each warp
  __shared__ float scales[tile_n];
  const CopyBarriers w_full(w_states);
  const CopyBarriers words_full(word_states);
  std::uint8_t* const weights = shared + bytes_to_buffers(shared_address(shared));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t group = warp / 4;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t member = blockIdx.x % strips.share;
  const std::uint32_t column = blockIdx.x / strips.share * tile_n;
  const std::uint32_t first = member * strips.per_block + std::min(member, strips.one_more);
  const std::uint32_t count = strips.per_block + (member < strips.one_more ? 1 : 0);
  std::uint8_t* const all_words = weights + strips.steps * step_bytes<tile_n>;
  std::uint8_t* const words = all_words + warp * strips.buffer_bytes;
  std::uint8_t* const staging =
      strips.staging == 0 ? words : all_words + strips.staging + warp * staging_bytes;
  const auto first_row = [&](std::uint32_t i) {
    return (first + i) * strip_rows + warp % 4 * warp_rows;
  };
  // The warp's words of the block's i-th strip.
  const auto copy_words = [&](std::uint32_t i) {
    const std::uint32_t row = first_row(i);
    if (strips.boxes != 0) {
      if (lane == 0) {
        words_full.arrive_expecting(warp, strips.boxes * box_bytes);
#pragma unroll 1
        for (std::uint32_t box = 0; box < strips.boxes; ++box) {
          copy_box(words + box * box_bytes, &words_map, box * 128, row, words_full.at(warp));
        }
      }
      return;
    }
    // At the matrix's end not whole pieces of 16 bytes.
    const std::uint32_t there =
        (row < strips.m ? std::min(strips.m - row, std::uint32_t{warp_rows}) : 0) *
        strips.row_bytes;
    const std::uint32_t bytes = there / 16 * 16;
    const std::uint8_t* from = strips.words + std::uint64_t{row} * strips.row_bytes;
    if (lane < there % 16 / 4) {
      *reinterpret_cast<std::uint32_t*>(words + bytes + 4 * lane) =
          __ldg(reinterpret_cast<const std::uint32_t*>(from + bytes) + lane);
    }
    __syncwarp();
    if (lane == 0) {
      words_full.arrive_expecting(warp, bytes);
      if (bytes != 0) copy_bytes(words, from, bytes, words_full.at(warp));
    }
  };
  if (lane == 0) {
    words_full.init(warp, 1);
    if (warp < groups<tile_n>) ended[warp] = 0;
    for (std::uint32_t i = warp; i < strips.steps; i += warps) w_full.init(i, 1);
    fence_barriers();
  }
  __syncwarp();
  if (group < count) copy_words(group);
  if (lane == 0) {
#pragma unroll 1
    for (std::uint32_t i = warp; i < strips.steps; i += warps) {
      w_full.arrive_expecting(i, step_bytes<tile_n>);
      copy_box(weights + i * step_bytes<tile_n>, &w_map, 0, i * columns.padded + column,
               w_full.at(i));
    }
  }
  for (std::uint32_t i = threadIdx.x; i < tile_n; i += threads) {
    const bool scaled = columns.scales != nullptr && column + i < columns.n;
    scales[i] = ByteFactors<Sum>::scale * (scaled ? __ldg(columns.scales + column + i) : 1.0f);
  }
  __syncthreads();

  const std::uint32_t described =
      __shfl_sync(~0u, static_cast<std::uint32_t>(describe_bits(weights)), 0);
  const ByteFactors<Sum> factors(lane);
  // Boxes are in TMA's 128-byte swizzle.
  const std::uint32_t from_row = strips.boxes != 0 ? 128 : strips.row_bytes;
  const std::uint32_t from_box = strips.boxes != 0 ? box_bytes : 128;
  const std::uint32_t swizzle = strips.boxes != 0 ? lane / 4 * 16 : 0;
  const std::uint32_t my_words = shared_address(words) + lane / 4 * from_row;
  const auto load = [&](std::uint32_t step, uint2(&rows)[2]) {
    const std::uint32_t from = my_words + step / 16 * from_box + (step % 16 * 8 ^ swizzle);
    rows[0] = load_words(from);
    rows[1] = load_words(from + 8 * from_row);
  };
  bool wait = true;  // W is on its way
  std::uint32_t parity = 0;
#pragma unroll 1
  for (std::uint32_t i = group; i < count; i += groups<tile_n>, parity ^= 1) {
    words_full.wait(warp, parity);
    Sum sums[tile_n / 2] = {};
    std::uint32_t operands[2][4];
    uint2 now[2];
    load(0, now);
    if (at_once<tile_n> < groups<tile_n> && i >= at_once<tile_n>) {
      const std::uint32_t before = i - at_once<tile_n>;
      wait_for_count(ended[before % groups<tile_n>], 4 * (before / groups<tile_n> + 1));
    }
#pragma unroll 1
    for (std::uint32_t step = 0; step < strips.steps; ++step) {
      uint2 next[2];
      load(std::min(step + 1, strips.steps - 1), next);
      if (wait) w_full.wait(step, 0);
      const std::uint32_t b = described + step * (step_bytes<tile_n> >> 4);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int below = 0; below < 2; ++below) {
          factors.expand(half == 0 ? now[below].x : now[below].y, operands[half][below],
                         operands[half][below + 2]);
        }
        begin_products();
        multiply_bytes<tile_n>(
            sums, operands[half],
            bytes_descriptor(b + static_cast<std::uint32_t>(half * next_256_bits)));
        commit_products();
        wait_for_products<1>();
      }
      now[0] = next[0];
      now[1] = next[1];
    }
    wait = false;
    __syncwarp();
    if (at_once<tile_n> < groups<tile_n> && lane == 0) atomicAdd(&ended[group], 1u);
    const bool more = i + groups<tile_n> < count;
    if (more && strips.staging != 0) copy_words(i + groups<tile_n>);
    wait_for_products<0>();
    keep_in_place(sums);
    store_rows<tile_n>(
        [&](int at) {
          const float2 of_two =
              *reinterpret_cast<const float2*>(scales + at / 4 * 8 + 2 * (lane % 4));
          return static_cast<float>(sums[at]) * (at % 2 == 0 ? of_two.x : of_two.y);
        },
        TileRows(columns.y, first_row(i), strips.m, column, columns.n), staging, lane);
    if (more && strips.staging == 0) {
      fence_shared_writes();
      __syncwarp();
      copy_words(i + groups<tile_n>);
    }
  }
}

/// Of a warp's words of K columns, or of its sums, in turns.
constexpr std::uint32_t buffer_bytes(std::uint32_t k) {
  const std::uint32_t row_bytes = (k + 63) / 64 * 8;
  const std::uint32_t bytes =
      row_bytes % 16 == 0 ? (row_bytes + 127) / 128 * box_bytes : warp_rows * row_bytes;
  return std::max(bytes, staging_bytes);
}
/// Without room for sums beside the words.
template <int tile_n>
constexpr std::uint32_t shared_bytes(std::uint32_t k) {
  return (k + 63) / 64 * step_bytes<tile_n> + 4 * groups<tile_n> * buffer_bytes(k) +
         buffer_alignment;
}
/// Less barriers and scales.
constexpr std::uint32_t most_shared_bytes = 227 * 1024 - 2048;
static_assert(shared_bytes<64>(2048) <= most_shared_bytes && ExpandImma::holds_weights(2048, 64));
static_assert(shared_bytes<128>(1280) <= most_shared_bytes && ExpandImma::holds_weights(1280, 128));
static_assert(shared_bytes<256>(768) <= most_shared_bytes && ExpandImma::holds_weights(768, 256));

template <class Sum, class Y, int tile_n>
void launch(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
            const WeightView& weights, const OutputView& output) {
  constexpr std::uint32_t warps = 4 * groups<tile_n>;
  Strips strips = {};
  strips.words = reinterpret_cast<const std::uint8_t*>(bitmap.words.data);
  strips.m = static_cast<std::uint32_t>(output.m);
  strips.steps = columns.steps;
  strips.row_bytes = columns.steps * 8;
  strips.buffer_bytes = buffer_bytes(weights.k);
  const bool in_boxes = strips.row_bytes % 16 == 0;
  if (in_boxes) strips.boxes = (strips.row_bytes + 127) / 128;
  std::uint32_t bytes = shared_bytes<tile_n>(weights.k);
  if (bytes + warps * staging_bytes <= most_shared_bytes) {
    strips.staging = warps * strips.buffer_bytes;
    bytes += warps * staging_bytes;
  }
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const auto tiles = static_cast<std::uint32_t>(ceil_div(output.n, tile_n));
  const auto count = static_cast<std::uint32_t>(ceil_div(output.m, strip_rows));
  strips.share = std::min(count, std::max(1u, static_cast<std::uint32_t>(multiprocessors) / tiles));
  strips.per_block = count / strips.share;
  strips.one_more = count % strips.share;
  CUtensorMap words_map{};
  if (in_boxes) {
    words_map = map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, strips.words, output.m, strips.row_bytes,
                           strips.row_bytes, warp_rows, 128, CU_TENSOR_MAP_SWIZZLE_128B);
  }
  const auto kernel = expand_imma_strips<Sum, Y, tile_n>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  kernel<<<tiles * strips.share, 128 * groups<tile_n>, bytes, context.stream>>>(
      map_bytes(columns, tile_n), words_map, strips,
      Columns<Y>{static_cast<Y*>(output.data), weights.scales, output.n, columns.columns});
  check_launch();
}

template <class Sum, int tile_n>
void with_output(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
                 const WeightView& weights, const OutputView& output) {
  if (output.type == DType::f16) {
    launch<Sum, Half, tile_n>(context, bitmap, columns, weights, output);
  } else if (output.type == DType::bf16) {
    launch<Sum, Bfloat16, tile_n>(context, bitmap, columns, weights, output);
  } else {
    launch<Sum, float, tile_n>(context, bitmap, columns, weights, output);
  }
}

}  // namespace

bool expand_imma_in_strips(const CudaContext& context, const Bitmap& bitmap,
                           const ByteColumns& columns, const WeightView& weights,
                           const OutputView& output, int tile_n) {
  if (bitmap.params.tiles || reinterpret_cast<std::uintptr_t>(bitmap.words.data) % 16 != 0 ||
      output.m >= std::uint64_t{1} << 31) {
    return false;
  }
  const auto with = [&]<class Sum>(Sum) {
    switch (tile_n) {
      case 64:
        return with_output<Sum, 64>(context, bitmap, columns, weights, output);
      case 128:
        return with_output<Sum, 128>(context, bitmap, columns, weights, output);
      default:
        return with_output<Sum, 256>(context, bitmap, columns, weights, output);
    }
  };
  weights.type == DType::e4m3 ? with(0.0f) : with(std::int32_t{0});
  return true;
}

}  // namespace spiketune::cuda
