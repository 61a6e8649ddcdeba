#pragma once
/// \file
/// S·W with S a bitmap, or bytes, for GPUs before Hopper. A block of 8 warps makes 128 × 64 of Y; a
/// warp 16 rows. Tiles of 64 × 64 of W come by cp.async, one ahead; bits or bytes straight to
/// registers, one step ahead.
///
/// Which rows of S a block has, and what becomes of its sums, says an `Out`:
///
///   tiles_m()                blocks of rows
///   parts()                  of each, one after another
///   steps(spikes)            of the block's rows
///   row(part, below)         the lane's row lane / 4 + below · 8 of its warp's 16
///   put(sums, part, column)

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/expand.cuh"
#include "spiketune/kernels/cuda/mma.cuh"

namespace spiketune::cuda::mma {

inline constexpr int threads = 256;
inline constexpr std::uint32_t tile_m = 128;
inline constexpr std::uint32_t tile_n = 64;
inline constexpr std::uint32_t depth = 64;  // columns of S, rows of W, per step

using Sums = float[tile_n / 8][4];

/// Where 16 bytes of a tile of W are: pieces of a row change places with the row, so that eight
/// rows of one column of pieces lie in different banks.
__device__ inline std::uint32_t piece_of(std::uint32_t row, std::uint32_t piece) {
  return row * 8 + (piece ^ (row % 8));
}

/// The lane's row of a warp's 16 and the one 8 further down, a step at a time, as operands
/// [row][32 columns][8 of them] of which a lane has two.
template <class Format>
class TwoRows;

template <>
class TwoRows<Bitmap> {
 public:
  using Part = RowWords<2>::Words;

  /// row_of(i): of the lane's first and second row.
  template <class RowOf>
  __device__ TwoRows(const Bitmap& bitmap, RowOf&& row_of) : rows_(bitmap, row_of) {}
  __device__ void load(std::uint32_t step, Part& part) const { rows_.load(step, part); }
  static __device__ void expand(const Part& words, std::uint32_t lane,
                                std::uint32_t (&operands)[2][2][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) expand_bits(words[i / 2][i % 2], lane, operands[i / 2][i % 2]);
  }
  /// Where row `row` of a step is in a tile of W.
  static __device__ std::uint32_t place(std::uint32_t row) {
    return row;
  }

 private:
  RowWords<2> rows_;
};

template <>
class TwoRows<Bytes> {
 public:
  using Part = TwoRowBytes::Pieces;

  template <class RowOf>
  __device__ TwoRows(const Bytes& bytes, RowOf&& row_of) : rows_(bytes, row_of(0)) {}
  __device__ void load(std::uint32_t step, Part& part) const { rows_.load(step, part); }
  static __device__ void expand(const Part& pieces, std::uint32_t,
                                std::uint32_t (&operands)[2][2][4]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const std::uint32_t words[4] = {pieces[i].x, pieces[i].y, pieces[i].z, pieces[i].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        std::uint32_t(&to)[4] = operands[i][j / 2];
        expand_bytes(words[j], to[j % 2 * 2], to[j % 2 * 2 + 1]);
      }
    }
  }
  static __device__ std::uint32_t place(std::uint32_t row) {
    return place_of_row(row);
  }

 private:
  TwoRowBytes rows_;
};

/// Starts to copy rows 64·step and on, columns n0 and on; zeros beyond the matrix.
template <class Format, class W>
__device__ void fetch_weights(uint4* tile, const W* w, std::uint32_t k, std::uint32_t n,
                              std::uint32_t step, std::uint32_t n0) {
  for (std::uint32_t i = threadIdx.x; i < depth * 8; i += threads) {
    const std::uint32_t row = step * depth + i / 8;
    const std::uint32_t column = n0 + i % 8 * 8;
    uint4* to = tile + piece_of(TwoRows<Format>::place(i / 8), i % 8);
    if (row < k && column < n) {
      __pipeline_memcpy_async(to, w + std::uint64_t{row} * n + column, 16);
    } else {
      *to = {0, 0, 0, 0};
    }
  }
  __pipeline_commit();
}

template <class W, class Format, class Out>
__global__ void __launch_bounds__(threads)
    expand_mma(const __grid_constant__ Format spikes, const W* __restrict__ w,
               const __grid_constant__ Out out, std::uint32_t n) {
  __shared__ uint4 tiles[2][depth * 8];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t k = spikes.layout.k();
  for (std::uint32_t n0 = blockIdx.y * tile_n; n0 < n; n0 += gridDim.y * tile_n) {
    for (std::uint32_t part = 0; part < out.parts(); ++part) {
      Sums sums = {};
      auto steps = out.steps(spikes);
      std::uint32_t step = steps.next();
      const TwoRows<Format> rows(spikes, [&](int below) { return out.row(part, below); });
      typename TwoRows<Format>::Part loaded = {};
      if (step < steps.count()) {
        fetch_weights<Format>(tiles[0], w, k, n, step, n0);
        rows.load(step, loaded);
      }
      for (std::uint32_t turn = 0; step < steps.count(); turn ^= 1) {
        const std::uint32_t next = steps.next();
        std::uint32_t operands[2][2][4];  // [8 rows further down][word]
        rows.expand(loaded, lane, operands);
        if (next < steps.count()) {
          fetch_weights<Format>(tiles[turn ^ 1], w, k, n, next, n0);
          rows.load(next, loaded);
        } else {
          __pipeline_commit();
        }
        __pipeline_wait_prior(1);
        __syncthreads();
#pragma unroll
        for (std::uint32_t half = 0; half < 2; ++half) {
          const auto& above = operands[0][half];
          const auto& below = operands[1][half];
#pragma unroll
          for (std::uint32_t sixteen = 0; sixteen < 2; ++sixteen) {
            const std::uint32_t a[4] = {above[2 * sixteen], below[2 * sixteen],
                                        above[2 * sixteen + 1], below[2 * sixteen + 1]};
#pragma unroll
            for (std::uint32_t pair = 0; pair < 4; ++pair) {
              // Matrices: rows 0-7 and 8-15 of 8 columns, then of the next 8.
              std::uint32_t b[4];
              load_transposed(b, tiles[turn] + piece_of(32 * half + 16 * sixteen + lane % 16,
                                                        2 * pair + lane / 16));
              mma_m16n8k16<W>(sums[2 * pair], a, b[0], b[1]);
              mma_m16n8k16<W>(sums[2 * pair + 1], a, b[2], b[3]);
            }
          }
        }
        __syncthreads();
        step = next;
      }
      out.put(sums, part, n0);
    }
  }
}

template <class W, class Format, class Out>
void launch(const CudaContext& context, const Format& spikes, const WeightView& weights,
            const Out& out) {
  const dim3 grid(
      static_cast<unsigned>(out.tiles_m()),
      static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(weights.n, tile_n), 65535)));
  expand_mma<W, Format, Out><<<grid, threads, 0, context.stream>>>(
      spikes, static_cast<const W*>(weights.data), out, weights.n);
  check_launch();
}

}  // namespace spiketune::cuda::mma
