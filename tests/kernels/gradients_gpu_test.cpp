#include "spiketune/tests/kernels/gradients.hpp"

#include <gtest/gtest.h>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::test {
namespace {

/// Ragged in all directions; some with rows that TMA can copy, some with several tiles and parts.
std::vector<TrainingShape> shapes() {
  if (small_tests()) {
    return {{1, 1, 1}, {0, 5, 8}, {7, 0, 8}, {45, 70, 5}, {300, 72, 24}};
  }
  return {{1, 1, 1},      {0, 5, 8},        {7, 0, 8},       {45, 70, 5},     {300, 72, 24},
          {257, 33, 136}, {1000, 264, 320}, {70, 2048, 600}, {2049, 520, 776}};
}

TEST(WeightGradientOnGpu, EqualsTheDoubleLoop) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  expect_weight_gradients(stream.context(), shapes(), {0.0, 0.05, 0.3, 1.0});
}

TEST(WeightGradientOnGpu, RefusesGradedSpikes) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  const TrainingProblem problem(40, 37, 8, 0.3, DType::f16, ValueKind::graded2);
  EXPECT_THROW(expect_weight_gradient<Csr>(stream.context(), problem, problem.weight_oracle()),
               Error);
}

TEST(SpikeGradientOnGpu, EqualsTheDoubleLoopWhereTheMaskHasABit) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  // Without a bit, with some tiles that have none, and with all.
  expect_spike_gradients(stream.context(), shapes(), {0.0, 0.0001, 0.3, 1.0});
}

}  // namespace
}  // namespace spiketune::test
