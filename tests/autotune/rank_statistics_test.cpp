#include "spiketune/autotune/rank_statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace spiketune {
namespace {

using Samples = std::vector<double>;

// Permeability of placentas: Hollander and Wolfe, example 4.1. R's wilcox.test(y, x, conf.int =
// TRUE) gives p = 0.2544, an estimate of -0.305 and the interval -0.76 to 0.15.
const Samples term{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
const Samples early{1.15, 0.88, 0.90, 0.74, 1.21};

TEST(MannWhitney, IsThatOfTheTextbook) {
  EXPECT_NEAR(mann_whitney_p(term, early), 0.2544122544122544, 1e-12);
  EXPECT_NEAR(mann_whitney_p(early, term), 0.2544122544122544, 1e-12);
}

TEST(MannWhitney, SharesTheRanksOfTies) {
  // 11 of the 126 ways to choose four of these nine are as unequal, counted one by one.
  EXPECT_NEAR(mann_whitney_p(Samples{1, 2, 2, 3}, Samples{2, 3, 4, 4, 5}), 11.0 / 126, 1e-12);
  EXPECT_DOUBLE_EQ(mann_whitney_p(Samples(10, 5.0), Samples(10, 5.0)), 1);
  EXPECT_DOUBLE_EQ(mann_whitney_p(Samples(50, 5.0), Samples(50, 5.0)), 1);
  EXPECT_DOUBLE_EQ(mann_whitney_p({}, Samples{1}), 1);
}

TEST(MannWhitney, IsNormalForManySamples) {
  Samples a(25);
  std::iota(a.begin(), a.end(), 1.0);
  Samples b = a;
  for (double& sample : b) sample += 7;
  EXPECT_NEAR(mann_whitney_p(a, b), 0.003594836655119152, 1e-12);  // scipy.stats.mannwhitneyu
}

TEST(Shift, IsThatOfTheTextbook) {
  const Shift found = shift(term, early);
  EXPECT_NEAR(found.estimate, -0.305, 1e-12);
  EXPECT_NEAR(found.low, -0.76, 1e-12);
  EXPECT_NEAR(found.high, 0.15, 1e-12);
  EXPECT_TRUE(found.enough);
}

TEST(Shift, ThreeSamplesOfEachAreTooFew) {
  const Shift found = shift(Samples{1, 2, 3}, Samples{11, 12, 14});
  EXPECT_FALSE(found.enough);
  EXPECT_DOUBLE_EQ(found.low, 8);
  EXPECT_DOUBLE_EQ(found.high, 13);
  EXPECT_TRUE(shift(Samples{1, 2, 3, 4}, Samples{1, 2, 3, 4}).enough);
  EXPECT_TRUE(shift(Samples{1, 2, 3}, Samples{1, 2, 3, 4, 5}).enough);
}

TEST(Shift, IntervalsHoldTheTruthNineteenTimesOutOfTwenty) {
  std::mt19937 random(3);
  std::lognormal_distribution<double> skewed(0, 0.5);
  for (const std::size_t count : {5u, 11u, 40u}) {
    int held = 0;
    for (int trial = 0; trial < 2000; ++trial) {
      Samples a;
      Samples b;
      for (std::size_t i = 0; i < count; ++i) a.push_back(skewed(random));
      for (std::size_t i = 0; i < count; ++i) b.push_back(skewed(random) + 0.7);
      const Shift found = shift(a, b);
      held += found.low <= 0.7 && 0.7 <= found.high;
    }
    EXPECT_GT(held, 1880) << count;  // 1900 expected or more, less four standard deviations
    EXPECT_LT(held, 1985) << count;
  }
}

TEST(Shift, LongSeriesAreThinned) {
  Samples a(100000);
  std::iota(a.begin(), a.end(), 0.0);
  Samples b = a;
  for (double& sample : b) sample += 500;
  EXPECT_NEAR(shift(a, b).estimate, 500, 200);
}

TEST(Holm, StepsDown) {
  const std::vector<double> adjusted = holm(Samples{0.01, 0.04, 0.03, 0.005});
  EXPECT_DOUBLE_EQ(adjusted[3], 0.02);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.03);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[1], 0.06);  // never below a smaller one's
  EXPECT_DOUBLE_EQ(holm(Samples{0.9, 0.8})[0], 1);
  EXPECT_TRUE(holm({}).empty());
}

}  // namespace
}  // namespace spiketune
