#include "spiketune/autotune/measure.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace spiketune {
namespace {

/// Gives the samples it was told to, and writes down when it was asked.
class FakeTrial final : public Trial {
 public:
  FakeTrial(char name, std::string& order, double value)
      : name_(name), order_(order), value_(value) {}
  void sample(unsigned count, std::vector<double>& samples) override {
    order_ += name_;
    samples.insert(samples.end(), count, value_);
  }

 private:
  char name_;
  std::string& order_;
  double value_;
};

class ThrowingTrial final : public Trial {
 public:
  void sample(unsigned, std::vector<double>&) override { throw std::runtime_error("broken"); }
};

Series fake(char name, std::string& order, std::size_t min_samples) {
  Series series;
  series.trial = std::make_unique<FakeTrial>(name, order, 1.0);
  series.rule.min_samples = min_samples;
  series.rule.max_seconds = 100;
  return series;
}

const auto never = [] { return false; };
const auto nothing = [] {};
const auto silently = [](std::size_t) {};

TEST(MeasureInterleaved, TakesTurns) {
  std::string order;
  Series a = fake('a', order, 11);
  Series b = fake('b', order, 6);
  Series* both[] = {&a, &b};
  int rounds = 0;
  std::string announced;
  measure_interleaved(
      both, never, [&](std::size_t i) { announced += i == 0 ? 'a' : 'b'; }, [&] { ++rounds; });
  EXPECT_EQ(announced, order);
  // One sample each to begin with, then five at a time; b has enough before a.
  EXPECT_EQ(order, "ababa");
  EXPECT_EQ(a.samples.size(), 11u);
  EXPECT_EQ(b.samples.size(), 6u);
  EXPECT_EQ(rounds, 3);
}

TEST(MeasureInterleaved, AFailureEndsOnlyItsOwnSeries) {
  std::string order;
  Series good = fake('a', order, 3);
  Series bad;
  bad.trial = std::make_unique<ThrowingTrial>();
  Series* both[] = {&bad, &good};
  measure_interleaved(both, never, silently, nothing);
  EXPECT_EQ(bad.failure, "broken");
  EXPECT_TRUE(good.failure.empty());
  EXPECT_GE(good.samples.size(), 3u);
}

TEST(MeasureInterleaved, AnInterruptEndsItBetweenBatches) {
  std::string order;
  Series a = fake('a', order, 100);
  Series* one[] = {&a};
  int asked = 0;
  measure_interleaved(
      one, [&] { return ++asked > 2; }, silently, nothing);
  EXPECT_EQ(order, "aa");
}

TEST(MeasureInterleaved, NeverTakesMoreThanTheMaximum) {
  std::string order;
  Series a = fake('a', order, 100);
  a.rule.max_samples = 8;
  Series* one[] = {&a};
  measure_interleaved(one, never, silently, nothing);
  EXPECT_EQ(a.samples.size(), 8u);
}

TEST(HostMeter, TimesTheWorkAndOnlyTheWork) {
  const auto meter = make_meter(HostContext{1});
  for (const TimingMode mode : {TimingMode::cold, TimingMode::hot}) {
    int calls = 0;
    const auto trial = meter->prepare({[&] {
                                         ++calls;
                                         std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                       },
                                       false},
                                      mode);
    std::vector<double> samples;
    trial->sample(3, samples);
    ASSERT_EQ(samples.size(), 3u) << to_string(mode);
    EXPECT_GE(calls, 3);
    // A lower bound only: machines that run tests are busy.
    for (const double sample : samples) EXPECT_GE(sample, 2000);
  }
}

TEST(HostMeter, MeasuresTheMachine) {
  const auto meter = make_meter(HostContext{});
  EXPECT_GT(meter->copy_gbps(), 0.01);
  EXPECT_LT(meter->overhead_us(), 1000);
  EXPECT_FALSE(meter->clocks().sm_mhz.has_value());
}

}  // namespace
}  // namespace spiketune
