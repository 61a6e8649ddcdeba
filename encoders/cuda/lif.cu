// Currents to spikes: a thread has `columns` neighbouring neurons of a row and walks over the steps
// with their membranes in registers; the lanes that share a word of bits merge theirs, four steps
// at a time.
//
// Bytes: the currents once, and 1/16 (f16 to bits) of them out. In the time of these a
// multiprocessor of an H200 issues 15 instructions for each neuron and step; the loop has 13, so
// that both bind. Loads of later steps do not wait for the membrane, so several are in flight.

#include <algorithm>
#include <type_traits>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/lif.hpp"
#include "spiketune/encoders/lif_step.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr int threads = 128;
constexpr int blocks_per_sm = 5;
constexpr std::uint32_t steps_ahead = 4;

struct LifTask {
  const void* currents;
  std::uint8_t* spikes;
  SpikeShape shape;
  std::uint64_t row_bytes;   ///< from a row of spikes to the next
  std::uint64_t step_bytes;  ///< from a step of a row to its next
  LifParams params;
  LifState state;
};

/// use(neuron): the same parameters, of which the compiler knows the convention and the reset, so
/// that a step has no branches.
template <class Use>
__device__ void with_neuron(const LifParams& params, Use&& use) {
  using Convention = LifParams::Convention;
  using Reset = LifParams::Reset;
  const auto known = [&](Convention convention, Reset reset, float reset_value) {
    use(LifParams{params.leak, params.gain, params.threshold, reset, reset_value, convention});
  };
  const bool soft = params.reset == Reset::soft;
  if (params.convention == Convention::snntorch) {
    if (soft) {
      known(Convention::snntorch, Reset::soft, 0.0f);
    } else {
      known(Convention::snntorch, Reset::hard, 0.0f);
    }
  } else if (soft) {
    known(Convention::spikingjelly, Reset::soft, 0.0f);
  } else if (params.reset_value == 0.0f) {
    known(Convention::spikingjelly, Reset::hard, 0.0f);
  } else {
    known(Convention::spikingjelly, Reset::hard, params.reset_value);
  }
}

/// Bit c of `fired` to byte c.
template <std::uint32_t columns>
__device__ void store_bytes(std::uint8_t* to, std::uint32_t fired) {
  const auto four = [](std::uint32_t bits) { return bits * 0x00204081u & 0x01010101u; };
  if constexpr (columns == 8) {
    *reinterpret_cast<uint2*>(to) = {four(fired & 0xfu), four(fired >> 4)};
  } else if constexpr (columns == 4) {
    *reinterpret_cast<std::uint32_t*>(to) = four(fired);
  } else {
    *to = static_cast<std::uint8_t>(fired);
  }
}

/// Columns of a row that a warp fires, and those that it fires after them.
template <std::uint32_t columns>
struct Stretch {
  std::uint64_t row;
  std::uint32_t n;  ///< this lane's first

  __device__ Stretch(const SpikeShape& shape, std::uint64_t warp, std::uint64_t warps)
      : width_(static_cast<std::uint32_t>(ceil_div(shape.k, 32 * columns) * 32 * columns)) {
    const std::uint32_t per_row = width_ / (32 * columns);
    row = warp / per_row;
    n = static_cast<std::uint32_t>(warp % per_row) * 32 * columns + threadIdx.x % 32 * columns;
    rows_on_ = warps / per_row;
    n_on_ = static_cast<std::uint32_t>(warps % per_row) * 32 * columns;
  }
  __device__ void advance() {
    row += rows_on_;
    n += n_on_;
    if (n >= width_) {
      n -= width_;
      ++row;
    }
  }
  [[nodiscard]] __device__ bool inside(const SpikeShape& shape) const {
    return row < shape.rows && n < shape.k;
  }

 private:
  std::uint32_t width_;  ///< of a row, made whole stretches
  std::uint64_t rows_on_;
  std::uint32_t n_on_;
};

/// Four lanes of `apart` each have a byte of each of four steps: lane i of them gets those of step
/// i, as a word of bits.
template <std::uint32_t apart>
__device__ std::uint32_t bytes_of_one_step(std::uint32_t bytes) {
  const std::uint32_t lane = threadIdx.x / apart;
  const std::uint32_t beside = __shfl_xor_sync(all_lanes, bytes, apart);
  bytes = __byte_perm(bytes, beside, lane & 1 ? 0x3715 : 0x6240);
  const std::uint32_t other = __shfl_xor_sync(all_lanes, bytes, 2 * apart);
  return __byte_perm(bytes, other, lane & 2 ? 0x3276 : 0x5410);
}

/// columns: as many as 16 bytes of currents have, where rows of currents and membranes are made of
/// aligned pieces of that; else 1. A warp takes stretch after stretch; the currents of its next
/// steps are on their way while it walks over `steps_ahead`.
template <class T, std::uint32_t columns, bool bits>
__global__ void __launch_bounds__(threads, blocks_per_sm)
    fire(const __grid_constant__ LifTask task) {
  struct alignas(sizeof(T) * columns) Currents {
    T at[columns];
  };
  struct alignas(std::min<std::size_t>(16, sizeof(float) * columns)) Membranes {
    float at[columns];
  };
  constexpr std::uint32_t apart = columns == 4 ? 2 : 1;  // lanes of eight columns
  const SpikeShape& shape = task.shape;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t my_step = columns == 1 ? 0 : lane / apart % steps_ahead;  // that it stores
  const std::uint64_t step_currents = shape.rows * shape.k;
  const auto currents_of = [&](const Stretch<columns>& stretch) {
    return static_cast<const T*>(task.currents) + stretch.row * shape.k + stretch.n;
  };
  Currents ahead[steps_ahead];
  const auto fetch = [&](const T* from, std::uint32_t s, std::uint32_t steps) {
    if (s < steps) ahead[s] = *reinterpret_cast<const Currents*>(from + s * step_currents);
  };
  with_neuron(task.params, [&](const LifParams& neuron) {
    Stretch<columns> stretch(shape, std::uint64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32,
                             std::uint64_t{gridDim.x} * (threads / 32));
    const T* from = currents_of(stretch);
#pragma unroll
    for (std::uint32_t s = 0; s < steps_ahead; ++s) {
      fetch(from, s, stretch.inside(shape) ? shape.timesteps : 0);
    }
    while (stretch.row < shape.rows) {  // all lanes alike
      const bool inside = stretch.inside(shape);
      const std::uint64_t membranes_at = stretch.row * shape.k + stretch.n;
      Membranes membranes;
      for (std::uint32_t c = 0; c < columns; ++c) membranes.at[c] = detail::lif_rest(neuron);
      if (inside && task.state.before != nullptr) {
        membranes = *reinterpret_cast<const Membranes*>(task.state.before + membranes_at);
      }
      std::uint8_t* out = task.spikes + stretch.row * task.row_bytes;
      out += bits ? stretch.n / 32 * 4 + my_step * task.step_bytes : stretch.n;
      const bool stores = bits ? stretch.n / 32 * 32 < shape.k : inside;
      bool last = false;
      for (std::uint32_t first = 0; !last; first += steps_ahead) {
        const std::uint32_t steps = shape.timesteps - first;  // from here on, these included
        last = steps <= steps_ahead;
        std::uint32_t next_steps = steps - steps_ahead;
        if (last) {
          stretch.advance();
          from = currents_of(stretch);
          next_steps = shape.timesteps;
        } else {
          from += steps_ahead * step_currents;
        }
        if (!stretch.inside(shape)) next_steps = 0;
        float now[steps_ahead][columns];
#pragma unroll
        for (std::uint32_t s = 0; s < steps_ahead; ++s) {
          for (std::uint32_t c = 0; c < columns; ++c) now[s][c] = to_float(ahead[s].at[c]);
          fetch(from, s, next_steps);
        }
        std::uint32_t of_steps = 0;  // a byte of each
#pragma unroll
        for (std::uint32_t s = 0; s < steps_ahead; ++s) {
          if (s >= steps) break;
          std::uint32_t fired = 0;
#pragma unroll
          for (std::uint32_t c = 0; c < columns; ++c) {
            if (detail::lif_step(neuron, now[s][c], membranes.at[c])) fired |= 1u << c;
          }
          if constexpr (!bits) {
            if (stores) store_bytes<columns>(out, fired);
            out += task.step_bytes;
          } else if constexpr (columns == 1) {
            const std::uint32_t word = __ballot_sync(all_lanes, inside && fired != 0);
            if (lane == 0) *reinterpret_cast<std::uint32_t*>(out) = word;
            out += task.step_bytes;
          } else {
            of_steps |= fired << 8 * s;
          }
        }
        if constexpr (bits && columns != 1) {
          if (!inside) of_steps = 0;
          if constexpr (columns == 4) {
            of_steps <<= lane % 2 * 4;
            of_steps |= __shfl_xor_sync(all_lanes, of_steps, 1);
          }
          const std::uint32_t word = bytes_of_one_step<apart>(of_steps);
          if (stores && my_step < steps && lane % apart == 0) {
            *reinterpret_cast<std::uint32_t*>(out) = word;
          }
          out += steps_ahead * task.step_bytes;
        }
      }
      if (inside && task.state.after != nullptr) {
        *reinterpret_cast<Membranes*>(task.state.after + membranes_at) = membranes;
      }
    }
  });
}

template <class T, bool bits>
void launch_fire(const CudaContext& context, const LifTask& task) {
  const auto aligned = [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  };
  constexpr std::uint32_t columns = 16 / sizeof(T);
  const bool pieces = task.shape.k % columns == 0 && aligned(task.currents) &&
                      aligned(task.spikes) && aligned(task.state.before) &&
                      aligned(task.state.after);
  const std::uint64_t warps = task.shape.rows * ceil_div(task.shape.k, pieces ? 32 * columns : 32);
  const auto blocks = static_cast<unsigned>(std::min<std::uint64_t>(
      ceil_div(warps, threads / 32), resident_blocks(context, blocks_per_sm)));
  if (blocks == 0) return;
  if (pieces) {
    fire<T, columns, bits><<<blocks, threads, 0, context.stream>>>(task);
  } else {
    fire<T, 1, bits><<<blocks, threads, 0, context.stream>>>(task);
  }
  check_launch();
}

}  // namespace
}  // namespace cuda

void lif(const CudaContext& context, const CurrentView& currents, const LifParams& params,
         const LifState& state, const MutableSpikeView& spikes) {
  check_lif(currents, params, spikes, Space::device);
  const SpikeShape& shape = currents.shape;
  const std::uint64_t stride = row_bytes(spikes.storage, shape.k);
  const bool together = spikes.row_order == RowOrder::token_major;  // the steps of a row
  const cuda::LifTask task{currents.data,
                           static_cast<std::uint8_t*>(spikes.data),
                           shape,
                           together ? shape.timesteps * stride : stride,
                           together ? stride : shape.rows * stride,
                           params,
                           state};
  const auto fire_into = [&](auto bits) {
    switch (currents.type) {
      case DType::f16:
        return cuda::launch_fire<Half, bits>(context, task);
      case DType::bf16:
        return cuda::launch_fire<Bfloat16, bits>(context, task);
      default:
        return cuda::launch_fire<float, bits>(context, task);
    }
  };
  spikes.storage == DType::bit ? fire_into(std::true_type{}) : fire_into(std::false_type{});
}

}  // namespace spiketune
