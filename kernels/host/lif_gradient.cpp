#include "spiketune/kernels/lif_gradient.hpp"

#include "spiketune/core/half.hpp"
#include "spiketune/core/parallel.hpp"

namespace spiketune {
namespace {

template <class T>
void walk_back(const HostContext& context, const SpikeView& spikes, const LifSurrogate& surrogate,
               const LifParams& params, const CurrentView& gradient, float factor, T* result) {
  const SpikeShape& shape = gradient.shape;
  const auto* of_spikes = static_cast<const T*>(gradient.data);
  const auto* fired = static_cast<const std::uint32_t*>(spikes.data);
  const std::uint64_t words = row_bytes(DType::bit, shape.k) / 4;
  parallel_for(context, shape.rows, 4, [&](std::uint64_t row) {
    for (std::uint32_t n = 0; n < shape.k; ++n) {
      const detail::LifBack neuron(params, surrogate.width, factor);
      float later = 0;
      const auto bit = [&](const std::uint32_t* bits, std::uint32_t t) {
        return (bits[(t * shape.rows + row) * words + n / 32] >> n % 32 & 1u) != 0;
      };
      for (std::uint32_t t = shape.timesteps; t-- > 0;) {
        const std::uint64_t at = (t * shape.rows + row) * shape.k + n;
        result[at] =
            from_float<T>(neuron.step(to_float(of_spikes[at]), bit(fired, t),
                                      bit(surrogate.near, t), t > 0 && bit(fired, t - 1), later));
      }
    }
  });
}

}  // namespace

void lif_gradient(const HostContext& context, const SpikeView& spikes,
                  const LifSurrogate& surrogate, const LifParams& params,
                  const CurrentView& gradient, float factor, void* result) {
  check_lif_gradient(spikes, surrogate, params, gradient, result, Space::host);
  const auto run = [&](auto* to) {
    walk_back(context, spikes, surrogate, params, gradient, factor, to);
  };
  switch (gradient.type) {
    case DType::f16:
      return run(static_cast<Half*>(result));
    case DType::bf16:
      return run(static_cast<Bfloat16*>(result));
    default:
      return run(static_cast<float*>(result));
  }
}

}  // namespace spiketune
