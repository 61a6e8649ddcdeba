#pragma once
/// \file
/// Operands of wgmma from the words of a bitmap, or from bytes, which the kernels of expand.cu,
/// expand_tall.cu and expand_resident.cu share.

#include <cuda.h>

#include <cstdint>

#include "spiketune/kernels/cuda/expand.cuh"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"

namespace spiketune::cuda {

inline constexpr int depth = 64;  // columns of S, rows of W, per step

template <int tile_n>
inline constexpr int stage_bytes = depth* tile_n * 2;

/// expand_bits() with expand_factor(lane) for the lane: a product, since the pipe for shifts and
/// masks is the one that is busy.
__device__ inline void expand_by_factor(std::uint32_t word, std::uint32_t factor,
                                        std::uint32_t (&operands)[4]) {
  const std::uint32_t shifted = word * factor;
  const std::uint32_t even = shifted & 0x40404040u;
  const std::uint32_t odd = shifted >> 1 & 0x40404040u;
  operands[0] = upper_bytes<0>(even, odd);
  operands[1] = upper_bytes<1>(even, odd);
  operands[2] = upper_bytes<2>(even, odd);
  operands[3] = upper_bytes<3>(even, odd);
}
[[nodiscard]] __device__ inline std::uint32_t expand_factor(std::uint32_t lane) {
  std::uint32_t factor = 1u << (6 - 2 * (lane % 4));
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(factor));  // or the compiler shifts after all
#endif
  return factor;
}

/// A row's two words of a step, from shared memory.
__device__ inline uint2 load_words(std::uint32_t at) {
  uint2 words = {};
#if SPIKETUNE_SM90
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(words.x), "=r"(words.y) : "r"(at));
#endif
  return words;
}

/// The same of 16 bytes.
__device__ inline uint4 load_pieces(std::uint32_t at) {
  uint4 words = {};
#if SPIKETUNE_SM90
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "r"(at));
#endif
  return words;
}

/// describe_rows() from its lower half; the upper one is a constant, and sums of 32 bits can be in
/// uniform registers.
[[nodiscard]] __device__ inline std::uint64_t rows_descriptor(std::uint32_t lower) {
  return std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62 | lower;
}

/// Operands of one step for the blocks of 64 rows of a warpgroup: [block][16 columns][register].
template <int blocks>
using Operands = std::uint32_t[blocks][4][4];

/// words: for each block the lane's row, lane / 4 of its warp's 16, and the one 8 further down.
template <int blocks>
__device__ void expand_rows(const typename RowWords<2 * blocks>::Words& words, std::uint32_t lane,
                            Operands<blocks>& operands) {
#pragma unroll
  for (int i = 0; i < 2 * blocks; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      std::uint32_t expanded[4];
      expand_bits(words[i][half], lane, expanded);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        operands[i / 2][2 * half + j / 2][i % 2 + j % 2 * 2] = expanded[j];
    }
  }
}

/// Where the lane is in a tile of Y: its rows of S, and the steps whose words it has asked for.
template <int blocks, int ahead>
struct TileCursor {
  std::uint64_t row;  ///< the lane's first row of the tile
  RowWords<2 * blocks> rows;
  Steps steps;
  std::uint32_t step[ahead];  ///< in turns
  typename RowWords<2 * blocks>::Words words[ahead];

  /// The warpgroup's rows begin `offset` rows below the tile's first one. The tile's blocks of 64
  /// rows go through the same steps.
  __device__ TileCursor(const Bitmap& bitmap, std::uint64_t first_row, std::uint32_t offset,
                        std::uint32_t row_blocks)
      : row(first_row + offset + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4),
        rows(bitmap, [&](int i) { return row + i / 2 * 64 + i % 2 * 8; }),
        steps(bitmap, first_row, row_blocks) {
#pragma unroll
    for (int i = 0; i < ahead; ++i) ask(i);
  }
  /// No step is left, where it is the turn of `i`.
  [[nodiscard]] __device__ bool done(int i) const {
    return step[i] >= steps.count();
  }
  /// Asks for the words of the next step that nobody has asked for.
  __device__ void ask(int i) {
    step[i] = steps.next();
    if (!done(i)) rows.load(step[i], words[i]);
  }
};

/// The same with fewer loads: four lanes share two rows of each block, and each asks for another
/// step's words of them, together whole sectors, four steps at a time, and gives them to the others
/// when it is their turn. `sets` of four steps are on their way.
template <int blocks, int sets>
class FourStepCursor {
 public:
  /// As TileCursor's.
  __device__ FourStepCursor(const Bitmap& bitmap, std::uint64_t first_row, std::uint32_t offset,
                            std::uint32_t row_blocks)
      : FourStepCursor(bitmap, Steps(bitmap, first_row, row_blocks), [&](int i) {
          return first_row + offset + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4 +
                 i / 2 * 64 + i % 2 * 8;
        }) {}
  /// Any rows that ascend: row_of(i) is the lane's row lane / 4 + i % 2 · 8 of its warp's 16 of
  /// block i / 2.
  template <class RowOf>
  __device__ FourStepCursor(const Bitmap& bitmap, const Steps& steps, RowOf&& row_of)
      : bitmap_(&bitmap), steps_(steps) {
    const std::uint64_t last = bitmap.layout.m() - 1;
#pragma unroll
    for (int i = 0; i < 2 * blocks; ++i) {
      const std::uint64_t at = row_of(i);
      const std::uint32_t* from = &bitmap.words[bitmap.word_index(at < last ? at : last, 0)];
      if (i == 0) {
        first_ = from;
      } else {
        further_[i - 1] = static_cast<std::uint32_t>(from - first_);
      }
    }
#pragma unroll
    for (int set = 0; set < sets; ++set) ask(set);
  }
  /// Step j of the next four; count() or more after the last.
  [[nodiscard]] __device__ std::uint32_t step(int j) const {
    return __shfl_sync(0xffffffffu, step_[0], j);
  }
  [[nodiscard]] __device__ std::uint32_t count() const {
    return steps_.count();
  }
  /// Makes operands of `halves` of the two words that each row has in step j, from `first_half` on.
  template <int halves>
  __device__ void expand(int j, std::uint32_t lane, int first_half,
                         std::uint32_t (&operands)[blocks][2 * halves][4]) const {
#pragma unroll
    for (int i = 0; i < 2 * blocks; ++i) {
#pragma unroll
      for (int half = 0; half < halves; ++half) {
        std::uint32_t expanded[4];
        expand_bits(__shfl_sync(0xffffffffu, words_[0][i][first_half + half], j, 4), lane,
                    expanded);
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          operands[i / 2][2 * half + part / 2][i % 2 + part % 2 * 2] = expanded[part];
        }
      }
    }
  }
  /// The same in bytes (expand_to_bytes()): an operand for each word.
  __device__ void expand_as_bytes(int j, std::uint32_t lane, int half,
                                  std::uint32_t (&operands)[blocks][4]) const {
#pragma unroll
    for (int i = 0; i < 2 * blocks; ++i) {
      std::uint32_t expanded[2];
      expand_to_bytes(__shfl_sync(0xffffffffu, words_[0][i][half], j, 4), lane, expanded);
      operands[i / 2][i % 2] = expanded[0];
      operands[i / 2][i % 2 + 2] = expanded[1];
    }
  }
  /// After the last of the four on to the next.
  __device__ void advance(int j) {
    if (j != 3) return;
#pragma unroll
    for (int set = 0; set + 1 < sets; ++set) {
      step_[set] = step_[set + 1];
#pragma unroll
      for (int i = 0; i < 4 * blocks; ++i) {
        words_[set][i / 2][i % 2] = words_[set + 1][i / 2][i % 2];
      }
    }
    ask(sets - 1);
  }

 private:
  __device__ void ask(int set) {
#pragma unroll
    for (std::uint32_t j = 0; j < 4; ++j) {
      const std::uint32_t step = steps_.next();
      if (threadIdx.x % 4 == j) step_[set] = step;
    }
    if (step_[set] >= steps_.count()) return;
    // Found anew each time: registers are dearer.
    const bool tiles = bitmap_->params.tiles;
    const auto row_words = static_cast<std::uint32_t>(bitmap_->words_per_row());
    const bool paired = tiles || row_words % 2 == 0;
    const bool whole = 2 * step_[set] + 1 < row_words;
    const std::uint32_t* first =
        first_ + std::uint64_t{step_[set]} * (tiles ? 2 * Bitmap::tile_size : 2);
#pragma unroll
    for (int i = 0; i < 2 * blocks; ++i) {
      const std::uint32_t* from = i == 0 ? first : first + further_[i - 1];
      std::uint32_t(&to)[2] = words_[set][i];
      if (paired) {
        const uint2 both = __ldg(reinterpret_cast<const uint2*>(from));
        to[0] = both.x;
        to[1] = both.y;
      } else {
        to[0] = __ldg(from);
        to[1] = whole ? __ldg(from + 1) : 0;
      }
    }
  }

  const Bitmap* bitmap_;
  const std::uint32_t* first_;             // words of the lane's first row
  std::uint32_t further_[2 * blocks - 1];  // from there on, those of its others
  Steps steps_;
  std::uint32_t step_[sets];  // whose words the lane has
  std::uint32_t words_[sets][2 * blocks][2];
};

/// The same of bytes and one block, those of `ahead` steps on their way, 1, 2 or 4.
template <int ahead>
class ByteCursor {
 public:
  static_assert(4 % ahead == 0);

  /// As TileCursor's.
  __device__ ByteCursor(const Bytes& bytes, std::uint64_t first_row, std::uint32_t offset,
                        std::uint32_t)
      : bytes_(&bytes),
        rows_(bytes, first_row + offset + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4) {
#pragma unroll
    for (int j = 0; j < ahead; ++j) rows_.load(j, pieces_[j]);
  }
  [[nodiscard]] __device__ std::uint32_t step(int j) const {
    return first_ + j;
  }
  [[nodiscard]] __device__ std::uint32_t count() const {
    return step_count(*bytes_);
  }
  template <int halves>
  __device__ void expand(int j, std::uint32_t, int first_half,
                         std::uint32_t (&operands)[1][2 * halves][4]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint4& piece = pieces_[j % ahead][i];
      const std::uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
      for (int part = 0; part < 2 * halves; ++part) {
        std::uint32_t(&to)[4] = operands[0][part];
        expand_bytes(words[2 * first_half + part], to[i], to[i + 2]);
      }
    }
  }
  /// Asks for the bytes of the next step that nobody has asked for.
  __device__ void advance(int j) {
    rows_.load(step(j) + ahead, pieces_[j % ahead]);
    if (j == 3) first_ += 4;
  }

 private:
  const Bytes* bytes_;
  TwoRowBytes rows_;
  std::uint32_t first_ = 0;  // of the next four steps
  TwoRowBytes::Pieces pieces_[ahead] = {};
};

/// Copies the rows of W of a step, tile_n columns from `column` on, to where those operands want
/// them. One thread calls.
template <int tile_n>
__device__ void copy_weights(const Bitmap&, std::uint8_t* to, const CUtensorMap& map,
                             std::uint32_t column, std::uint32_t step, std::uint32_t barrier) {
  copy_rows<tile_n>(to, map, column, step * depth, barrier);
}
template <int tile_n>
__device__ void copy_weights(const Bytes&, std::uint8_t* to, const CUtensorMap& map,
                             std::uint32_t column, std::uint32_t step, std::uint32_t barrier) {
#pragma unroll
  for (int part = 0; part < tile_n / 64; ++part) {
    copy_box(to + part * 8192, &map, column + 64 * part, 0, step * (depth / 16), 0, barrier);
  }
}
inline CUtensorMap map_weights(const Bitmap&, const WeightView& weights) {
  return map_weights(weights);
}
inline CUtensorMap map_weights(const Bytes&, const WeightView& weights) {
  return map_weights_for_bytes(weights);
}

/// The product with tiles of 256 × 128.
void expand_tall(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                 const OutputView& output);

/// The product of bytes with tiles of 128 rows and 64 or 128 columns. M is below 2³¹.
void expand_byte_tiles(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
                       const OutputView& output, int tile_n);

/// The product with tiles of 256 × 64, K in two parts.
void expand_split(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                  const OutputView& output);

/// The product with all rows of W of a block's columns in shared memory, and words of S besides, of
/// bitmaps in rows. Returns false, having done nothing, where there is no room for both, or rows
/// are an odd number of words.
bool expand_strips(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                   const OutputView& output, int tile_n);

/// The product with all rows of W of a block's columns in shared memory, where
/// Expand::holds_weights().
template <class Format>
void expand_resident(const CudaContext& context, const Format& spikes, const WeightView& weights,
                     const OutputView& output, int tile_n);

}  // namespace spiketune::cuda
