#pragma once
/// \file
/// Products of bytes by the matrix instructions of a warp, for GPUs before Hopper, and the way of
/// their sums to Y.

#include <cstdint>

#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda::imma {

inline constexpr std::uint32_t threads = 256;
inline constexpr std::uint32_t tile_m = 128;  ///< rows that a block makes, 16 by each warp
inline constexpr std::uint32_t tile_n = 64;
inline constexpr std::uint32_t step_rows = 64;           ///< of W at a time
inline constexpr std::uint32_t pieces = step_rows / 16;  ///< of a column

/// Where 16 bytes of a tile of W are: the pieces of a column change places with it, so that the
/// same piece of eight columns lies in all banks.
[[nodiscard]] __device__ inline std::uint32_t piece_of(std::uint32_t column, std::uint32_t piece) {
  return column * pieces + (piece ^ column / 2 % pieces);
}

/// d += a · b of bytes, those of `a` numbers of up to 127.
__device__ inline void multiply(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
  mma_m16n8k32(d, a, b[0], b[1]);
}
/// The same with b in e4m3, d in units of unit_of(d): the bits of e4m3, moved, are a number of f16,
/// 2⁻⁸ times as large, and those of small integers one 2⁻²⁴ times as large. Which columns of S the
/// halves of an operand are does not matter, as long as both operands agree.
__device__ inline void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const auto spread = [](std::uint32_t bytes, int pair) {
      return __byte_perm(bytes, 0, pair == 0 ? 0x4140 : 0x4342);
    };
    std::uint32_t spikes[4];
    std::uint32_t w[2];
#pragma unroll
    for (int pair = 0; pair < 2; ++pair) {
      spikes[2 * pair] = spread(a[2 * half], pair);
      spikes[2 * pair + 1] = spread(a[2 * half + 1], pair);
      const std::uint32_t bytes = spread(b[half], pair);
      w[pair] = (bytes & 0x00800080u) << 8 | (bytes & 0x007f007fu) << 7;
    }
    mma_m16n8k16<Half>(d, spikes, w[0], w[1]);
  }
}

/// What to multiply sums with.
__device__ inline float unit_of(std::int32_t) {
  return 1.0f;
}
__device__ inline float unit_of(float) {
  return 4294967296.0f;
}

/// Multiplies operands of a step of 64 rows, [half], with a tile of W.
template <class Sum>
__device__ void multiply_step(Sum (&sums)[tile_n / 8][4], const std::uint32_t (&operands)[2][4],
                              const uint4* tile) {
  const std::uint32_t lane = threadIdx.x % 32;
#pragma unroll
  for (std::uint32_t half = 0; half < 2; ++half) {
#pragma unroll
    for (std::uint32_t i = 0; i < tile_n / 8; ++i) {
      std::uint32_t b[2];
#pragma unroll
      for (std::uint32_t q = 0; q < 2; ++q) {
        b[q] = reinterpret_cast<const std::uint32_t*>(
            tile + piece_of(8 * i + lane / 4, 2 * half + q))[lane % 4];
      }
      multiply(sums[i], operands[half], b);
    }
  }
}

/// Writes the sums of a warp's rows, row(0) of the lane and row(1) eight further down, times the
/// scales of their columns, which may be null.
template <class Sum, class Y, class Row>
__device__ void put_scaled(const Sum (&sums)[tile_n / 8][4], const Row& row, std::uint64_t m,
                           std::uint32_t n, std::uint32_t first_column, const float* scales, Y* y) {
  const bool paired = n % 2 == 0 && reinterpret_cast<std::uintptr_t>(y) % (2 * sizeof(Y)) == 0;
#pragma unroll
  for (std::uint32_t i = 0; i < tile_n / 8; ++i) {
    const std::uint32_t column = first_column + 8 * i + threadIdx.x % 4 * 2;
    if (column >= n) continue;
    const bool both = column + 1 < n;
    const float unit = unit_of(Sum{});
    const float left = unit * (scales == nullptr ? 1.0f : scales[column]);
    const float right = unit * (scales == nullptr || !both ? 1.0f : scales[column + 1]);
#pragma unroll
    for (int below = 0; below < 2; ++below) {
      if (row(below) >= m) continue;
      const Vector<Y, 2> out = {
          {from_float<Y>(left * static_cast<float>(sums[i][2 * below])),
           from_float<Y>(right * static_cast<float>(sums[i][2 * below + 1]))}};
      Y* to = y + row(below) * n + column;
      if (paired) {
        *reinterpret_cast<Vector<Y, 2>*>(to) = out;
      } else {
        to[0] = out.at[0];
        if (both) to[1] = out.at[1];
      }
    }
  }
}

}  // namespace spiketune::cuda::imma
