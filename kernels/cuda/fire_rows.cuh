#pragma once
/// \file
/// Neurons at the end of tiles of 128 × 64, before Hopper: an `Out` of expand_mma.cuh and
/// expand_imma.cu, whose lanes have the same rows and columns.

#include <cstdint>

#include "spiketune/kernels/cuda/expand_mma.cuh"
#include "spiketune/kernels/cuda/fire.cuh"

namespace spiketune::cuda {

/// A lane's two rows of a tile are two time steps of a position, or one of two where T is 1.
template <std::uint32_t steps_at_once>
struct FireRows {
  static constexpr std::uint32_t positions = mma::tile_m / steps_at_once;  ///< of a block

  FireTask task;

  [[nodiscard]] std::uint64_t tiles_m() const { return ceil_div(task.out.shape.rows, positions); }
  [[nodiscard]] __device__ std::uint32_t parts() const {
    return (task.out.shape.timesteps + steps_at_once - 1) / steps_at_once;
  }
  [[nodiscard]] __device__ Steps steps(const Bitmap& bitmap) const {
    const std::uint32_t t = task.out.shape.timesteps;
    return {bitmap, std::uint64_t{blockIdx.x} * positions * t,
            task.order == RowOrder::token_major ? positions * t / 64 : 0};
  }
  [[nodiscard]] __device__ static std::uint64_t position(int slot) {
    return std::uint64_t{blockIdx.x} * positions + threadIdx.x / 32 * (16 / steps_at_once) +
           8 * slot + threadIdx.x % 32 / 4;
  }
  [[nodiscard]] __device__ std::uint64_t row(std::uint32_t part, int below) const {
    return row_of_step(task, position(below / static_cast<int>(steps_at_once)),
                       part * steps_at_once + below % steps_at_once);
  }
  template <class Sums>
  __device__ void put(const Sums& sums, std::uint32_t part, std::uint32_t column) const {
    __shared__ float2 membranes[mma::tile_n / 8 * mma::threads];
    __shared__ ColumnPair pairs[mma::tile_n / 2 * mma::threads / 32];
    const LaneSums lane_sums{
        [&](int row, int i, int c) { return static_cast<float>(sums[i][2 * row + c]); },
        [&](int slot) { return position(slot); },
        part * steps_at_once,
        column,
        pairs + threadIdx.x / 32 * (mma::tile_n / 2),
        membranes + threadIdx.x,
        mma::threads};
    fire<2, steps_at_once, mma::tile_n>(task, lane_sums, threadIdx.x % 32);
  }
};

}  // namespace spiketune::cuda
