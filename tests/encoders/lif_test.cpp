#include "spiketune/tests/encoders/lif.hpp"

#include <limits>

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/encoders/cvs.hpp"
#include "spiketune/encoders/two_four.hpp"

namespace spiketune::test {
namespace {

/// Spikes and the last membrane of one neuron.
struct Outcome {
  std::vector<int> spikes;
  float membrane;
};

Outcome run(const LifParams& params, std::vector<float> currents) {
  const SpikeShape shape{static_cast<std::uint32_t>(currents.size()), 1, 1};
  std::vector<std::uint8_t> spikes(currents.size(), 0xff);
  Outcome result{{}, -1.0f};
  lif(HostContext{}, {currents.data(), shape, DType::f32, Space::host}, params,
      {nullptr, &result.membrane},
      {spikes.data(), shape, DType::u8, ValueKind::binary, RowOrder::time_major, Space::host});
  result.spikes.assign(spikes.begin(), spikes.end());
  return result;
}

using Spikes = std::vector<int>;

// SpikingJelly's documentation: tau = 2, h = v + (x - v) / 2, spikes at h >= 1.
TEST(Lif, HardResetByHand) {
  const Outcome steps = run(spikingjelly_lif(), {1.0f, 1.5f, 0.5f, 2.0f, 3.0f});
  // h: 0.5, 1 -> 0, 0.25, 1.125 -> 0, 1.5 -> 0
  EXPECT_EQ(steps.spikes, (Spikes{0, 1, 0, 1, 1}));
  EXPECT_EQ(steps.membrane, 0.0f);
}

TEST(Lif, SoftResetKeepsTheRest) {
  const Outcome steps = run(spikingjelly_lif(2.0f, true, 1.0f, 0.0f, true), {4.0f, 2.0f, 0.0f});
  // h: 2 -> 1, 1.5 -> 0.5, 0.25
  EXPECT_EQ(steps.spikes, (Spikes{1, 1, 0}));
  EXPECT_EQ(steps.membrane, 0.25f);
}

TEST(Lif, RestsAtTheResetValue) {
  const Outcome steps = run(spikingjelly_lif(2.0f, true, 1.0f, -0.5f), {0.0f, 0.5f, 3.0f});
  // h = v + (x - (v + 0.5)) / 2, from -0.5: -0.5, -0.25, 1.125 -> -0.5
  EXPECT_EQ(steps.spikes, (Spikes{0, 0, 1}));
  EXPECT_EQ(steps.membrane, -0.5f);
}

// snnTorch resets at the step after the spike, and needs more than the threshold.
TEST(Lif, SnntorchResetsAStepLater) {
  const Outcome subtract = run(snntorch_leaky(0.5f), {1.0f, 1.0f, 1.0f, 0.0f});
  // mem: 1 (not above), 1.5, 0.75 + 1 - 1 = 0.75, 0.375
  EXPECT_EQ(subtract.spikes, (Spikes{0, 1, 0, 0}));
  EXPECT_EQ(subtract.membrane, 0.375f);
  const Outcome zero = run(snntorch_leaky(0.5f, 1.0f, true), {2.0f, 0.5f, 0.5f});
  // mem: 2, 0.5 (what was left of 2 is lost), 0.25 + 0.5
  EXPECT_EQ(zero.spikes, (Spikes{1, 0, 0}));
  EXPECT_EQ(zero.membrane, 0.75f);
}

TEST(Lif, FiresAsTheFormulasSay) {
  for (const LifParams& params : neurons()) {
    for (const SpikeShape shape :
         {SpikeShape{5, 3, 70}, SpikeShape{1, 2, 300}, SpikeShape{9, 1, 1}}) {
      const auto currents = random_currents(shape, shape.k);
      for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
        const auto stored = to_type(currents, type);
        for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
          SpikeTensor spikes(HostContext{}, shape, DType::bit, ValueKind::binary, order);
          fill(HostContext{}, spikes.mutable_view().data, 0xff, spikes.view().bytes());
          std::vector<float> after(shape.rows * shape.k);
          lif(HostContext{2}, {stored.data(), shape, type, Space::host}, params,
              {nullptr, after.data()}, spikes.mutable_view());
          const RowMap map{shape.timesteps, shape.rows, order, RowOrder::time_major};
          for (std::uint64_t row = 0; row < shape.rows; ++row) {
            for (std::uint32_t n = 0; n < shape.k; ++n) {
              std::vector<double> drive;
              for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
                drive.push_back(currents[(t * shape.rows + row) * shape.k + n]);
              }
              double membrane = params.convention == LifParams::Convention::spikingjelly &&
                                        params.reset == LifParams::Reset::hard
                                    ? params.reset_value
                                    : 0.0;
              const auto expected = fire_slowly(params, drive, membrane);
              for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
                ASSERT_EQ(load_spike(spikes.view().data, DType::bit, shape.k,
                                     map.source(t * shape.rows + row), n),
                          static_cast<float>(expected[t]))
                    << "t " << t << " row " << row << " n " << n;
              }
              ASSERT_NEAR(after[row * shape.k + n], membrane, 1e-5);
            }
          }
        }
      }
    }
  }
}

TEST(Lif, GoesOnWhereItStopped) {
  const SpikeShape whole{6, 4, 37};
  const SpikeShape half{3, 4, 37};
  const auto currents = random_currents(whole, 9);
  const LifParams params = snntorch_leaky(0.75f);
  std::vector<std::uint8_t> at_once(whole.elements());
  std::vector<std::uint8_t> in_parts(whole.elements());
  std::vector<float> last(4 * 37);
  std::vector<float> state(4 * 37);
  const auto view = [](std::uint8_t* data, const SpikeShape& shape) {
    return MutableSpikeView{data,       shape, DType::u8, ValueKind::binary, RowOrder::time_major,
                            Space::host};
  };
  lif(HostContext{}, {currents.data(), whole, DType::f32, Space::host}, params,
      {nullptr, last.data()}, view(at_once.data(), whole));
  lif(HostContext{}, {currents.data(), half, DType::f32, Space::host}, params,
      {nullptr, state.data()}, view(in_parts.data(), half));
  lif(HostContext{}, {currents.data() + half.elements(), half, DType::f32, Space::host}, params,
      {state.data(), state.data()}, view(in_parts.data() + half.elements(), half));
  EXPECT_EQ(at_once, in_parts);
  EXPECT_EQ(last, state);
}

TEST(Lif, NanNeverSpikesAndStays) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Outcome steps = run(spikingjelly_lif(), {nan, 100.0f});
  EXPECT_EQ(steps.spikes, (Spikes{0, 0}));
  EXPECT_TRUE(std::isnan(steps.membrane));
}

template <class Format>
void expect_encoded(const typename Format::Params& params) {
  const HostContext context;
  const SpikeShape shape{4, 21, 100};
  const auto currents = random_currents(shape, 3);
  const CurrentView view{currents.data(), shape, DType::f32, Space::host};
  const LifParams neuron = spikingjelly_lif();
  SpikeTensor spikes(context, shape, DType::u8, ValueKind::binary);
  lif(context, view, neuron, {}, spikes.mutable_view());
  const EncodedLayout layout{shape, RowOrder::token_major, ValueKind::binary, DType::bit};
  Encoded<Format> encoded(context,
                          Format::plan(layout, params, Format::max_capacity(layout, params)));
  const Buffer workspace = allocate(context, lif_encode_workspace_bytes(context, view, *encoded));
  lif_encode(context, view, neuron, {}, *encoded, workspace.workspace());
  SpikeTensor back(context, shape, DType::u8, ValueKind::binary);
  decode(context, *encoded, back.mutable_view());
  EXPECT_EQ(std::memcmp(back.view().data, spikes.view().data, spikes.view().bytes()), 0)
      << Format::name;
  EXPECT_GT(encoded->status->nnz, 0u);
}

TEST(Lif, FiresIntoFormats) {
  expect_encoded<Csr>({});
  expect_encoded<Cvs>({});
  expect_encoded<TwoFour>({});
  expect_encoded<Bsr>({});
}

TEST(Lif, RefusesMisuse) {
  const SpikeShape shape{2, 3, 4};
  std::vector<float> currents(shape.elements());
  std::vector<std::uint8_t> spikes(shape.elements());
  const CurrentView good{currents.data(), shape, DType::f32, Space::host};
  const MutableSpikeView target{spikes.data(),        shape,      DType::u8, ValueKind::binary,
                                RowOrder::time_major, Space::host};
  const auto refuses = [](const CurrentView& view, const LifParams& params,
                          const MutableSpikeView& into) {
    try {
      lif(HostContext{}, view, params, {}, into);
    } catch (const Error& error) {
      return error.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  EXPECT_FALSE(refuses(good, {}, target));
  CurrentView bad = good;
  bad.type = DType::u8;
  EXPECT_TRUE(refuses(bad, {}, target));
  bad = good;
  bad.data = nullptr;
  EXPECT_TRUE(refuses(bad, {}, target));
  bad = good;
  bad.shape.k = 5;
  EXPECT_TRUE(refuses(bad, {}, target));
  bad = good;
  bad.space = Space::device;
  EXPECT_TRUE(refuses(bad, {}, target));
  MutableSpikeView narrow = target;
  narrow.storage = DType::u2;
  EXPECT_TRUE(refuses(good, {}, narrow));
  LifParams endless;
  endless.threshold = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(refuses(good, endless, target));
}

}  // namespace
}  // namespace spiketune::test
