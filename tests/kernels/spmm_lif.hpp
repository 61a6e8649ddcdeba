#pragma once
/// \file
/// What the tests of fused layers share: a layer in host memory, what it must fire by way of a
/// dense product and lif(), and what spmm_lif() makes of it on a context.

#include <array>
#include <optional>
#include <random>

#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/kernels/spmm_lif.hpp"
#include "spiketune/tests/encoders/lif.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

struct Layer {
  SpikeShape shape;
  std::uint32_t n = 8;
  LifParams params;
  DType weights = DType::f16;
  bool tiles = false;
  RowOrder order = RowOrder::token_major;
  RowOrder out_order = RowOrder::token_major;
  DType out_storage = DType::bit;
  bool scales = true;  ///< else one scale
  bool bias = true;
  bool before = false;  ///< membranes are given
  float width = 0;      ///< of a surrogate; 0: none is wanted
};

/// Spikes and membranes [rows, N] after the last step.
struct Fired {
  std::vector<std::uint8_t> spikes;  ///< the bytes of the tensor
  std::vector<float> after;
  std::vector<std::uint8_t> near{};  ///< those of the surrogate's bits
  bool operator==(const Fired&) const = default;
};

/// A layer's numbers: small integers and eighths, so that currents are exact.
class LayerData {
 public:
  explicit LayerData(const Layer& layer, unsigned seed = 1)
      : layer_(layer),
        logical_(random_spikes(layer.shape, 0.15, ValueKind::binary, seed)),
        weights_(integer_weights(std::uint64_t{layer.shape.k} * layer.n, seed + 1)),
        stored_(to_type(weights_, layer.weights)),
        scales_(eighths(layer.n, 1, 4, seed + 2)),
        bias_(eighths(layer.n, -4, 8, seed + 3)),
        before_(eighths(layer.shape.rows * layer.n, -8, 12, seed + 4)),
        weight_scales_(eighths(layer.n, 1, 16, seed + 5)) {}

  /// By way of the dense product and the currents.
  [[nodiscard]] Fired expected() const {
    const SpikeShape shape = fired_shape();
    const auto y = oracle(logical_, RowOrder::time_major, weights_, layer_.n);
    std::vector<float> currents(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double scale =
          (layer_.scales ? scales_[i % layer_.n] : one_scale) * weight_scale(i % layer_.n);
      const double bias = layer_.bias ? bias_[i % layer_.n] : 0.0f;
      currents[i] = static_cast<float>(scale * y[i] + bias);
    }
    SpikeTensor spikes(HostContext{}, shape, layer_.out_storage, ValueKind::binary,
                       layer_.out_order);
    Fired result{{}, std::vector<float>(before_.size())};
    lif(HostContext{}, {currents.data(), shape, DType::f32, Space::host}, layer_.params,
        {layer_.before ? before_.data() : nullptr, result.after.data()}, spikes.mutable_view());
    const auto* bytes = static_cast<const std::uint8_t*>(spikes.view().data);
    result.spikes.assign(bytes, bytes + spikes.view().bytes());
    return result;
  }

  template <class ContextT>
  [[nodiscard]] Fired run(const ContextT& context) const {
    const SpikeTensor host_spikes =
        store(logical_, DType::bit, ValueKind::binary, RowOrder::time_major);
    const Encoded<Bitmap> host_bitmap = encode_to_fit<Bitmap>(
        HostContext{}, host_spikes.view(), {layer_.tiles}, {layer_.order, 0.1, std::nullopt});
    const Encoded<Bitmap> bitmap(context, *host_bitmap);
    copy(context, bitmap.buffer().data(), host_bitmap.buffer().data(),
         host_bitmap.buffer().bytes());
    const Buffer w = upload(context, stored_.data(), stored_.size());
    const Buffer scales = upload(context, scales_.data(), scales_.size() * sizeof(float));
    const Buffer bias = upload(context, bias_.data(), bias_.size() * sizeof(float));
    const Buffer membranes = upload(context, before_.data(), before_.size() * sizeof(float));
    auto* state = static_cast<float*>(membranes.data());
    SpikeTensor out(context, fired_shape(), layer_.out_storage, ValueKind::binary,
                    layer_.out_order);
    fill(context, out.mutable_view().data, 0xff, out.view().bytes());
    LifInput input;
    input.scale = one_scale;
    if (layer_.scales) input.scales = static_cast<const float*>(scales.data());
    if (layer_.bias) input.bias = static_cast<const float*>(bias.data());
    WeightView weights{w.data(), layer_.weights, layer_.shape.k, layer_.n, ContextT::space};
    const Buffer weight_scales =
        upload(context, weight_scales_.data(), weight_scales_.size() * sizeof(float));
    if (is_quantised(layer_.weights)) {
      weights.scales = static_cast<const float*>(weight_scales.data());
    }
    const Buffer workspace = allocate(context, spmm_lif_workspace_bytes(context, weights));
    prepare_spmm_lif(context, weights, workspace.workspace());
    const bool wants_near = layer_.width > 0 && layer_.out_storage == DType::bit;
    const Buffer near = allocate(context, wants_near ? out.view().bytes() : 0);
    if (near.bytes() != 0) fill(context, near.data(), 0xff, near.bytes());
    spmm_lif(context, *bitmap, weights, input, layer_.params,
             {layer_.before ? state : nullptr, state}, out.mutable_view(), workspace.workspace(),
             {wants_near ? static_cast<std::uint32_t*>(near.data()) : nullptr, layer_.width});
    Fired result{std::vector<std::uint8_t>(out.view().bytes()), std::vector<float>(before_.size()),
                 std::vector<std::uint8_t>(near.bytes())};
    if (near.bytes() != 0) copy(context, result.near.data(), near.data(), near.bytes());
    copy(context, result.spikes.data(), out.view().data, result.spikes.size());
    copy(context, result.after.data(), state, result.after.size() * sizeof(float));
    synchronize(context);
    return result;
  }

 private:
  static constexpr float one_scale = 0.25f;

  static std::vector<float> eighths(std::uint64_t count, int least, int most, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> drawn(least, most);
    std::vector<float> result(count);
    for (float& value : result) value = static_cast<float>(drawn(random)) / 8;
    return result;
  }
  [[nodiscard]] double weight_scale(std::uint64_t column) const {
    return is_quantised(layer_.weights) ? weight_scales_[column] : 1.0;
  }
  [[nodiscard]] SpikeShape fired_shape() const {
    return {layer_.shape.timesteps, layer_.shape.rows, layer_.n};
  }

  Layer layer_;
  Logical logical_;
  std::vector<float> weights_;
  std::vector<std::byte> stored_;
  std::vector<float> scales_;
  std::vector<float> bias_;
  std::vector<float> before_;
  std::vector<float> weight_scales_;
};

/// Layers of every number of steps, neuron, row order, type and kind of tail.
inline std::vector<Layer> layers() {
  std::vector<Layer> result;
  const auto all_neurons = neurons();
  unsigned turn = 0;
  for (const SpikeShape shape :
       {SpikeShape{1, 300, 70}, SpikeShape{2, 133, 64}, SpikeShape{3, 65, 33},
        SpikeShape{4, 70, 200}, SpikeShape{5, 20, 130}, SpikeShape{16, 67, 40},
        SpikeShape{4, 0, 64}, SpikeShape{4, 5, 0}}) {
    for (const std::uint32_t n : {8u, 136u, 256u}) {
      for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
        for (const bool tiles : {false, true}) {
          // Whatever is not a loop of its own takes turns of different lengths.
          Layer layer{shape, n, all_neurons[turn % all_neurons.size()]};
          constexpr std::array types = {DType::bf16, DType::f16, DType::s8, DType::s4};
          layer.weights = types[turn * 7 / 3 % types.size()];
          layer.tiles = tiles;
          layer.order = order;
          layer.out_order = turn % 5 < 2 ? RowOrder::time_major : RowOrder::token_major;
          layer.out_storage = turn % 4 == 1 ? DType::u8 : DType::bit;
          layer.scales = turn % 5 != 0;
          layer.bias = turn % 7 != 0;
          layer.before = turn % 2 == 0;
          layer.width = turn % 3 == 0 ? 0.0f : 0.3f;
          result.push_back(layer);
          ++turn;
        }
      }
    }
  }
  for (const LifParams& params : all_neurons) {
    for (const DType type : {DType::f16, DType::s8}) {
      result.push_back({{4, 70, 64}, 136, params, type});
      result.push_back({{6, 70, 64}, 136, params, type});
    }
    Layer trained{{4, 70, 64}, 136, params, DType::f16};
    trained.width = 0.3f;
    result.push_back(trained);
  }
  return result;
}

inline std::string describe(const Layer& layer) {
  return "T " + std::to_string(layer.shape.timesteps) + ", rows " +
         std::to_string(layer.shape.rows) + ", K " + std::to_string(layer.shape.k) + ", N " +
         std::to_string(layer.n) + ", " + std::string(to_string(layer.weights)) + ", " +
         std::string(to_string(layer.order)) + (layer.tiles ? " tiles" : "") + " to " +
         std::string(to_string(layer.out_order)) + " " + std::string(to_string(layer.out_storage));
}

}  // namespace spiketune::test
