#include "spiketune/kernels/spmm_lif.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "spiketune/core/half.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/lif_step.hpp"

namespace spiketune {
namespace {

/// Channels that a task takes of one position, over all steps.
constexpr std::uint32_t block = 256;

template <class W>
void fire(const HostContext& context, const Bitmap& format, const WeightView& weights,
          const LifInput& input, const LifParams& params, const LifState& state,
          const MutableSpikeView& out) {
  const SpikeShape& shape = out.shape;
  const std::uint32_t n = shape.k;
  const auto* w = static_cast<const W*>(weights.data);
  const std::uint64_t stride = row_bytes(out.storage, n);
  const RowMap to_format{shape.timesteps, shape.rows, format.layout.row_order,
                         RowOrder::time_major};
  const RowMap to_out{shape.timesteps, shape.rows, out.row_order, RowOrder::time_major};
  const std::uint64_t blocks = ceil_div(n, block);
  parallel_for(context, shape.rows * blocks, 4, [&](std::uint64_t piece) {
    const std::uint64_t position = piece / blocks;
    const auto first = static_cast<std::uint32_t>(piece % blocks) * block;
    const std::uint32_t count = std::min(block, n - first);
    float membrane[block];
    for (std::uint32_t i = 0; i < count; ++i) {
      membrane[i] = state.before == nullptr ? detail::lif_rest(params)
                                            : state.before[position * n + first + i];
    }
    for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
      const std::uint64_t row = t * shape.rows + position;
      float sums[block] = {};
      for_each_in_row(format, to_format.source(row), [&](std::uint32_t k, float) {
        const W* from = w + std::uint64_t{k} * n + first;
        for (std::uint32_t i = 0; i < count; ++i) sums[i] += to_float(from[i]);
      });
      std::uint8_t fired[block];
      for (std::uint32_t i = 0; i < count; ++i) {
        const float scale = input.scales == nullptr ? input.scale : input.scales[first + i];
        const float bias = input.bias == nullptr ? 0.0f : input.bias[first + i];
        fired[i] = detail::lif_step(params, std::fma(scale, sums[i], bias), membrane[i]);
      }
      auto* to = static_cast<std::uint8_t*>(out.data) + to_out.source(row) * stride;
      if (out.storage == DType::u8) {
        std::memcpy(to + first, fired, count);
        continue;
      }
      std::uint32_t words[block / 32] = {};
      for (std::uint32_t i = 0; i < count; ++i) words[i / 32] |= std::uint32_t{fired[i]} << i % 32;
      std::memcpy(to + first / 8, words, ceil_div(count, 32) * 4);
    }
    if (state.after == nullptr) return;
    std::memcpy(state.after + position * n + first, membrane, count * sizeof(float));
  });
}

}  // namespace

void spmm_lif(const HostContext& context, const Bitmap& spikes, const WeightView& weights,
              const LifInput& input, const LifParams& params, const LifState& state,
              const MutableSpikeView& out) {
  check_spmm_lif(spikes, weights, params, out, Space::host);
  switch (weights.type) {
    case DType::f16:
      return fire<Half>(context, spikes, weights, input, params, state, out);
    case DType::bf16:
      return fire<Bfloat16>(context, spikes, weights, input, params, state, out);
    default:
      return fire<float>(context, spikes, weights, input, params, state, out);
  }
}

}  // namespace spiketune
