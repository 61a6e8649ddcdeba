#include "spiketune/autotune/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace spiketune {
namespace {

TEST(Statistics, PercentilesInterpolate) {
  const std::vector<double> sorted{10, 20, 30, 40, 50};
  EXPECT_DOUBLE_EQ(percentile(sorted, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.5), 30);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.125), 15);
  EXPECT_DOUBLE_EQ(percentile(sorted, 1), 50);
  EXPECT_DOUBLE_EQ(percentile(sorted, 7), 50);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{3}, 0.95), 3);
  EXPECT_DOUBLE_EQ(percentile({}, 0.5), 0);
}

TEST(Statistics, OrderOfSamplesDoesNotMatter) {
  const Statistics summary = statistics(std::vector<double>{5, 1, 4, 2, 3});
  EXPECT_DOUBLE_EQ(summary.median, 3);
  EXPECT_DOUBLE_EQ(summary.p05, 1.2);
  EXPECT_DOUBLE_EQ(summary.p95, 4.8);
}

TEST(Statistics, NoiseIsTheStandardErrorOfTheMedian) {
  // Median 100, quartiles 99 and 101.
  const std::vector<double> samples{98, 99, 100, 101, 102, 99, 101};
  EXPECT_NEAR(relative_noise(samples), 1.2533 * 2 / 1.349 / std::sqrt(7.0) / 100, 1e-12);
}

TEST(Statistics, NoiseIgnoresOutliers) {
  std::vector<double> samples(20, 100.0);
  samples.push_back(1e6);
  EXPECT_DOUBLE_EQ(relative_noise(samples), 0);
}

TEST(Statistics, TooFewSamplesAreInfinitelyNoisy) {
  EXPECT_TRUE(std::isinf(relative_noise({})));
  EXPECT_TRUE(std::isinf(relative_noise(std::vector<double>{1})));
  EXPECT_TRUE(std::isinf(relative_noise(std::vector<double>{0, 0, 0})));
}

TEST(StopRule, QuietSamplesStopAtTheMinimum) {
  const StopRule rule{.min_samples = 10, .max_samples = 200, .noise = 0.01, .max_seconds = 10};
  const std::vector<double> quiet(10, 5.0);
  EXPECT_FALSE(rule.enough(std::span(quiet).first(9), 0));
  EXPECT_TRUE(rule.enough(quiet, 0));
}

TEST(StopRule, NoisySamplesGoOnToTheMaximum) {
  const StopRule rule{.min_samples = 10, .max_samples = 40, .noise = 0.01, .max_seconds = 10};
  std::vector<double> noisy;
  for (int i = 0; i < 40; ++i) noisy.push_back(i % 2 == 0 ? 1 : 3);
  EXPECT_FALSE(rule.enough(std::span(noisy).first(39), 0));
  EXPECT_TRUE(rule.enough(noisy, 0));
}

TEST(StopRule, TimeEndsItButNotWithoutSamples) {
  const StopRule rule{.min_samples = 10, .max_samples = 200, .noise = 0.01, .max_seconds = 1};
  const std::vector<double> samples{1, 9, 4};
  EXPECT_FALSE(rule.enough(std::span(samples).first(2), 2));
  EXPECT_TRUE(rule.enough(samples, 2));
  EXPECT_FALSE(rule.enough(samples, 0.5));
}

TEST(StopRule, ALowMaximumNeedsNoMore) {
  const StopRule rule{.min_samples = 1, .max_samples = 1, .noise = 0.01, .max_seconds = 1};
  EXPECT_TRUE(rule.enough(std::vector<double>{1}, 0));
}

}  // namespace
}  // namespace spiketune
