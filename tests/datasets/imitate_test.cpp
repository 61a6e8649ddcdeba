#include "spiketune/datasets/imitate.hpp"

#include <gtest/gtest.h>

#include <string>

namespace spiketune {
namespace {

SpikeStatistics look(const PatternSpec& spec, const SpikeShape& shape) {
  SpikeTensor spikes(HostContext{}, shape, DType::u8, ValueKind::binary, RowOrder::time_major);
  generate(HostContext{}, spec, spikes.mutable_view());
  return inspect(HostContext{}, spikes.view());
}

PatternSpec layer(double density, double sigma, double silent_share, double silent_neurons,
                  double correlation, std::uint64_t seed) {
  PatternSpec spec;
  spec.pattern = Pattern::layer;
  spec.density = density;
  spec.sigma = sigma;
  spec.silent_share = silent_share;
  spec.silent_neurons = silent_neurons;
  spec.correlation = correlation;
  spec.seed = seed;
  return spec;
}

/// What is imitated agrees.
void expect_alike(const SpikeStatistics& a, const SpikeStatistics& b) {
  EXPECT_NEAR(a.density, b.density, 0.03 * a.density);
  EXPECT_NEAR(a.silent_neurons, b.silent_neurons, 0.02);
  EXPECT_NEAR(a.silent_channels, b.silent_channels, 0.02);
  EXPECT_NEAR(a.channel_deviation, b.channel_deviation, 0.1 * a.channel_deviation);
  ASSERT_EQ(a.persistence.has_value(), b.persistence.has_value());
  EXPECT_NEAR(a.persistence.value_or(0), b.persistence.value_or(0), 0.02);
}

TEST(Imitate, GivesLayersBackAsTheyWere) {
  const SpikeShape shape{16, 512, 256};
  for (const PatternSpec& spec :
       {layer(0.05, 0.5, 0, 0, 0, 3), layer(0.16, 0.7, 0, 0.6, 0.3, 4),
        layer(0.02, 1.0, 0.25, 0.3, 0.7, 5), layer(0.5, 0.2, 0.1, 0.1, 0.1, 6)}) {
    SCOPED_TRACE(std::to_string(spec.density));
    const SpikeStatistics found = look(spec, shape);
    PatternSpec imitation = imitate(found, shape);
    EXPECT_NEAR(imitation.sigma, spec.sigma, 0.15 + 0.1 * spec.sigma);
    EXPECT_NEAR(imitation.silent_share, spec.silent_share, 0.02);
    EXPECT_NEAR(imitation.silent_neurons, spec.silent_neurons, 0.05);
    EXPECT_NEAR(imitation.correlation, spec.correlation, 0.05);
    expect_alike(found, look(imitation, shape));
  }
}

TEST(Imitate, OtherGeneratorsTooWhereTheirStructureIsOneOfRates) {
  const SpikeShape shape{8, 512, 320};
  PatternSpec temporal;
  temporal.pattern = Pattern::temporal;
  temporal.density = 0.1;
  temporal.persistence = 0.7;
  PatternSpec silent;
  silent.pattern = Pattern::silent;
  silent.density = 0.05;
  silent.silent_share = 0.4;
  for (const PatternSpec& spec : {PatternSpec{}, temporal, silent}) {
    SCOPED_TRACE(std::string(to_string(spec.pattern)));
    const SpikeStatistics found = look(spec, shape);
    SpikeStatistics again = look(imitate(found, shape), shape);
    // Channels that are all alike differ by chance alone, and the more the fewer rows there are.
    EXPECT_NEAR(again.channel_deviation, found.channel_deviation, 0.005);
    again.channel_deviation = found.channel_deviation;
    expect_alike(found, again);
  }
}

TEST(Imitate, WhatCannotBeToldApartStaysInBounds) {
  for (const SpikeShape shape : {SpikeShape{1, 64, 128}, SpikeShape{4, 1, 512},
                                 SpikeShape{16, 3, 40}, SpikeShape{2, 9, 1}}) {
    for (const double density : {0.0, 0.02, 0.4, 0.97, 1.0}) {
      PatternSpec spec;
      spec.density = density;
      const SpikeStatistics found = look(spec, shape);
      const PatternSpec imitation = imitate(found, shape);
      EXPECT_NO_THROW(check(imitation, shape));
      EXPECT_DOUBLE_EQ(imitation.density, found.density);
      EXPECT_TRUE(shape.timesteps > 1 || imitation.silent_neurons == 0);
      EXPECT_TRUE(shape.rows >= 8 || imitation.silent_share == 0);
    }
  }
  EXPECT_EQ(imitate(look({}, {2, 0, 8}), {2, 0, 8}).density, 0);
}

}  // namespace
}  // namespace spiketune
