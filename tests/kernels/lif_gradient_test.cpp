#include "spiketune/tests/kernels/lif_gradient.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune::test {
namespace {

/// One neuron with the gradient 1 in each of its steps and the width 1/2: bits of a step each.
std::vector<float> back(const LifParams& params, std::vector<std::uint32_t> fired,
                        std::vector<std::uint32_t> near, float factor = 1) {
  const auto steps = static_cast<std::uint32_t>(fired.size());
  std::vector<float> gradient(steps, 1.0f);
  const SpikeShape shape{steps, 1, 1};
  lif_gradient(HostContext{}, {fired.data(), shape, DType::bit, ValueKind::binary},
               {near.data(), 0.5f}, params, {gradient.data(), shape, DType::f32, Space::host},
               factor, gradient.data());
  return gradient;
}

TEST(LifGradient, WalksBack) {
  using Values = std::vector<float>;
  LifParams params{0.5f, 0.25f};
  // dh = 1, then 0.5, 0.25 of what follows; the first of four is near as well.
  EXPECT_EQ(back(params, {0, 0, 0, 0}, {1, 0, 0, 1}), (Values{0.28125f, 0.0625f, 0.125f, 0.25f}));
  EXPECT_EQ(back(params, {0, 0, 0, 0}, {1, 0, 0, 1}, 2), (Values{0.5625f, 0.125f, 0.25f, 0.5f}));
  // A hard reset hides what follows, a soft one does not.
  EXPECT_EQ(back(params, {0, 1, 0, 0}, {0, 0, 0, 1}), (Values{0, 0, 0.125f, 0.25f}));
  params.reset = LifParams::Reset::soft;
  EXPECT_EQ(back(params, {0, 1, 0, 0}, {0, 0, 0, 1}), (Values{0.03125f, 0.0625f, 0.125f, 0.25f}));
  // snnTorch's hard reset leaves the membrane out in the step after the spike.
  params = snntorch_leaky(0.5f, 1.0f, true);
  EXPECT_EQ(back(params, {0, 1, 0, 0}, {0, 0, 0, 1}), (Values{0, 0, 0.5f, 1}));
  EXPECT_EQ(back(params, {0, 0, 1, 0}, {0, 0, 1, 1}), (Values{0.25f, 0.5f, 1, 1}));
}

TEST(LifGradient, RefusesWhatDoesNotFit) {
  std::vector<std::uint32_t> words(6);
  std::vector<float> gradient(6);
  const SpikeShape shape{2, 3, 1};
  const SpikeView bits{words.data(), shape, DType::bit, ValueKind::binary};
  const CurrentView view{gradient.data(), shape, DType::f32, Space::host};
  const auto refuses = [&](const SpikeView& spikes, const LifSurrogate& surrogate,
                           const CurrentView& given, void* to) {
    EXPECT_THROW(lif_gradient(HostContext{}, spikes, surrogate, {}, given, 1, to), Error);
  };
  refuses(bits, {words.data(), 0.0f}, view, gradient.data());
  refuses(bits, {nullptr, 0.5f}, view, gradient.data());
  refuses(bits, {words.data(), 0.5f}, view, nullptr);
  refuses(bits, {words.data(), 0.5f}, {gradient.data(), {3, 2, 1}, DType::f32, Space::host},
          gradient.data());
  SpikeView token_major = bits;
  token_major.row_order = RowOrder::token_major;
  refuses(token_major, {words.data(), 0.5f}, view, gradient.data());
}

}  // namespace
}  // namespace spiketune::test
