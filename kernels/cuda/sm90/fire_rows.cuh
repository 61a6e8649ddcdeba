#pragma once
/// \file
/// Neurons at the end of tiles of 256 × 128 on Hopper: an `Out` of expand_tall.cuh and of
/// expand_imma.cu's large tiles, whose lanes have the same rows and columns. A lane's four rows of
/// a tile are four time steps of a position, or fewer of more where T is 1 or 2.

#include <cstdint>

#include "spiketune/kernels/cuda/fire.cuh"
#include "spiketune/kernels/cuda/sm90/expand_tall.cuh"

namespace spiketune::cuda {

/// T of 1, of 2, or any above with 4 steps at a time.
template <std::uint32_t steps_at_once>
struct FireRows {
  static constexpr std::uint32_t positions = tall::tile_m / steps_at_once;  ///< of a tile
  static constexpr std::uint32_t at_once = steps_at_once;
  static constexpr std::uint32_t consumers = 32 * tall::consumer_warps;
  static constexpr std::uint32_t pairs_bytes =
      tall::consumer_warps * tall::tile_n / 2 * sizeof(ColumnPair);
  static constexpr std::uint32_t membranes_bytes =
      steps_at_once == 4 ? consumers * tall::tile_n / 4 * sizeof(float) : 0;
  static constexpr std::uint32_t shared_bytes = pairs_bytes + membranes_bytes;

  FireTask task;

  [[nodiscard]] SPIKETUNE_HD std::uint32_t tiles_m() const {
    return static_cast<std::uint32_t>(ceil_div(task.out.shape.rows, positions));
  }
  [[nodiscard]] __device__ std::uint32_t parts() const {
    if constexpr (steps_at_once < 4) return 1;
    return (task.out.shape.timesteps + steps_at_once - 1) / steps_at_once;
  }
  [[nodiscard]] __device__ Steps steps(const Bitmap& bitmap, std::uint32_t tile) const {
    const std::uint32_t t = task.out.shape.timesteps;
    const std::uint64_t first = std::uint64_t{tile} * positions * t;
    return {bitmap, first, task.order == RowOrder::token_major ? positions * t / 64 : 0};
  }
  /// Of the lane, from its first rows on.
  [[nodiscard]] __device__ static std::uint64_t position(std::uint32_t tile, int slot) {
    return std::uint64_t{tile} * positions + threadIdx.x / 128 * (positions / 2) + 32 * slot +
           threadIdx.x / 32 % 4 * 8 + threadIdx.x % 32 / 4;
  }
  [[nodiscard]] __device__ std::uint64_t row(std::uint32_t tile, std::uint32_t part, int i) const {
    return row_of_step(task, position(tile, i / static_cast<int>(steps_at_once)),
                       part * steps_at_once + i % steps_at_once);
  }
  [[nodiscard]] tall::Rows rows() const {
    const SpikeShape& shape = task.out.shape;
    const bool tokens = task.order == RowOrder::token_major;
    return {shape.rows, tokens ? shape.timesteps : 1, shape.timesteps, tokens ? 1 : shape.rows};
  }
  [[nodiscard]] __device__ static constexpr std::uint32_t row_in_tile(std::uint32_t warp,
                                                                      std::uint32_t lane, int i) {
    const int steps = static_cast<int>(steps_at_once);
    return i % steps * positions + warp / 4 * (positions / 2) + i / steps * 32 + warp % 4 * 8 +
           lane / 4;
  }
  template <class Sums>
  __device__ void put(const Sums& sums, std::uint32_t tile, std::uint32_t part,
                      std::uint32_t column, std::uint8_t* shared) const {
    const LaneSums lane_sums{
        [&](int row, int i, int c) {
          return static_cast<float>(sums[row / 2][4 * i + row % 2 * 2 + c]);
        },
        [&](int slot) { return position(tile, slot); },
        part * steps_at_once,
        column,
        reinterpret_cast<ColumnPair*>(shared) + threadIdx.x / 32 * (tall::tile_n / 2),
        reinterpret_cast<float2*>(shared + pairs_bytes) + threadIdx.x,
        consumers};
    fire<2 * tall::blocks, steps_at_once, tall::tile_n>(task, lane_sums, threadIdx.x % 32);
  }
};

}  // namespace spiketune::cuda
