#include "spiketune/kernels/quantize.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

WeightView view_of(const std::vector<float>& values, std::uint32_t k, std::uint32_t n) {
  return {values.data(), DType::f32, k, n, Space::host};
}

int integer(const QuantisedWeights& weights, std::uint64_t i) {
  return load_integer(weights.view.data, weights.view.type, i);
}

std::vector<float> normal_weights(std::size_t count) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> w(count);
  for (float& value : w) value = normal(random);
  return w;
}

TEST(Quantize, TheLargestOfAColumnIsTheLargestInteger) {
  // Columns: one to -2; zeros; powers of two; small.
  const std::vector<float> w = {1,    0, 4,  1e-6f,  //
                                -2,   0, 2,  3e-6f,  //
                                0.5f, 0, -8, -7e-6f};
  const QuantisedWeights s8 = quantize(HostContext{2}, view_of(w, 3, 4), DType::s8);
  EXPECT_EQ(s8.view.scales[0], 2.0f / 127);
  EXPECT_EQ(s8.view.scales[1], 1.0f);
  EXPECT_EQ(integer(s8, 4), -127);
  EXPECT_EQ(integer(s8, 8), 32);  // 31.75
  EXPECT_EQ(integer(s8, 5), 0);
  EXPECT_EQ(integer(s8, 10), -127);
  const QuantisedWeights s4 = quantize(HostContext{1}, view_of(w, 3, 4), DType::s4);
  EXPECT_EQ(s4.view.bytes(), 6u);
  EXPECT_EQ(integer(s4, 3), 1);
  EXPECT_EQ(integer(s4, 7), 3);
  EXPECT_EQ(integer(s4, 11), -7);
  EXPECT_EQ(integer(s4, 8), 2);  // 1.75
}

TEST(Quantize, ErrorsAreThoseOfTheElements) {
  constexpr std::uint32_t k = 65;
  constexpr std::uint32_t n = 31;
  const std::vector<float> w = normal_weights(k * n);
  for (const DType type : {DType::s8, DType::s4}) {
    const QuantisedWeights quantised = quantize(HostContext{2}, view_of(w, k, n), type);
    std::vector<float> back(w.size());
    dequantize(HostContext{2}, quantised.view, back.data(), DType::f32);
    double squares = 0;
    double lost = 0;
    double largest = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double error = std::abs(static_cast<double>(w[i]) - back[i]);
      EXPECT_LE(error, 0.5001 * quantised.view.scales[i % n]);
      squares += static_cast<double>(w[i]) * w[i];
      lost += error * error;
      largest = std::max(largest, error);
    }
    EXPECT_NEAR(quantised.relative_error, std::sqrt(lost / squares), 1e-6);
    EXPECT_NEAR(quantised.largest_error, largest, 1e-6);
  }
}

TEST(Quantize, E4m3IsAsNearAsItsMantissaAllows) {
  constexpr std::uint32_t k = 65;
  constexpr std::uint32_t n = 31;
  const std::vector<float> w = normal_weights(k * n);
  const QuantisedWeights quantised = quantize(HostContext{2}, view_of(w, k, n), DType::e4m3);
  EXPECT_EQ(quantised.view.bytes(), w.size());
  std::vector<float> back(w.size());
  dequantize(HostContext{2}, quantised.view, back.data(), DType::f32);
  double squares = 0;
  double lost = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double error = std::abs(static_cast<double>(w[i]) - back[i]);
    // Half of the last bit of the mantissa, and of the smallest number.
    EXPECT_LE(error,
              std::max(std::abs(w[i]) / 16.0, 0x1p-10 * quantised.view.scales[i % n]) * 1.0001);
    squares += static_cast<double>(w[i]) * w[i];
    lost += error * error;
  }
  EXPECT_NEAR(quantised.relative_error, std::sqrt(lost / squares), 1e-6);
  EXPECT_GT(quantised.relative_error, 0.01);
}

TEST(Quantize, IntegersComeBackAsTheyAre) {
  for (const DType type : {DType::s8, DType::s4}) {
    std::vector<float> w = quantised_weights(9 * 7, type, 4);
    const float top = type == DType::s8 ? 127 : 7;
    for (float& value : w) value = std::max(value, -top);  // -128 and -8 are not used
    for (int column = 0; column < 7; ++column) w[column] = top;
    const QuantisedWeights quantised = quantize(HostContext{1}, view_of(w, 9, 7), type);
    EXPECT_EQ(quantised.relative_error, 0);
    std::vector<Half> back(w.size());
    dequantize(HostContext{1}, quantised.view, back.data(), DType::f16);
    for (std::size_t i = 0; i < w.size(); ++i) EXPECT_EQ(to_float(back[i]), w[i]);
  }
}

TEST(Quantize, RefusesWhatItCannot) {
  std::vector<float> w(12, 1);
  EXPECT_THROW(static_cast<void>(quantize(HostContext{1}, view_of(w, 3, 4), DType::f16)), Error);
  w[6] = std::numeric_limits<float>::infinity();
  try {
    static_cast<void>(quantize(HostContext{1}, view_of(w, 3, 4), DType::s8));
    FAIL() << "infinite weights were quantised";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_value);
    EXPECT_STREQ(error.what(), "quantize: column 2 of W has an element that is not finite");
  }
  w[6] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(static_cast<void>(quantize(HostContext{1}, view_of(w, 3, 4), DType::s4)), Error);
  const QuantisedWeights none = quantize(HostContext{1}, view_of({}, 0, 4), DType::s4);
  EXPECT_EQ(none.view.bytes(), 0u);
  EXPECT_EQ(none.relative_error, 0);
}

}  // namespace
}  // namespace spiketune::test
