#include "spiketune/encoders/lif.hpp"

#include <cstring>

#include "spiketune/core/half.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/lif_step.hpp"

namespace spiketune {
namespace {

/// A block of neurons of one row, over all steps.
constexpr std::uint32_t block = 256;

template <class T>
void fire(const HostContext& context, const CurrentView& currents, const LifParams& params,
          const LifState& state, const MutableSpikeView& spikes) {
  const SpikeShape& shape = currents.shape;
  const auto* input = static_cast<const T*>(currents.data);
  const std::uint64_t stride = row_bytes(spikes.storage, shape.k);
  const RowMap to_wanted{shape.timesteps, shape.rows, spikes.row_order, RowOrder::time_major};
  const std::uint64_t blocks = ceil_div(shape.k, block);
  parallel_for(context, shape.rows * blocks, 4, [&](std::uint64_t piece) {
    const std::uint64_t row = piece / blocks;
    const auto first = static_cast<std::uint32_t>(piece % blocks) * block;
    const std::uint32_t count = std::min(block, shape.k - first);
    float membrane[block];
    for (std::uint32_t i = 0; i < count; ++i) {
      membrane[i] = state.before == nullptr ? detail::lif_rest(params)
                                            : state.before[row * shape.k + first + i];
    }
    for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
      const std::uint64_t source = t * shape.rows + row;
      const T* current = input + source * shape.k + first;
      auto* out = static_cast<std::uint8_t*>(spikes.data) + to_wanted.source(source) * stride;
      std::uint32_t words[block / 32] = {};
      for (std::uint32_t i = 0; i < count; ++i) {
        const bool spike = detail::lif_step(params, to_float(current[i]), membrane[i]);
        if (spikes.storage == DType::u8) {
          out[first + i] = spike;
        } else {
          words[i / 32] |= std::uint32_t{spike} << i % 32;
        }
      }
      if (spikes.storage == DType::bit) {
        std::memcpy(out + first / 8, words, ceil_div(count, 32) * 4);
      }
    }
    if (state.after == nullptr) return;
    std::memcpy(state.after + row * shape.k + first, membrane, count * sizeof(float));
  });
}

}  // namespace

void lif(const HostContext& context, const CurrentView& currents, const LifParams& params,
         const LifState& state, const MutableSpikeView& spikes) {
  check_lif(currents, params, spikes, Space::host);
  switch (currents.type) {
    case DType::f16:
      return fire<Half>(context, currents, params, state, spikes);
    case DType::bf16:
      return fire<Bfloat16>(context, currents, params, state, spikes);
    default:
      return fire<float>(context, currents, params, state, spikes);
  }
}

}  // namespace spiketune
