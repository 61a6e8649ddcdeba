#pragma once
/// \file
/// What a residual adds to a tile of Y, summed in shared memory by warps that do nothing else.

#include <cstdint>

#include "spiketune/formats/two_four.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {

/// Sums for rows of 128 columns. Pieces of eight columns change places with the row, so that
/// four rows of one column of pieces lie in different banks.
class ResidualTile {
 public:
  static constexpr std::uint32_t columns = 128;
  static constexpr std::uint32_t slab_rows = 8;  ///< rows that a warp takes together

  /// `sums`: [rows][columns]; `occupied`: [rows / slab_rows].
  __device__ ResidualTile(float* sums, std::uint32_t* occupied)
      : sums_(sums), occupied_(occupied) {}

  /// Offsets in the residual of the rows of a slab, one a lane, and of the row after them.
  __device__ static std::uint32_t load_offset(const TwoFour& format, std::uint32_t slab_row,
                                              std::uint32_t lane) {
    const std::uint32_t row = slab_row + (lane < slab_rows ? lane : slab_rows);
    const auto m = static_cast<std::uint32_t>(format.layout.m());
    return __ldg(format.residual_row_offsets.data + (row < m ? row : m));
  }

  /// Sums the rows of W that the residual names for the rows of a slab, in units of spike_scale. A
  /// warp calls; `offset` is of load_offset(). Rows of W come many at a time, whatever rows of Y
  /// they belong to.
  template <class W>
  __device__ void sum(const TwoFour& format, const W* w, std::uint32_t n, std::uint32_t first_row,
                      std::uint32_t column, std::uint32_t slab) const {
    constexpr std::uint32_t all = 0xffffffffu;
    constexpr int each = columns / 32;
    constexpr int ahead = 4;
    using Piece = Vector<W, each>;
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t offset = load_offset(format, first_row + slab * slab_rows, lane);
    const std::uint32_t begin = __shfl_sync(all, offset, 0);
    const std::uint32_t end = __shfl_sync(all, offset, slab_rows);
    const std::uint32_t next_offset = __shfl_down_sync(all, offset, 1);
    const std::uint32_t rows = __ballot_sync(all, lane < slab_rows && next_offset != offset);
    if (lane == 0) occupied_[slab] = rows;
    const std::uint32_t at = column + lane * each;
    const W* from = w + (at < n ? at : 0);
    std::uint32_t current = slab_rows;
    float sum[each] = {};
    const auto flush = [&] {
      if (current == slab_rows) return;
      Vector<float, each> scaled;
#pragma unroll
      for (int i = 0; i < each; ++i) scaled.at[i] = sum[i] * (1.0f / spike_scale);
      const std::uint32_t to = index(slab * slab_rows + current, lane / 2, lane % 2 * each);
      *reinterpret_cast<Vector<float, each>*>(sums_ + to) = scaled;
    };
    for (std::uint32_t base = begin; base < end; base += 32) {
      const std::uint32_t entry = base + lane;
      const std::uint32_t k = entry < end ? load_index(format.residual_column_indices, entry) : 0;
      std::uint32_t row_of_entry = 0;  // of the last entry, where there is none
#pragma unroll
      for (std::uint32_t i = 1; i < slab_rows; ++i) {
        row_of_entry += __shfl_sync(all, offset, i) <= (entry < end ? entry : end - 1);
      }
      const std::uint32_t count = end - base < 32 ? end - base : 32;
#pragma unroll 1
      for (std::uint32_t i = 0; i < count; i += ahead) {
        Piece pieces[ahead];
#pragma unroll
        for (int j = 0; j < ahead; ++j) {
          const std::uint32_t row_of_w = __shfl_sync(all, k, i + j);
          pieces[j] = *reinterpret_cast<const Piece*>(from + std::uint64_t{row_of_w} * n);
        }
#pragma unroll
        for (int j = 0; j < ahead; ++j) {
          const std::uint32_t row = __shfl_sync(all, row_of_entry, i + j);
          if (row != current) {
            flush();
            current = row;
#pragma unroll
            for (int c = 0; c < each; ++c) sum[c] = 0.0f;
          }
          if (i + j < count) {
#pragma unroll
            for (int c = 0; c < each; ++c) sum[c] += to_float(pieces[j].at[c]);
          }
        }
      }
    }
    flush();
  }

  /// Adds a row's sums, columns 8·i + 2·(lane % 4) and the next, to sums[4·i] and the next. Lanes
  /// of a warp call for rows of one slab.
  __device__ void add_row(std::uint32_t row, std::uint32_t lane, float* sums) const {
    if ((occupied_[row / slab_rows] >> row % slab_rows & 1u) == 0) return;
    const std::uint32_t first = index(row, 0, 2 * (lane % 4));
#pragma unroll
    for (std::uint32_t i = 0; i < columns / 8; ++i) {
      const float2 pair = *reinterpret_cast<const float2*>(sums_ + (first ^ 8 * i));
      sums[4 * i] += pair.x;
      sums[4 * i + 1] += pair.y;
    }
  }

 private:
  __device__ static std::uint32_t index(std::uint32_t row, std::uint32_t piece, std::uint32_t in) {
    return row * columns + (piece ^ row % 4) * 8 + in;
  }

  float* sums_;
  std::uint32_t* occupied_;
};

}  // namespace spiketune::cuda
