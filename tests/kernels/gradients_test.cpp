#include "spiketune/tests/kernels/gradients.hpp"

#include <gtest/gtest.h>

#include "spiketune/core/error.hpp"

namespace spiketune::test {
namespace {

const HostContext two_threads{2};

std::vector<TrainingShape> shapes() {
  return {{1, 1, 1}, {0, 5, 4}, {7, 0, 3}, {6, 5, 0}, {33, 70, 5}, {130, 64, 129}};
}

TEST(WeightGradient, EqualsTheDoubleLoop) {
  expect_weight_gradients(two_threads, shapes(), {0.0, 0.2, 1.0});
}

TEST(WeightGradient, MultipliesGradedSpikes) {
  const TrainingProblem problem(40, 37, 11, 0.3, DType::f32, ValueKind::graded2);
  const std::vector<double> expected = problem.weight_oracle();
  expect_weight_gradient<Bitmap>(two_threads, problem, expected);
  expect_weight_gradient<Csr>(two_threads, problem, expected);
  expect_weight_gradient<Csc>(two_threads, problem, expected);
}

TEST(WeightGradient, RefusesWhatDoesNotFit) {
  const TrainingProblem problem(8, 32, 4, 0.5, DType::f32);
  const SpikeTensor spikes = problem.spikes();
  const auto bitmap = encode_to_fit<Bitmap>(two_threads, spikes.view());
  std::vector<float> dw(32 * 4);
  const GradientView gradient{problem.gradient.data(), DType::f32, 8, 4, Space::host};
  const OutputView result{dw.data(), DType::f32, 32, 4, Space::host};
  const auto run = [&](const GradientView& dy, const OutputView& to) {
    weight_gradient(two_threads, *bitmap, dy, to, {});
  };
  EXPECT_NO_THROW(run(gradient, result));
  const auto with = [](auto view, auto&& change) {
    change(view);
    return view;
  };
  EXPECT_THROW(run(with(gradient, [](auto& v) { v.m = 7; }), result), Error);
  EXPECT_THROW(run(with(gradient, [](auto& v) { v.n = 3; }), result), Error);
  EXPECT_THROW(run(with(gradient, [](auto& v) { v.data = nullptr; }), result), Error);
  EXPECT_THROW(run(with(gradient, [](auto& v) { v.type = DType::s8; }), result), Error);
  EXPECT_THROW(run(with(gradient, [](auto& v) { v.space = Space::device; }), result), Error);
  EXPECT_THROW(run(gradient, with(result, [](auto& v) { v.m = 31; })), Error);
  EXPECT_THROW(run(gradient, with(result, [](auto& v) { v.type = DType::f16; })), Error);
  // dY of f16 needs room to become f32.
  EXPECT_THROW(run(with(gradient, [](auto& v) { v.type = DType::f16; }), result), Error);
}

TEST(SpikeGradient, EqualsTheDoubleLoopWhereTheMaskHasABit) {
  expect_spike_gradients(two_threads, shapes(), {0.0, 0.2, 1.0});
}

TEST(SpikeGradient, RefusesWhatDoesNotFit) {
  const TrainingProblem problem(8, 32, 4, 0.5, DType::f32);
  std::vector<float> ds(8 * 32);
  GradientView gradient{problem.gradient.data(), DType::f32, 8, 4, Space::host};
  WeightView weights{problem.weights.data(), DType::f32, 32, 4, Space::host};
  SurrogateView surrogate{static_cast<const std::uint32_t*>(problem.mask.view().data), nullptr,
                          DType::f32, Space::host};
  OutputView result{ds.data(), DType::f32, 8, 32, Space::host};
  const auto run = [&] { spike_gradient(two_threads, gradient, weights, surrogate, result); };
  const auto refuses = [&](auto& field, auto value) {
    const auto kept = field;
    field = value;
    EXPECT_THROW(run(), Error);
    field = kept;
  };
  EXPECT_NO_THROW(run());
  refuses(weights.n, 5u);
  refuses(weights.type, DType::f16);
  refuses(weights.data, nullptr);
  refuses(gradient.space, Space::device);
  refuses(surrogate.mask, nullptr);
  refuses(surrogate.space, Space::device);
  refuses(result.n, 31u);
  refuses(result.type, DType::f16);
  surrogate.values = problem.surrogate.data();
  refuses(surrogate.type, DType::u8);
}

}  // namespace
}  // namespace spiketune::test
