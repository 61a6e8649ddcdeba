// Y = S·W with S a bitmap and all rows of W of a block's columns in shared memory, for Hopper:
// where K is small, W is read once, not M / tile_m times. Strips of 64 rows of tile_n columns are
// dealt out evenly, column of tiles by column of tiles, so that a block has W of one or two of
// them. Warpgroups take strips in turn: while one waits for words or writes its sums, the tensor
// cores have the others' products. The words of a strip lie together in memory, and come to shared
// memory as one copy, a strip ahead.
//
// Such products take some microseconds, of which a cold start is a third: what the host can
// compute, it does, copies are the first thing that a block does, each of another warp, and there
// is little code.

#include <cuda.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr std::uint32_t strip_rows = 64;
constexpr std::uint32_t most_steps = 32;  // a lane each
/// Warpgroups of a block, as many as registers allow.
template <int tile_n>
inline constexpr std::uint32_t groups = tile_n == 64 ? 6 : 4;

/// S in strips, and how they are dealt out.
struct Strips {
  const std::uint8_t* words;
  std::uint32_t m;
  std::uint32_t count;      ///< of a column of tiles
  std::uint32_t steps;      ///< of 64 columns of S
  std::uint32_t bytes;      ///< of a strip's words
  std::uint32_t row_bytes;  ///< from a row's words to the next row's
  std::uint32_t buffers;    ///< for words, of each warpgroup: 1 or 2
  std::uint32_t buffer_bytes;
  std::uint32_t share;  ///< blocks among which `dealt` strips are dealt out,
  std::uint32_t dealt;  ///< those of one column of tiles, or of all
  std::uint32_t per_block;
  std::uint32_t one_more;  ///< blocks that have one more than that
};

template <class W, class Y, int tile_n>
__global__ void __launch_bounds__(128 * groups<tile_n>, 1)
    expand_strips(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ Strips strips,
                  Y* __restrict__ y, std::uint32_t n) {
  constexpr std::uint32_t warps = 4 * groups<tile_n>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t w_states[most_steps];
  __shared__ std::uint64_t word_states[2 * groups<tile_n>];
  const CopyBarriers w_full(w_states);
  const CopyBarriers words_full(word_states);
  std::uint8_t* const weights = shared + bytes_to_buffers(shared_address(shared));
  const std::uint32_t member = blockIdx.x % strips.share;
  const std::uint32_t first = blockIdx.x / strips.share * strips.dealt + member * strips.per_block +
                              std::min(member, strips.one_more);
  const std::uint32_t last = first + strips.per_block + (member < strips.one_more ? 1 : 0);
  const std::uint32_t first_tile = first / strips.count;
  const std::uint32_t next_tile = (first_tile + 1) * strips.count;  // its first strip
  // Uniform, as the compiler sees.
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);
  const std::uint32_t group = warp / 4;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint8_t* const words = weights +
                              (last > next_tile ? 2 : 1) * strips.steps * stage_bytes<tile_n> +
                              group * strips.buffers * strips.buffer_bytes;
  const auto strip_of = [&](std::uint32_t unit) {
    return unit - (unit < next_tile ? first_tile * strips.count : next_tile);
  };
  // A warp copies the words of its warpgroup's i-th unit; at the matrix's end not whole pieces of
  // 16 bytes.
  const auto copy_words = [&](std::uint32_t i, std::uint32_t unit) {
    const std::uint32_t strip = strip_of(unit);
    const std::uint32_t buffer = i % strips.buffers;
    const std::uint32_t barrier = group * 2 + buffer;
    const std::uint8_t* from = strips.words + std::uint64_t{strip} * strips.bytes;
    std::uint8_t* to = words + buffer * strips.buffer_bytes;
    std::uint32_t bytes = strips.bytes;
    if (strip == strips.count - 1) {
      const std::uint32_t there = (strips.m - strip * strip_rows) * strips.row_bytes;
      bytes = there / 16 * 16;
      if (lane < there % 16 / 4) {
        *reinterpret_cast<std::uint32_t*>(to + bytes + 4 * lane) =
            __ldg(reinterpret_cast<const std::uint32_t*>(from + bytes) + lane);
      }
      __syncwarp();
    }
    if (lane == 0) {
      words_full.arrive_expecting(barrier, bytes);
      if (bytes != 0) copy_bytes(to, from, bytes, words_full.at(barrier));
    }
  };
  if (lane == 0) {
    if (warp % 4 == 0) {
      words_full.init(group * 2, 1);
      words_full.init(group * 2 + 1, 1);
    }
    for (std::uint32_t i = warp; i < (last > next_tile ? 2 : 1) * strips.steps; i += warps) {
      w_full.init(i, 1);
    }
    fence_barriers();
  }
  __syncwarp();
  if (warp % 4 == 0) {
#pragma unroll 1
    for (std::uint32_t i = 0; i < strips.buffers; ++i) {
      const std::uint32_t unit = first + group + i * groups<tile_n>;
      if (unit < last) copy_words(i, unit);
    }
  }
  if (lane == 0) {
#pragma unroll 1
    for (std::uint32_t i = warp; i < (last > next_tile ? 2 : 1) * strips.steps; i += warps) {
      const std::uint32_t tile = i < strips.steps ? 0 : 1;
      w_full.arrive_expecting(i, stage_bytes<tile_n>);
      copy_rows<tile_n>(weights + i * stage_bytes<tile_n>, w_map, (first_tile + tile) * tile_n,
                        (i - tile * strips.steps) * depth, w_full.at(i));
    }
  }
  __syncthreads();

  const std::uint32_t described =
      __shfl_sync(~0u, static_cast<std::uint32_t>(describe_rows(weights)), 0);
  const std::uint32_t factor = expand_factor(lane);
  const std::uint32_t row_in_strip = warp % 4 * 16 + lane / 4;
  const std::uint32_t my_words = shared_address(words) + row_in_strip * strips.row_bytes;
  std::uint32_t waited = 0;  // tiles whose W is there
  std::uint32_t i = 0;
#pragma unroll 1
  for (std::uint32_t unit = first + group; unit < last; unit += groups<tile_n>, ++i) {
    const std::uint32_t tile = unit < next_tile ? 0 : 1;
    const std::uint32_t strip = strip_of(unit);
    words_full.wait(group * 2 + i % strips.buffers, i / strips.buffers % 2);
    float sums[tile_n / 2] = {};
    std::uint32_t operands[2][1][2][4];
    std::uint32_t from = my_words + i % strips.buffers * strips.buffer_bytes;
    const std::uint32_t to_below = 8 * strips.row_bytes;
    uint2 now[2] = {load_words(from), load_words(from + to_below)};
    const std::uint32_t end = (tile + 1) * strips.steps;
    const bool wait = waited <= tile;
#pragma unroll 1
    for (std::uint32_t buffer = tile * strips.steps; buffer < end; ++buffer) {
      from += 8;  // at the strip's end what is read is not used
      const uint2 next[2] = {load_words(from), load_words(from + to_below)};
      if (wait) w_full.wait(buffer, 0);
      const std::uint32_t b = described + buffer * (stage_bytes<tile_n> >> 4);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int below = 0; below < 2; ++below) {
          std::uint32_t expanded[4];
          expand_by_factor(half == 0 ? now[below].x : now[below].y, factor, expanded);
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
              rows_descriptor(b + static_cast<std::uint32_t>((2 * half + sixteen) * sixteen_rows)));
        }
        commit_products();
        wait_for_products<1>();
      }
      now[0] = next[0];
      now[1] = next[1];
    }
    waited = tile + 1;
    wait_for_others(1 + group, 128);  // no warp reads this strip's words any more
    const std::uint32_t later = unit + strips.buffers * groups<tile_n>;
    if (warp % 4 == 0 && later < last) copy_words(i + strips.buffers, later);
    wait_for_products<0>();
    keep_in_place(sums);
    const std::uint64_t row = std::uint64_t{strip} * strip_rows + row_in_strip;
    const std::uint32_t column = (first_tile + tile) * tile_n;
#pragma unroll
    for (int below = 0; below < 2; ++below) {
      const std::uint64_t at = row + 8 * below;
      store_row<tile_n>(sums + 2 * below, at < strips.m ? y + at * n : nullptr, column, n, lane);
    }
  }
}

/// Shared memory with `columns` columns of tiles and so many buffers for words.
template <int tile_n>
std::uint32_t shared_bytes(const Strips& strips, std::uint32_t columns, std::uint32_t buffers) {
  return columns * strips.steps * stage_bytes<tile_n> +
         groups<tile_n> * buffers * strips.buffer_bytes + buffer_alignment;
}

template <class W, class Y, int tile_n>
bool launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const OutputView& output) {
  if (reinterpret_cast<std::uintptr_t>(bitmap.words.data) % 16 != 0 || bitmap.params.tiles ||
      bitmap.words_per_row() % 2 != 0) {
    return false;
  }
  Strips strips = {};
  strips.words = reinterpret_cast<const std::uint8_t*>(bitmap.words.data);
  strips.m = static_cast<std::uint32_t>(output.m);
  strips.count = static_cast<std::uint32_t>(ceil_div(output.m, strip_rows));
  strips.steps = step_count(bitmap);
  strips.row_bytes = static_cast<std::uint32_t>(bitmap.words_per_row()) * 4;
  strips.bytes = strip_rows * strips.row_bytes;
  strips.buffer_bytes = (strips.bytes + 127) / 128 * 128;
  int multiprocessors = 0;
  int most_bytes = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  check(
      cudaDeviceGetAttribute(&most_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, context.device));
  const auto blocks = static_cast<std::uint32_t>(multiprocessors);
  const std::uint32_t limit = static_cast<std::uint32_t>(most_bytes) - 1024;  // barriers
  const auto tiles = static_cast<std::uint32_t>(ceil_div(output.n, tile_n));
  const auto fits = [&](std::uint32_t columns) {
    return columns * strips.steps <= most_steps &&
           shared_bytes<tile_n>(strips, columns, 1) <= limit;
  };
  if (!fits(1) || output.m * std::uint64_t{tiles} >= std::uint64_t{1} << 31) return false;
  // A block with strips of two columns of tiles has fewer than it would have of one of its own.
  const std::uint32_t columns = tiles > 1 && tiles <= blocks && fits(2) ? 2 : 1;
  const std::uint32_t units = tiles * strips.count;
  strips.dealt = columns == 2 ? units : strips.count;
  strips.share =
      columns == 2 ? std::min(units, blocks) : std::min(strips.count, std::max(1u, blocks / tiles));
  strips.per_block = strips.dealt / strips.share;
  strips.one_more = strips.dealt % strips.share;
  const std::uint32_t grid = units / strips.dealt * strips.share;
  strips.buffers = shared_bytes<tile_n>(strips, columns, 2) <= limit ? 2 : 1;
  const auto kernel = expand_strips<W, Y, tile_n>;
  const std::uint32_t bytes = shared_bytes<tile_n>(strips, columns, strips.buffers);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  kernel<<<grid, 128 * groups<tile_n>, bytes, context.stream>>>(
      map_weights(weights), strips, static_cast<Y*>(output.data), output.n);
  check_launch();
  return true;
}

}  // namespace

bool expand_strips(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                   const OutputView& output, int tile_n) {
  bool launched = false;
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      launched = tile_n == 128 ? launch<W, Y, 128>(context, bitmap, weights, output)
                               : launch<W, Y, 64>(context, bitmap, weights, output);
    }
  });
  return launched;
}

}  // namespace spiketune::cuda
