#include "spiketune/autotune/verify.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "spiketune/kernels/reference.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune {
namespace {

TEST(RandomWeights, AreMultiplesOfOneSixtyFourthInEveryType) {
  const auto bytes = random_weights(DType::f32, 32, 16, 1);
  const auto half = random_weights(DType::f16, 32, 16, 1);
  const auto brain = random_weights(DType::bf16, 32, 16, 1);
  const auto* w = reinterpret_cast<const float*>(bytes.data());
  float least = 1;
  float largest = -1;
  for (int i = 0; i < 32 * 16; ++i) {
    EXPECT_EQ(w[i] * 64, std::round(w[i] * 64));
    EXPECT_EQ(w[i], to_float(reinterpret_cast<const Half*>(half.data())[i]));
    EXPECT_EQ(w[i], to_float(reinterpret_cast<const Bfloat16*>(brain.data())[i]));
    least = std::min(least, w[i]);
    largest = std::max(largest, w[i]);
  }
  EXPECT_GE(least, -1);
  EXPECT_LT(least, -0.9f);
  EXPECT_GT(largest, 0.9f);
  EXPECT_LE(largest, 1);
  EXPECT_EQ(bytes, random_weights(DType::f32, 32, 16, 1));
  EXPECT_NE(bytes, random_weights(DType::f32, 32, 16, 2));
}

TEST(Tolerance, IsZeroWhereSumsAreExact) {
  Problem problem;
  problem.k = 4096;
  EXPECT_EQ(tolerance(problem), 0);
  problem.value = ValueKind::graded2;
  EXPECT_EQ(tolerance(problem), 0);
  problem.k = 1u << 20;
  EXPECT_GT(tolerance(problem), 0);
  problem.k = 4096;
  problem.output = DType::f16;
  EXPECT_EQ(tolerance(problem), 1e-3);
  problem.output = DType::bf16;
  EXPECT_EQ(tolerance(problem), 1e-2);
}

TEST(Compare, FindsTheWorstElement) {
  const std::vector<double> reference{1, 100, -3, 0, 0, 2};
  std::vector<float> y(reference.begin(), reference.end());
  const OutputView output{y.data(), DType::f32, 2, 3, Space::host};
  EXPECT_EQ(compare(HostContext{}, output, reference.data()).worst, Comparison::none);

  y[1] = 110;  // a tenth of its size
  y[5] = 2.5;  // a quarter
  Comparison found = compare(HostContext{}, output, reference.data());
  EXPECT_EQ(found.worst, 5u);
  EXPECT_EQ(found.max_error, 10);
  EXPECT_DOUBLE_EQ(found.scaled_error, 0.25);
  EXPECT_EQ(describe(found, 3), "Y[1, 2] is 2.5, not 2");

  y[3] = std::numeric_limits<float>::quiet_NaN();
  found = compare(HostContext{}, output, reference.data());
  EXPECT_EQ(found.worst, 3u);
  EXPECT_TRUE(std::isinf(found.max_error));
}

TEST(FirstDifference, IsTheLeastElement) {
  for (const auto& [storage, kind] :
       {std::pair{DType::bit, ValueKind::binary}, std::pair{DType::u2, ValueKind::graded2},
        std::pair{DType::u8, ValueKind::graded2}, std::pair{DType::f16, ValueKind::graded}}) {
    test::Logical logical = test::random_spikes({2, 20, 37}, 0.5, kind, 3);
    const SpikeTensor a = test::store(logical, storage, kind, RowOrder::time_major);
    EXPECT_EQ(first_difference(HostContext{}, a.view(), a.view()), Comparison::none);
    for (const std::size_t at : {std::size_t{150}, std::size_t{900}}) {
      logical.values[at] = logical.values[at] == 0 ? 1.0f : 0.0f;
    }
    const SpikeTensor b = test::store(logical, storage, kind, RowOrder::time_major);
    EXPECT_EQ(first_difference(HostContext{}, a.view(), b.view()), 150u);
  }
}

TEST(FirstDifference, MinusZeroIsZero) {
  const std::vector<float> plus{0.0f, 1.0f};
  const std::vector<float> minus{-0.0f, 1.0f};
  const auto view = [](const std::vector<float>& values) {
    return SpikeView{values.data(),        {1, 1, 2},  DType::f32, ValueKind::binary,
                     RowOrder::time_major, Space::host};
  };
  EXPECT_EQ(first_difference(HostContext{}, view(plus), view(minus)), Comparison::none);
}

TEST(Reference, IsTheProductInAnyRowOrder) {
  const test::Logical logical = test::random_spikes({3, 5, 33}, 0.3, ValueKind::graded2, 4);
  const auto w = random_weights(DType::f16, 33, 7, 1);
  const auto* weights = reinterpret_cast<const Half*>(w.data());
  for (const RowOrder from : {RowOrder::time_major, RowOrder::token_major}) {
    for (const RowOrder to : {RowOrder::time_major, RowOrder::token_major}) {
      const SpikeTensor spikes = test::store(logical, DType::u8, ValueKind::graded2, from);
      std::vector<double> y(15 * 7, -1);
      reference_spmm(HostContext{}, spikes.view(), to, {w.data(), DType::f16, 33, 7, Space::host},
                     y.data());
      for (std::uint64_t row = 0; row < 15; ++row) {
        for (std::uint32_t j = 0; j < 7; ++j) {
          double sum = 0;
          for (std::uint32_t k = 0; k < 33; ++k) {
            sum += static_cast<double>(logical.at(row, k, to)) *
                   static_cast<double>(to_float(weights[k * 7 + j]));
          }
          ASSERT_EQ(y[row * 7 + j], sum);
        }
      }
    }
  }
}

}  // namespace
}  // namespace spiketune
