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
struct FloatingRows {
  const W* data;
  [[nodiscard]] float at(std::uint64_t i) const { return to_float(data[i]); }
};
struct IntegerRows {
  const void* data;
  DType type;
  [[nodiscard]] std::int32_t at(std::uint64_t i) const { return load_integer(data, type, i); }
};

/// `Rows`: at(i), element i of W without its scale, of the type of the sums.
template <class Rows>
void fire(const HostContext& context, const Bitmap& format, const Rows& w,
          const float* weight_scales, const LifInput& input, const LifParams& params,
          const LifState& state, const MutableSpikeView& out, const LifSurrogate& surrogate) {
  const SpikeShape& shape = out.shape;
  const std::uint32_t n = shape.k;
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
      decltype(w.at(0)) sums[block] = {};
      for_each_in_row(format, to_format.source(row), [&](std::uint32_t k, float) {
        const std::uint64_t from = std::uint64_t{k} * n + first;
        for (std::uint32_t i = 0; i < count; ++i) sums[i] += w.at(from + i);
      });
      std::uint8_t fired[block];
      std::uint32_t near[block / 32] = {};
      for (std::uint32_t i = 0; i < count; ++i) {
        float scale = input.scales == nullptr ? input.scale : input.scales[first + i];
        if (weight_scales != nullptr) scale *= weight_scales[first + i];
        const float bias = input.bias == nullptr ? 0.0f : input.bias[first + i];
        const float current = std::fma(scale, static_cast<float>(sums[i]), bias);
        float distance = 0;
        fired[i] = detail::lif_step(params, current, membrane[i], &distance);
        if (std::fabs(distance) < surrogate.width) near[i / 32] |= 1u << i % 32;
      }
      if (surrogate.near != nullptr) {
        std::memcpy(surrogate.near + (to_out.source(row) * stride + first / 8) / 4, near,
                    ceil_div(count, 32) * 4);
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
              const MutableSpikeView& out, Workspace, const LifSurrogate& surrogate) {
  check_spmm_lif(spikes, weights, params, out, surrogate, Space::host);
  const auto run = [&](const auto& rows) {
    fire(context, spikes, rows, is_quantised(weights.type) ? weights.scales : nullptr, input,
         params, state, out, surrogate);
  };
  switch (weights.type) {
    case DType::f16:
      return run(FloatingRows<Half>{static_cast<const Half*>(weights.data)});
    case DType::bf16:
      return run(FloatingRows<Bfloat16>{static_cast<const Bfloat16*>(weights.data)});
    case DType::f32:
      return run(FloatingRows<float>{static_cast<const float*>(weights.data)});
    default:
      return run(IntegerRows{weights.data, weights.type});
  }
}

std::size_t spmm_lif_workspace_bytes(const HostContext&, const WeightView&) {
  return 0;
}

void prepare_spmm_lif(const HostContext&, const WeightView&, Workspace) {}

}  // namespace spiketune
