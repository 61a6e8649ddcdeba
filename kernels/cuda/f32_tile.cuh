#pragma once
/// \file
/// Products on the f32 units in tiles, for dense.cu and gradients.cu: a block of 16 × 16 threads
/// makes 64 × 64 sums, each thread those of every 16th row and column.

#include <algorithm>
#include <cstdint>

#include "spiketune/core/shape.hpp"

namespace spiketune::cuda::f32_tile {

inline constexpr int tile = 64;
inline constexpr int depth = 16;  // elements that sums run over, per step
inline constexpr int side = 16;   // threads in each direction
inline constexpr int per_thread = tile / side;
using Sums = float[per_thread][per_thread];

/// Adds the products of a step. Factors are [element of the step][row or column of the tile].
template <int a_width, int b_width>
__device__ void multiply(const float (&a)[depth][a_width], const float (&b)[depth][b_width],
                         Sums& sums) {
#pragma unroll
  for (int d = 0; d < depth; ++d) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
#pragma unroll
      for (int j = 0; j < per_thread; ++j) {
        sums[i][j] += a[d][threadIdx.y + i * side] * b[d][threadIdx.x + j * side];
      }
    }
  }
}

/// Blocks for tiles of rows × columns; each takes every gridDim.y-th tile of its rows.
inline dim3 grid(std::uint64_t rows, std::uint64_t columns) {
  return {static_cast<unsigned>(ceil_div(rows, tile)),
          static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(columns, tile), 65535))};
}

}  // namespace spiketune::cuda::f32_tile
