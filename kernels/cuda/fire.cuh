#pragma once
/// \file
/// From a tile of sums to spikes: what products end with whose result charges neurons.
///
/// A lane has `rows` rows of a tile: `steps` time steps of each of rows / steps positions. Of every
/// 8 columns it has two, 2·(lane % 4) and the next. It walks over the steps of a neuron with the
/// membrane in a register; four lanes then share out their words, so that each has whole ones.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "spiketune/core/bits.hpp"
#include "spiketune/encoders/lif_step.hpp"
#include "spiketune/kernels/cuda/expand_imma.cuh"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/spmm_lif.hpp"

namespace spiketune::cuda {

struct FireTask {
  LifInput input;
  const float* weight_scales;  ///< [N], multiplied with those of `input`; null: 1
  float unit;                  ///< of sums: what a sum of 1 stands for, a power of two
  /// Powers of two are exact in whatever they scale: such a gain is multiplied into scales and
  /// bias, and `params` has 1.
  float folded_gain;
  bool exact_leak;  ///< the leak is a power of two
  LifParams params;
  LifState state;
  MutableSpikeView out;
  LifSurrogate surrogate;
  RowOrder order;  ///< of the rows of S

  [[nodiscard]] __device__ std::uint64_t row_in(RowOrder of, std::uint64_t position,
                                                std::uint32_t t) const {
    return of == RowOrder::token_major ? position * out.shape.timesteps + t
                                       : t * out.shape.rows + position;
  }
};

inline FireTask make_task(const WeightView& weights, const LifInput& input, const LifParams& params,
                          const LifState& state, const MutableSpikeView& out,
                          const LifSurrogate& surrogate, RowOrder order) {
  const auto power_of_two = [](float value) {
    int exponent = 0;
    return std::frexp(value, &exponent) == 0.5f;
  };
  const bool fold = power_of_two(params.gain);
  const bool quantised = is_quantised(weights.type);
  FireTask task{input,
                quantised ? weights.scales : nullptr,
                quantised ? 1.0f : spike_scale,
                fold ? params.gain : 1.0f,
                power_of_two(params.leak),
                params,
                state,
                out,
                surrogate,
                order};
  if (fold) task.params.gain = 1.0f;
  return task;
}

/// Row of S of a step of a position. Beyond either, that of the last one: nothing comes of it.
__device__ inline std::uint64_t row_of_step(const FireTask& task, std::uint64_t position,
                                            std::uint32_t t) {
  const SpikeShape& shape = task.out.shape;
  return task.row_in(task.order, position < shape.rows ? position : shape.rows - 1,
                     t < shape.timesteps ? t : shape.timesteps - 1);
}

/// What a call of fire() meets. simple: the leak is a power of two, and membranes begin at rest and
/// are not kept; surrogate: the same, and bits near the threshold are wanted; membranes: they come
/// from somewhere or go somewhere. Of these all steps are there.
enum class Case { simple, surrogate, membranes, any };

template <Case which>
using CaseConstant = std::integral_constant<Case, which>;

/// Calls body(params, CaseConstant) with `most` or what is less special. Of the most usual neurons,
/// what they are is known to the compiler, so that a step has their operations alone.
template <class Body>
__device__ void with_constants(const LifParams& params, Case most, Body&& body) {
  LifParams known = params;
  const bool snntorch = params.convention == LifParams::Convention::snntorch;
  const auto with_reset = [&](auto which) {
    if (params.reset == LifParams::Reset::soft) {
      known.reset = LifParams::Reset::soft;
      body(known, which);
    } else {
      known.reset = LifParams::Reset::hard;
      body(known, which);
    }
  };
  if (most == Case::any || params.gain != 1.0f || (!snntorch && params.reset_value != 0.0f)) {
    body(known, CaseConstant<Case::any>{});
    return;
  }
  known.gain = 1.0f;
  known.reset_value = 0.0f;
  if (snntorch) {
    known.convention = LifParams::Convention::snntorch;
    with_reset(CaseConstant<Case::membranes>{});
    return;
  }
  known.convention = LifParams::Convention::spikingjelly;
  if (most == Case::simple) {
    with_reset(CaseConstant<Case::simple>{});
  } else if (most == Case::surrogate) {
    with_reset(CaseConstant<Case::surrogate>{});
  } else {
    with_reset(CaseConstant<Case::membranes>{});
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
  const bool sixteens = n % 16 == 0 && reinterpret_cast<std::uintptr_t>(to) % 16 == 0;
#pragma unroll
  for (int i = 0; i < 2 * count; ++i) {
    const std::uint32_t half = words[i / 2] >> i % 2 * 16;
    std::uint32_t fours[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) fours[j] = (half >> 4 * j & 15u) * 0x00204081u & 0x01010101u;
    const std::uint32_t at = column + 16 * i;
    if (sixteens) {
      if (at < n) *reinterpret_cast<uint4*>(to + at) = {fours[0], fours[1], fours[2], fours[3]};
      continue;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (at + 4 * j < n) *reinterpret_cast<std::uint32_t*>(to + at + 4 * j) = fours[j];
    }
  }
}

/// Scales and bias of two neighbouring columns.
struct alignas(16) ColumnPair {
  float2 scale;
  float2 bias;
};

/// Where a lane's sums are. value(row, i, c): as wgmma and mma make them of expand_bits(), of
/// column column + 8·i + 2·(lane % 4) + c. position_of(slot), for slots below rows / steps. Rows
/// are of steps first_step and on.
template <class Value, class PositionOf>
struct LaneSums {
  Value value;
  PositionOf position_of;
  std::uint32_t first_step;
  std::uint32_t column;
  ColumnPair* pairs;  ///< shared memory of the warp, tile_n / 2
  /// Shared memory of the lane where it has one position: carried[i·stride], between one call and
  /// the next of the same positions.
  float2* carried;
  std::uint32_t stride;
};

/// Puts the warp's scales and biases where each lane finds those of its columns.
template <int tile_n>
__device__ void gather_pairs(const FireTask& task, std::uint32_t column, ColumnPair* pairs,
                             std::uint32_t lane) {
  const LifInput& input = task.input;
#pragma unroll
  for (std::uint32_t i = lane; i < tile_n / 2; i += 32) {
    const std::uint32_t at = column + 2 * i;
    const bool inside = at < task.out.shape.k;
    ColumnPair pair{{input.scale, input.scale}, {0.0f, 0.0f}};
    if (inside && input.scales != nullptr) {
      pair.scale = __ldg(reinterpret_cast<const float2*>(input.scales + at));
    }
    if (inside && input.bias != nullptr) {
      pair.bias = __ldg(reinterpret_cast<const float2*>(input.bias + at));
    }
    if (inside && task.weight_scales != nullptr) {
      const float2 of_weights = __ldg(reinterpret_cast<const float2*>(task.weight_scales + at));
      pair.scale = {pair.scale.x * of_weights.x, pair.scale.y * of_weights.y};
    }
    const float factor = task.unit * task.folded_gain;
    pair.scale = {pair.scale.x * factor, pair.scale.y * factor};
    pair.bias = {pair.bias.x * task.folded_gain, pair.bias.y * task.folded_gain};
    pairs[i] = pair;
  }
  __syncwarp();
}

/// Copies membranes of the lane's one position between memory and `carried`.
template <int tile_n, class Sums, class Visit>
__device__ void for_each_membrane(const FireTask& task, const Sums& sums, std::uint32_t part,
                                  Visit&& visit) {
  const std::uint64_t position = sums.position_of(0);
  if (position >= task.out.shape.rows) return;
#pragma unroll 8
  for (std::uint32_t i = 0; i < tile_n / 8; ++i) {
    const std::uint32_t at = sums.column + 8 * i + 2 * part;
    if (at < task.out.shape.k)
      visit(position * task.out.shape.k + at, sums.carried[i * sums.stride]);
  }
}

/// Writes bits of the lane's neurons to `data`, as `task.out` is: words of its part of the rows of
/// four lanes.
template <int rows, int steps, int tile_n, class Sums>
__device__ void store_neurons(const FireTask& task, const Sums& sums, void* data,
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
  auto* to = static_cast<std::uint8_t*>(data) +
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
  const LifState& state = task.state;
  const std::uint32_t part = lane % 4;
  const std::uint32_t left = shape.timesteps - sums.first_step;
  const bool first = slots > 1 || sums.first_step == 0;
  const bool last = slots > 1 || left <= steps;
  const bool membranes = !first || !last || state.before != nullptr || state.after != nullptr ||
                         !task.exact_leak ||
                         task.params.convention == LifParams::Convention::snntorch;
  const bool wants_near = task.surrogate.near != nullptr;
  const Case most = left < steps || (wants_near && membranes) ? Case::any
                    : membranes                               ? Case::membranes
                    : wants_near                              ? Case::surrogate
                                                              : Case::simple;
  gather_pairs<tile_n>(task, sums.column, sums.pairs, lane);
  if (slots == 1 && membranes && first) {
    const float rest = detail::lif_rest(task.params);
    for (std::uint32_t i = 0; i < tile_n / 8; ++i) sums.carried[i * sums.stride] = {rest, rest};
    if (state.before != nullptr) {
      for_each_membrane<tile_n>(task, sums, part, [&](std::uint64_t at, float2& membrane) {
        membrane = *reinterpret_cast<const float2*>(state.before + at);
      });
    }
  }
  with_constants(task.params, most, [&](const LifParams& params, auto which) {
    constexpr Case known = decltype(which)::value;
    constexpr bool exact_leak = known == Case::simple || known == Case::surrogate;
    constexpr bool near_here = known == Case::surrogate || known == Case::any;
    std::uint32_t words[rows * tile_n / 32] = {};
    [[maybe_unused]] std::uint32_t near[near_here ? rows * tile_n / 32 : 1] = {};
#pragma unroll
    for (int i = 0; i < tile_n / 8; ++i) {
      const ColumnPair pair = sums.pairs[4 * i + part];
#pragma unroll
      for (int slot = 0; slot < slots; ++slot) {
        float2 membrane = {detail::lif_rest(params), detail::lif_rest(params)};
        const std::uint32_t at = sums.column + 8 * i + 2 * part;
        const std::uint64_t position = sums.position_of(slot);
        const std::uint64_t neuron = position * shape.k + at;
        const bool there = at < shape.k && position < shape.rows;
        const bool carries = known == Case::membranes || (known == Case::any && membranes);
        if (carries && slots == 1) membrane = sums.carried[i * sums.stride];
        if (carries && slots > 1 && there && state.before != nullptr) {
          membrane = *reinterpret_cast<const float2*>(state.before + neuron);
        }
#pragma unroll
        for (int step = 0; step < steps; ++step) {
          if (known == Case::any && step >= left) continue;
          const int row = slot * steps + step;
          const float x = fmaf(sums.value(row, i, 0), pair.scale.x, pair.bias.x);
          const float y = fmaf(sums.value(row, i, 1), pair.scale.y, pair.bias.y);
          std::uint32_t& word = words[row * (tile_n / 32) + i / 4];
          float2 distance;
          if (detail::lif_step<exact_leak>(params, x, membrane.x, &distance.x)) {
            word |= 1u << i % 4 * 8;
          }
          if (detail::lif_step<exact_leak>(params, y, membrane.y, &distance.y)) {
            word |= 2u << i % 4 * 8;
          }
          if constexpr (near_here) {
            std::uint32_t& close = near[row * (tile_n / 32) + i / 4];
            if (fabsf(distance.x) < task.surrogate.width) close |= 1u << i % 4 * 8;
            if (fabsf(distance.y) < task.surrogate.width) close |= 2u << i % 4 * 8;
          }
        }
        if (carries && slots == 1) sums.carried[i * sums.stride] = membrane;
        if (carries && slots > 1 && there && state.after != nullptr) {
          *reinterpret_cast<float2*>(state.after + neuron) = membrane;
        }
      }
    }
    store_neurons<rows, steps, tile_n>(task, sums, task.out.data, words, part);
    if constexpr (near_here) {
      if (wants_near) {
        store_neurons<rows, steps, tile_n>(task, sums, task.surrogate.near, near, part);
      }
    }
  });
  if (slots == 1 && last && state.after != nullptr) {
    for_each_membrane<tile_n>(task, sums, part, [&](std::uint64_t at, const float2& membrane) {
      *reinterpret_cast<float2*>(state.after + at) = membrane;
    });
  }
  __syncwarp();  // before the pairs of another tile
}

/// spmm_lif() on sm_90a, in kernels/cuda/sm90/spmm_lif.cu. K is not 0.
void spmm_lif_on_hopper(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                        const FireTask& task);
/// The same of W in bytes, in kernels/cuda/expand_imma.cu and kernels/cuda/sm90/expand_imma.cu.
void spmm_lif_of_bytes(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
                       const WeightView& weights, const FireTask& task);
void spmm_lif_of_bytes_on_hopper(const CudaContext& context, const Bitmap& bitmap,
                                 const ByteColumns& columns, const WeightView& weights,
                                 const FireTask& task);

}  // namespace spiketune::cuda
