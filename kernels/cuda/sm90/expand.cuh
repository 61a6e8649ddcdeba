#pragma once
/// \file
/// Operands of wgmma from the words of a bitmap, which the kernels of expand.cu and
/// expand_resident.cu share.

#include <cstdint>

#include "spiketune/kernels/cuda/expand.cuh"
#include "spiketune/kernels/cuda/mma.cuh"

namespace spiketune::cuda {

inline constexpr int depth = 64;  // columns of S, rows of W, per step

template <int tile_n>
inline constexpr int stage_bytes = depth* tile_n * 2;

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

/// The product with all rows of W of a block's columns in shared memory, where fits_resident().
void expand_resident(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                     const OutputView& output, int tile_n);

}  // namespace spiketune::cuda
