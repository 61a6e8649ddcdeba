// Back through neurons: a thread has `columns` neighbouring neurons of a row, 16 bytes of each
// step's gradient, and walks over the steps from the last. Four steps' gradients and bits are on
// their way at once. Bound by memory.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/lif_gradient.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr int threads = 256;
constexpr std::uint32_t steps_at_once = 4;

struct BackTask {
  const void* gradient;
  void* result;
  const std::uint32_t* spikes;
  const std::uint32_t* near;
  SpikeShape shape;
  LifParams params;
  float width;
  float factor;
};

/// columns: as many as 16 bytes have, where rows are made of aligned pieces of that; else 1.
template <class T, std::uint32_t columns>
__global__ void __launch_bounds__(threads) walk_back(const __grid_constant__ BackTask task) {
  struct alignas(sizeof(T) * columns) Piece {
    T at[columns];
  };
  const SpikeShape& shape = task.shape;
  const std::uint32_t pieces = shape.k / columns;
  const auto words = static_cast<std::uint32_t>(ceil_div(shape.k, 32));
  const std::uint64_t count = shape.rows * pieces;
  const std::uint64_t step = shape.rows * shape.k;
  const std::uint64_t bits_step = shape.rows * words;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * threads + threadIdx.x; i < count;
       i += std::uint64_t{gridDim.x} * threads) {
    const std::uint64_t row = i / pieces;
    const std::uint32_t n = static_cast<std::uint32_t>(i - row * pieces) * columns;
    const T* from = static_cast<const T*>(task.gradient) + row * shape.k + n;
    T* to = static_cast<T*>(task.result) + row * shape.k + n;
    const std::uint64_t word = row * words + n / 32;
    const std::uint32_t shift = n % 32;
    const detail::LifBack neuron(task.params, task.width, task.factor);
    float later[columns] = {};
    for (std::uint32_t end = shape.timesteps; end > 0;) {
      const std::uint32_t steps = end < steps_at_once ? end : steps_at_once;
      Piece now[steps_at_once];
      std::uint32_t spiked[steps_at_once + 1] = {};
      std::uint32_t near[steps_at_once];
#pragma unroll
      for (std::uint32_t s = 0; s <= steps_at_once; ++s) {  // s steps before the last
        if (s < end && s <= steps) spiked[s] = task.spikes[word + (end - 1 - s) * bits_step];
        if (s >= steps) continue;
        now[s] = *reinterpret_cast<const Piece*>(from + (end - 1 - s) * step);
        near[s] = task.near[word + (end - 1 - s) * bits_step];
      }
#pragma unroll
      for (std::uint32_t s = 0; s < steps_at_once; ++s) {
        if (s >= steps) continue;
        Piece out;
#pragma unroll
        for (std::uint32_t c = 0; c < columns; ++c) {
          const auto bit = [&](std::uint32_t bits) { return (bits >> (shift + c) & 1u) != 0; };
          out.at[c] = from_float<T>(neuron.step(to_float(now[s].at[c]), bit(spiked[s]),
                                                bit(near[s]), bit(spiked[s + 1]), later[c]));
        }
        *reinterpret_cast<Piece*>(to + (end - 1 - s) * step) = out;
      }
      end -= steps;
    }
  }
}

template <class T>
void launch(const CudaContext& context, const BackTask& task) {
  constexpr std::uint32_t most = 16 / sizeof(T);
  const auto aligned = [](const void* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  const bool pieces = task.shape.k % most == 0 && aligned(task.gradient) && aligned(task.result);
  const std::uint64_t count = task.shape.rows * task.shape.k / (pieces ? most : 1);
  const auto blocks =
      static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(count, threads), 1u << 20));
  if (pieces) {
    walk_back<T, most><<<blocks, threads, 0, context.stream>>>(task);
  } else {
    walk_back<T, 1><<<blocks, threads, 0, context.stream>>>(task);
  }
  check_launch();
}

}  // namespace
}  // namespace cuda

void lif_gradient(const CudaContext& context, const SpikeView& spikes,
                  const LifSurrogate& surrogate, const LifParams& params,
                  const CurrentView& gradient, float factor, void* result) {
  check_lif_gradient(spikes, surrogate, params, gradient, result, Space::device);
  if (gradient.shape.elements() == 0) return;
  const cuda::BackTask task{
      gradient.data,   result,         static_cast<const std::uint32_t*>(spikes.data),
      surrogate.near,  gradient.shape, params,
      surrogate.width, factor};
  switch (gradient.type) {
    case DType::f16:
      return cuda::launch<Half>(context, task);
    case DType::bf16:
      return cuda::launch<Bfloat16>(context, task);
    default:
      return cuda::launch<float>(context, task);
  }
}

}  // namespace spiketune
