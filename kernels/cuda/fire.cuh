#pragma once
/// \file
/// From a tile of sums to spikes: what products end with whose result charges neurons.
///
/// A lane has `rows` rows of a tile: `steps` time steps of each of rows / steps positions. Of every
/// 8 columns it has two, 2·(lane % 4) and the next. It walks over the steps of a neuron with the
/// membrane in a register; four lanes then share out their words, so that each has whole ones.

#include <cstdint>
#include <type_traits>

#include "spiketune/core/bits.hpp"
#include "spiketune/encoders/lif_step.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/spmm_lif.hpp"

namespace spiketune::cuda {

struct FireTask {
  LifInput input;
  LifParams params;
  LifState state;
  MutableSpikeView out;
  RowOrder order;  ///< of the rows of S

  [[nodiscard]] __device__ std::uint64_t row_in(RowOrder of, std::uint64_t position,
                                                std::uint32_t t) const {
    return of == RowOrder::token_major ? position * out.shape.timesteps + t
                                       : t * out.shape.rows + position;
  }
};

/// Row of S of a step of a position. Beyond either, that of the last one: nothing comes of it.
__device__ inline std::uint64_t row_of_step(const FireTask& task, std::uint64_t position,
                                            std::uint32_t t) {
  const SpikeShape& shape = task.out.shape;
  return task.row_in(task.order, position < shape.rows ? position : shape.rows - 1,
                     t < shape.timesteps ? t : shape.timesteps - 1);
}

/// Calls body(params, whole), of the most usual neurons with what they are as constants, so that
/// each step of the body has their operations alone. `whole`: a constant, true only where `all` is.
template <class Body>
__device__ void with_constants(const LifParams& params, bool all, Body&& body) {
  constexpr std::false_type maybe;
  constexpr std::true_type whole;
  LifParams known = params;
  if (!all || (params.convention == LifParams::Convention::spikingjelly &&
               params.reset == LifParams::Reset::hard && params.reset_value != 0.0f)) {
    body(known, maybe);
  } else if (params.convention == LifParams::Convention::spikingjelly) {
    known.convention = LifParams::Convention::spikingjelly;
    known.reset_value = 0.0f;
    if (params.reset == LifParams::Reset::soft) {
      known.reset = LifParams::Reset::soft;
      body(known, whole);
    } else {
      known.reset = LifParams::Reset::hard;
      body(known, whole);
    }
  } else {
    known.convention = LifParams::Convention::snntorch;
    if (params.reset == LifParams::Reset::soft) {
      known.reset = LifParams::Reset::soft;
      body(known, whole);
    } else {
      known.reset = LifParams::Reset::hard;
      body(known, whole);
    }
  }
}

/// Of two lanes' `2·half` words, gives the one without the bit of `lane` the first half, the other
/// the second, united.
template <int half, int count>
__device__ void unite_in_pairs(std::uint32_t (&words)[count], std::uint32_t lane,
                               std::uint32_t bit) {
  const bool upper = (lane & bit) != 0;
#pragma unroll
  for (int i = 0; i < half; ++i) {
    const std::uint32_t got =
        __shfl_xor_sync(0xffffffffu, upper ? words[i] : words[half + i], static_cast<int>(bit));
    words[i] = got | (upper ? words[half + i] : words[i]);
  }
}

/// Writes `count` words of bits from column `column` on; `to`: the row.
template <int count>
__device__ void store_bits(const std::uint32_t (&words)[count], std::uint8_t* to,
                           std::uint32_t column, std::uint32_t n) {
  auto* at = reinterpret_cast<std::uint32_t*>(to) + column / 32;
  if constexpr (count == 4) {
    if (n % 128 == 0 && reinterpret_cast<std::uintptr_t>(to) % 16 == 0) {
      *reinterpret_cast<uint4*>(at) = {words[0], words[1], words[2], words[3]};
      return;
    }
  }
#pragma unroll
  for (int i = 0; i < count; ++i) {
    if (column + 32 * i < n) at[i] = words[i];
  }
}

/// The same as bytes, of which N is a multiple of 8.
template <int count>
__device__ void store_bytes(const std::uint32_t (&words)[count], std::uint8_t* to,
                            std::uint32_t column, std::uint32_t n) {
#pragma unroll
  for (int i = 0; i < 4 * count; ++i) {
    const std::uint32_t eight = words[i / 4] >> i % 4 * 8;
    const auto bytes_of = [&](int four) {
      return (eight >> 4 * four & 15u) * 0x00204081u & 0x01010101u;
    };
    const std::uint32_t at = column + 8 * i;
    if (at >= n) continue;
    auto* pair = reinterpret_cast<std::uint32_t*>(to + at);
    pair[0] = bytes_of(0);
    pair[1] = bytes_of(1);
  }
}

/// Where a lane's sums are. value(row, i, c): as wgmma and mma make them of expand_bits(), of
/// column column + 8·i + 2·(lane % 4) + c. position_of(slot), for slots below rows / steps. Rows
/// are of steps first_step and on. `carried`: the lane's membranes between one call and the next of
/// the same positions, at carried[i·stride] for the one slot that there is where T > steps.
template <class Value, class PositionOf>
struct LaneSums {
  Value value;
  PositionOf position_of;
  std::uint32_t first_step;
  std::uint32_t column;
  float2* carried;
  std::uint32_t stride;
};

/// Writes what the lane's neurons fired: words of its part of the rows of four lanes.
template <int rows, int steps, int tile_n, class Sums>
__device__ void store_spikes(const FireTask& task, const Sums& sums,
                             std::uint32_t (&words)[rows * tile_n / 32], std::uint32_t part) {
  constexpr int words_per_row = tile_n / 32;
  constexpr int kept = rows * words_per_row / 4;  // of one row
  const SpikeShape& shape = task.out.shape;
#pragma unroll
  for (int i = 0; i < 4 * kept; ++i) words[i] <<= 2 * part;
  unite_in_pairs<2 * kept>(words, part, 2);
  unite_in_pairs<kept>(words, part, 1);
  std::uint32_t whole[kept];
  const std::uint32_t row = part * kept / words_per_row;
  const std::uint32_t from = sums.column + part * kept % words_per_row * 32;
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const std::uint32_t begin = from + 32 * i;
    whole[i] = words[i] & low_mask(begin < shape.k ? shape.k - begin : 0);
  }
  const std::uint64_t position = sums.position_of(static_cast<int>(row) / steps);
  const std::uint32_t t = sums.first_step + row % steps;
  if (position >= shape.rows || t >= shape.timesteps) return;
  auto* to = static_cast<std::uint8_t*>(task.out.data) +
             task.row_in(task.out.row_order, position, t) * row_bytes(task.out.storage, shape.k);
  if (task.out.storage == DType::bit) {
    store_bits(whole, to, from, shape.k);
  } else {
    store_bytes(whole, to, from, shape.k);
  }
}

/// Fires and writes. All lanes of a warp call.
template <int rows, int steps, int tile_n, class Sums>
__device__ void fire(const FireTask& task, const Sums& sums, std::uint32_t lane) {
  constexpr int slots = rows / steps;
  const SpikeShape& shape = task.out.shape;
  const std::uint32_t part = lane % 4;
  const std::uint32_t left = shape.timesteps - sums.first_step;
  const bool first = slots > 1 || sums.first_step == 0;
  const bool last = slots > 1 || left <= steps;
  with_constants(task.params, left >= steps, [&](const LifParams& params, auto whole) {
    std::uint32_t words[rows * tile_n / 32] = {};
#pragma unroll
    for (int i = 0; i < tile_n / 8; ++i) {
      const std::uint32_t at = sums.column + 8 * i + 2 * part;
      const bool inside = at < shape.k;
      float2 scale = {task.input.scale, task.input.scale};
      float2 bias = {0.0f, 0.0f};
      if (inside && task.input.scales != nullptr) {
        scale = __ldg(reinterpret_cast<const float2*>(task.input.scales + at));
      }
      if (inside && task.input.bias != nullptr) {
        bias = __ldg(reinterpret_cast<const float2*>(task.input.bias + at));
      }
      scale.x *= spike_scale;
      scale.y *= spike_scale;
#pragma unroll
      for (int slot = 0; slot < slots; ++slot) {
        const std::uint64_t position = sums.position_of(slot);
        const bool there = inside && position < shape.rows;
        const std::uint64_t neuron = position * shape.k + at;
        float2 membrane = {detail::lif_rest(params), detail::lif_rest(params)};
        if (!first) {
          membrane = sums.carried[i * sums.stride];
        } else if (there && task.state.before != nullptr) {
          membrane = *reinterpret_cast<const float2*>(task.state.before + neuron);
        }
#pragma unroll
        for (int step = 0; step < steps; ++step) {
          if (!whole && step >= left) continue;
          const int row = slot * steps + step;
          const float x = detail::multiply_add(sums.value(row, i, 0), scale.x, bias.x);
          const float y = detail::multiply_add(sums.value(row, i, 1), scale.y, bias.y);
          std::uint32_t& word = words[row * (tile_n / 32) + i / 4];
          if (detail::lif_step(params, x, membrane.x)) word |= 1u << i % 4 * 8;
          if (detail::lif_step(params, y, membrane.y)) word |= 2u << i % 4 * 8;
        }
        if (!last) {
          sums.carried[i * sums.stride] = membrane;
        } else if (there && task.state.after != nullptr) {
          *reinterpret_cast<float2*>(task.state.after + neuron) = membrane;
        }
      }
    }
    store_spikes<rows, steps, tile_n>(task, sums, words, part);
  });
}

/// spmm_lif() on sm_90a, in kernels/cuda/sm90/spmm_lif.cu. K is not 0.
void spmm_lif_on_hopper(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                        const FireTask& task);

}  // namespace spiketune::cuda
