#include "spiketune/tests/kernels/spmm_lif.hpp"

#include <cmath>

#include "spiketune/core/error.hpp"

namespace spiketune::test {
namespace {

TEST(SpmmLif, FiresAsProductThenNeurons) {
  for (Layer layer : layers()) {
    for (const DType weights : {layer.weights, DType::f32}) {
      layer.weights = weights;
      const LayerData data(layer);
      Fired fired = data.run(HostContext{2});
      fired.near.clear();  // LeavesBitsNearTheThreshold
      ASSERT_EQ(fired, data.expected()) << describe(layer);
    }
  }
}

TEST(SpmmLif, TakesAnyNumberOfChannels) {
  for (const std::uint32_t n : {1u, 31u, 257u, 300u}) {
    const LayerData data({{3, 7, 50}, n, spikingjelly_lif()});
    EXPECT_EQ(data.run(HostContext{}), data.expected()) << n;
  }
}

/// Spikes of the steps [first, first + count) of a stream through one neuron whose currents are 1.
std::vector<std::uint8_t> stream(const Bitmap& bitmap, float* membrane, bool goes_on) {
  const float w = 1.0f;
  std::vector<std::uint8_t> out(bitmap.layout.m());
  spmm_lif(HostContext{}, bitmap, {&w, DType::f32, 1, 1}, {}, {0.5f, 1.0f, 1.5f},
           {goes_on ? membrane : nullptr, membrane},
           {out.data(), bitmap.layout.shape, DType::u8, ValueKind::binary});
  return out;
}

TEST(SpmmLif, GoesOnWhereItEnded) {
  const auto ones = [](std::uint32_t steps) {
    const SpikeTensor spikes = store({{steps, 1, 1}, std::vector<float>(steps, 1.0f)}, DType::bit,
                                     ValueKind::binary, RowOrder::time_major);
    return encode_to_fit<Bitmap>(HostContext{}, spikes.view());
  };
  float membrane = 0;
  const auto whole = stream(*ones(5), &membrane, false);
  EXPECT_EQ(whole, (std::vector<std::uint8_t>{0, 1, 0, 1, 0}));  // 1, 1.5, 1, 1.5, 1
  EXPECT_EQ(membrane, 1.0f);
  auto halves = stream(*ones(2), &membrane, false);
  for (const std::uint8_t spike : stream(*ones(3), &membrane, true)) halves.push_back(spike);
  EXPECT_EQ(halves, whole);
}

/// A neuron whose current is w in each step, in which a spike comes: its spikes and those steps
/// where it was near, of one bit each.
std::vector<std::uint8_t> near_of(const LifParams& params, float w, std::uint32_t steps) {
  const SpikeTensor spikes = store({{steps, 1, 1}, std::vector<float>(steps, 1.0f)}, DType::bit,
                                   ValueKind::binary, RowOrder::time_major);
  const auto bitmap = encode_to_fit<Bitmap>(HostContext{}, spikes.view());
  std::vector<std::uint32_t> out(steps), near(steps, 0xffffffffu);
  spmm_lif(HostContext{}, *bitmap, {&w, DType::f32, 1, 1}, {}, params, {},
           {out.data(), bitmap->layout.shape, DType::bit, ValueKind::binary}, {},
           {near.data(), 0.375f});
  return {near.begin(), near.end()};
}

TEST(SpmmLif, LeavesBitsNearTheThreshold) {
  using Bits = std::vector<std::uint8_t>;
  // Charges 0.75, 1.125 (fires), 0.75, 1.125; then 0.625, 0.9375, 1.09375 (fires), 0.625.
  EXPECT_EQ(near_of({0.5f, 1.0f, 1.0f}, 0.75f, 4), (Bits{1, 1, 1, 1}));
  EXPECT_EQ(near_of({0.5f, 1.0f, 1.0f}, 0.625f, 4), (Bits{0, 1, 1, 0}));
  EXPECT_EQ(near_of({0.5f, 1.0f, 1.0f}, 1.375f, 2), (Bits{0, 0}));  // nearer than, not as near as
  // 0.5, 0.875, 1.15625, and 0.5 + 0.8671875 - 1, the reset one step late.
  EXPECT_EQ(near_of(snntorch_leaky(0.75f), 0.5f, 4), (Bits{0, 1, 1, 0}));
}

TEST(SpmmLif, FiresIntoTheNextLayersBitmap) {
  const HostContext context;
  const Logical logical = random_spikes({4, 9, 50}, 0.3, ValueKind::binary, 1);
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  const auto first = encode_to_fit<Bitmap>(context, spikes.view());
  const auto w = integer_weights(50 * 40, 2);
  const EncodedLayout layout{{4, 9, 40}, RowOrder::token_major, ValueKind::binary, DType::bit};
  const Encoded<Bitmap> second(context, Bitmap::plan(layout, {}));
  const WeightView weights{w.data(), DType::f32, 50, 40};
  spmm_lif(context, *first, weights, {}, spikingjelly_lif(), {}, words_of(*second, Space::host));
  SpikeTensor bytes(context, layout.shape, DType::u8, ValueKind::binary, RowOrder::token_major);
  spmm_lif(context, *first, weights, {}, spikingjelly_lif(), {}, bytes.mutable_view());
  const auto encoded =
      encode_to_fit<Bitmap>(context, bytes.view(), {}, {RowOrder::token_major, 0.1, std::nullopt});
  EXPECT_GT(encoded->status->nnz, 0u);
  EXPECT_EQ(std::vector(second->words.data, second->words.data + second->words.size),
            std::vector(encoded->words.data, encoded->words.data + encoded->words.size));

  const Encoded<Bitmap> tiles(context, Bitmap::plan(layout, {true}));
  EXPECT_THROW(static_cast<void>(words_of(*tiles, Space::host)), Error);
}

TEST(SpmmLif, RefusesWhatDoesNotFit) {
  const HostContext context;
  const Logical logical = random_spikes({2, 3, 10}, 0.3, ValueKind::binary, 1);
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view());
  const std::vector<float> w(10 * 5, 1.0f);
  SpikeTensor out(context, {2, 3, 5}, DType::bit, ValueKind::binary);
  SpikeTensor other_steps(context, {3, 2, 5}, DType::bit, ValueKind::binary);
  SpikeTensor floats(context, {2, 3, 5}, DType::f16, ValueKind::binary);
  const auto refuses = [&](const WeightView& weights, const LifParams& params, SpikeTensor& to) {
    EXPECT_THROW(spmm_lif(context, *bitmap, weights, {}, params, {}, to.mutable_view()), Error);
  };
  const WeightView weights{w.data(), DType::f32, 10, 5};
  refuses({w.data(), DType::f32, 9, 5}, {}, out);
  refuses({w.data(), DType::f32, 10, 4}, {}, out);
  refuses({w.data(), DType::u8, 10, 5}, {}, out);
  refuses({nullptr, DType::f32, 10, 5}, {}, out);
  refuses({w.data(), DType::f32, 10, 5, Space::device}, {}, out);
  refuses(weights, {}, other_steps);
  refuses(weights, {}, floats);
  refuses(weights, {NAN}, out);
  const auto graded_bitmap = encode_to_fit<Bitmap>(
      context, store(logical, DType::u8, ValueKind::graded2, RowOrder::time_major).view());
  EXPECT_THROW(spmm_lif(context, *graded_bitmap, weights, {}, {}, {}, out.mutable_view()), Error);
}

}  // namespace
}  // namespace spiketune::test
