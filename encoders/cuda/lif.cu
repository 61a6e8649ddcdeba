// Currents to spikes: a thread has `columns` neighbouring neurons of a row and walks over the steps
// with their membranes in registers; the lanes that share a word of bits merge theirs.
//
// Bytes: the currents once, and 1/16 (f16 to bits) of them out; bound by memory. Loads of later
// steps do not wait for the membrane, so several are in flight.

#include <algorithm>

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
  bool bits;                 ///< else bytes
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

/// Columns of a row that a warp fires.
template <std::uint32_t columns>
struct Stretch {
  std::uint64_t row;
  std::uint32_t n;  ///< this lane's first
  bool inside;      ///< the lane has columns

  __device__ Stretch(const SpikeShape& shape, std::uint64_t index) {
    const auto per_row = static_cast<std::uint32_t>(ceil_div(shape.k, 32 * columns));
    row = index >> 32 == 0 ? static_cast<std::uint32_t>(index) / per_row  // a short division
                           : index / per_row;
    n = (static_cast<std::uint32_t>(index - row * per_row) * 32 + threadIdx.x % 32) * columns;
    inside = row < shape.rows && n < shape.k;
  }
};

/// columns: as many as 16 bytes of currents have, where rows of currents and membranes are made of
/// aligned pieces of that; else 1. A warp takes stretch after stretch; the currents of its next
/// steps are on their way while it walks over `steps_ahead`.
template <class T, std::uint32_t columns>
__global__ void __launch_bounds__(threads, blocks_per_sm)
    fire(const __grid_constant__ LifTask task) {
  struct alignas(sizeof(T) * columns) Currents {
    T at[columns];
  };
  struct alignas(std::min<std::size_t>(16, sizeof(float) * columns)) Membranes {
    float at[columns];
  };
  constexpr std::uint32_t lanes = 32 / columns;  // that share a word
  const SpikeShape& shape = task.shape;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * (threads / 32);
  const std::uint64_t step_currents = shape.rows * shape.k;
  Currents ahead[steps_ahead];
  const auto fetch = [&](const Stretch<columns>& stretch, std::uint32_t first) {
    const T* currents = static_cast<const T*>(task.currents) + first * step_currents +
                        stretch.row * shape.k + stretch.n;
#pragma unroll
    for (std::uint32_t s = 0; s < steps_ahead; ++s) {
      if (stretch.inside && first + s < shape.timesteps) {
        ahead[s] = *reinterpret_cast<const Currents*>(currents + s * step_currents);
      }
    }
  };
  with_neuron(task.params, [&](const LifParams& neuron) {
    std::uint64_t index = std::uint64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32;
    Stretch<columns> stretch(shape, index);
    fetch(stretch, 0);
    while (stretch.row < shape.rows) {  // all lanes alike
      const Stretch<columns> here = stretch;
      const std::uint64_t membranes_at = here.row * shape.k + here.n;
      Membranes membranes;
      for (std::uint32_t c = 0; c < columns; ++c) membranes.at[c] = detail::lif_rest(neuron);
      if (here.inside && task.state.before != nullptr) {
        membranes = *reinterpret_cast<const Membranes*>(task.state.before + membranes_at);
      }
      std::uint8_t* out = task.spikes + here.row * task.row_bytes;
      bool last = false;
      for (std::uint32_t first = 0; !last; first += steps_ahead) {
        Currents now[steps_ahead];
#pragma unroll
        for (std::uint32_t s = 0; s < steps_ahead; ++s) now[s] = ahead[s];
        last = first + steps_ahead >= shape.timesteps;
        if (last) stretch = Stretch<columns>(shape, index += stride);
        fetch(stretch, last ? 0 : first + steps_ahead);
#pragma unroll
        for (std::uint32_t s = 0; s < steps_ahead; ++s) {
          if (first + s >= shape.timesteps) break;
          std::uint32_t fired = 0;
#pragma unroll
          for (std::uint32_t c = 0; c < columns; ++c) {
            if (detail::lif_step(neuron, to_float(now[s].at[c]), membranes.at[c])) fired |= 1u << c;
          }
          if (!here.inside) fired = 0;
          if (!task.bits) {
            if (here.inside) store_bytes<columns>(out + here.n, fired);
          } else {
            std::uint32_t word = fired << lane % lanes * columns;
#pragma unroll
            for (std::uint32_t step = 1; step < lanes; step *= 2) {
              word |= __shfl_xor_sync(all_lanes, word, step);
            }
            if (lane % lanes == 0 && here.inside) {
              reinterpret_cast<std::uint32_t*>(out)[here.n / 32] = word;
            }
          }
          out += task.step_bytes;
        }
      }
      if (here.inside && task.state.after != nullptr) {
        *reinterpret_cast<Membranes*>(task.state.after + membranes_at) = membranes;
      }
    }
  });
}

template <class T>
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
    fire<T, columns><<<blocks, threads, 0, context.stream>>>(task);
  } else {
    fire<T, 1><<<blocks, threads, 0, context.stream>>>(task);
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
                           spikes.storage == DType::bit,
                           params,
                           state};
  switch (currents.type) {
    case DType::f16:
      return cuda::launch_fire<Half>(context, task);
    case DType::bf16:
      return cuda::launch_fire<Bfloat16>(context, task);
    default:
      return cuda::launch_fire<float>(context, task);
  }
}

}  // namespace spiketune
