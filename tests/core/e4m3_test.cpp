#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "spiketune/core/half.hpp"

namespace spiketune::test {
namespace {

/// What the bits stand for, by their definition.
double value_of(unsigned bits) {
  const unsigned exponent = bits >> 3 & 15u;
  const double mantissa = (bits & 7u) / 8.0;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -6)
                                         : std::ldexp(1 + mantissa, static_cast<int>(exponent) - 7);
  return (bits & 0x80u) != 0 ? -magnitude : magnitude;
}

TEST(E4m3, EveryByteIsItsValueAndComesBack) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const E4m3 number{static_cast<std::uint8_t>(bits)};
    if ((bits & 0x7fu) == 0x7fu) {
      EXPECT_TRUE(std::isnan(to_float(number)));
    } else {
      EXPECT_EQ(to_float(number), value_of(bits));
      EXPECT_EQ(to_e4m3(to_float(number)).bits, bits);
    }
  }
}

TEST(E4m3, RoundsToTheNearestAndHalvesToEven) {
  for (unsigned bits = 0; bits < 0x7e; ++bits) {
    const double low = value_of(bits);
    const double high = value_of(bits + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    for (const float sign : {1.0f, -1.0f}) {
      const unsigned top = sign < 0 ? 0x80u : 0u;
      EXPECT_EQ(to_e4m3(sign * middle).bits, even | top) << bits;
      EXPECT_EQ(to_e4m3(sign * std::nextafter(middle, 0.0f)).bits, bits | top) << bits;
      EXPECT_EQ(to_e4m3(sign * std::nextafter(middle, 1e9f)).bits, (bits + 1) | top) << bits;
    }
  }
}

TEST(E4m3, WhatIsTooLargeIsTheLargest) {
  EXPECT_EQ(to_float(to_e4m3(449.0f)), 448.0f);
  EXPECT_EQ(to_float(to_e4m3(-1e30f)), -448.0f);
  EXPECT_EQ(to_float(to_e4m3(std::numeric_limits<float>::infinity())), 448.0f);
  EXPECT_TRUE(std::isnan(to_float(to_e4m3(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace spiketune::test
