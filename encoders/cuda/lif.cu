// Currents to spikes: a thread has `columns` neighbouring neurons of a row and walks over the steps
// with their membranes in registers; the lanes that share a word of bits merge theirs.
//
// Bytes: the currents once, and 1/16 (f16 to bits) of them out; bound by memory. Loads of later
// steps do not wait for the membrane, so several are in flight.

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/lif.hpp"
#include "spiketune/encoders/lif_step.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr int threads = 256;
constexpr std::uint32_t steps_ahead = 4;

struct LifTask {
  const void* currents;
  void* spikes;
  SpikeShape shape;
  RowMap to_wanted;
  std::uint64_t stride;  ///< bytes of a row of spikes
  bool bits;             ///< else bytes
  LifParams params;
  LifState state;
};

/// columns: 4 where rows of currents and membranes are made of aligned fours, else 1.
template <class T, std::uint32_t columns>
__global__ void __launch_bounds__(threads) fire(const __grid_constant__ LifTask task) {
  struct alignas(sizeof(T) * columns) Currents {
    T at[columns];
  };
  struct alignas(sizeof(float) * columns) Membranes {
    float at[columns];
  };
  constexpr std::uint32_t lanes = 32 / columns;  // that share a word
  const SpikeShape& shape = task.shape;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t warps_per_row = ceil_div(shape.k, 32 * columns);
  const std::uint64_t warp = std::uint64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32;
  const std::uint64_t row = warp / warps_per_row;
  if (row >= shape.rows) return;  // whole warps leave
  const auto n = static_cast<std::uint32_t>(warp % warps_per_row) * 32 * columns + lane * columns;
  const bool inside = n < shape.k;

  Membranes membranes;
  for (std::uint32_t c = 0; c < columns; ++c) membranes.at[c] = detail::lif_rest(task.params);
  if (inside && task.state.before != nullptr) {
    membranes = *reinterpret_cast<const Membranes*>(task.state.before + row * shape.k + n);
  }
  for (std::uint32_t first = 0; first < shape.timesteps; first += steps_ahead) {
    Currents ahead[steps_ahead];
#pragma unroll
    for (std::uint32_t s = 0; s < steps_ahead; ++s) {
      ahead[s] = {};
      if (!inside || first + s >= shape.timesteps) continue;
      const std::uint64_t source = (first + s) * shape.rows + row;
      ahead[s] = *reinterpret_cast<const Currents*>(static_cast<const T*>(task.currents) +
                                                    source * shape.k + n);
    }
#pragma unroll
    for (std::uint32_t s = 0; s < steps_ahead; ++s) {
      if (first + s >= shape.timesteps) break;
      const std::uint64_t source = (first + s) * shape.rows + row;
      auto* out =
          static_cast<std::uint8_t*>(task.spikes) + task.to_wanted.source(source) * task.stride;
      std::uint32_t fired = 0;
#pragma unroll
      for (std::uint32_t c = 0; c < columns; ++c) {
        const bool spike = detail::lif_step(task.params, to_float(ahead[s].at[c]), membranes.at[c]);
        fired |= std::uint32_t{spike && inside} << c;
      }
      if (!task.bits) {
        if (!inside) continue;
        if constexpr (columns == 4) {  // bit c to byte c
          *reinterpret_cast<std::uint32_t*>(out + n) = fired * 0x00204081u & 0x01010101u;
        } else {
          out[n] = static_cast<std::uint8_t>(fired);
        }
        continue;
      }
      std::uint32_t word = fired << lane % lanes * columns;
#pragma unroll
      for (std::uint32_t step = 1; step < lanes; step *= 2) {
        word |= __shfl_xor_sync(all_lanes, word, step);
      }
      if (lane % lanes == 0 && inside) reinterpret_cast<std::uint32_t*>(out)[n / 32] = word;
    }
  }
  if (inside && task.state.after != nullptr) {
    *reinterpret_cast<Membranes*>(task.state.after + row * shape.k + n) = membranes;
  }
}

template <class T>
void launch_fire(const CudaContext& context, const LifTask& task) {
  const auto aligned = [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  };
  const bool fours = task.shape.k % 4 == 0 && aligned(task.currents) && aligned(task.spikes) &&
                     aligned(task.state.before) && aligned(task.state.after);
  const std::uint64_t warps = task.shape.rows * ceil_div(task.shape.k, fours ? 128 : 32);
  const auto blocks = static_cast<unsigned>(ceil_div(warps, threads / 32));
  if (blocks == 0) return;
  if (fours) {
    fire<T, 4><<<blocks, threads, 0, context.stream>>>(task);
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
  const cuda::LifTask task{currents.data,
                           spikes.data,
                           shape,
                           {shape.timesteps, shape.rows, spikes.row_order, RowOrder::time_major},
                           row_bytes(spikes.storage, shape.k),
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
