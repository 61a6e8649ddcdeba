#include "spiketune/datasets/generate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "spiketune/datasets/inspect.hpp"
#include "spiketune/datasets/random.hpp"
#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

constexpr Pattern all_patterns[] = {
    Pattern::bernoulli, Pattern::channel_rates, Pattern::temporal,       Pattern::silent,
    Pattern::block,     Pattern::column_vector, Pattern::power_law_rows, Pattern::layer};

SpikeTensor make(const PatternSpec& spec, SpikeShape shape, DType storage = DType::u8,
                 ValueKind kind = ValueKind::binary, RowOrder order = RowOrder::time_major,
                 int threads = 0) {
  SpikeTensor tensor(HostContext{}, shape, storage, kind, order);
  const MutableSpikeView view = tensor.mutable_view();
  fill(HostContext{}, view.data, 0xff, view.bytes());  // everything must be written over
  generate(HostContext{threads}, spec, view);
  return tensor;
}

PatternSpec spec_of(Pattern pattern, double density, std::uint64_t seed = 1) {
  PatternSpec spec;
  spec.pattern = pattern;
  spec.density = density;
  spec.seed = seed;
  return spec;
}

std::uint64_t count(const std::vector<float>& values) {
  std::uint64_t result = 0;
  for (const float value : values) result += value != 0;
  return result;
}

/// Whether `found` of `trials` is within six standard deviations of the mean, trials being drawn
/// `together` at a time.
void expect_share(std::uint64_t found, std::uint64_t trials, double probability,
                  double together = 1) {
  const auto n = static_cast<double>(trials);
  const double deviation = std::sqrt(n * probability * (1 - probability) * together);
  EXPECT_NEAR(static_cast<double>(found), n * probability, 6 * deviation + 1e-9);
}

TEST(Random, IsSplitMix64) {
  // The first outputs of the reference implementation for seed 1234567.
  RandomStream stream;
  stream.key = 1234567;
  EXPECT_EQ(stream.bits(0), 6457827717110365317ull);
  EXPECT_EQ(stream.bits(1), 3203168211198807973ull);
  EXPECT_EQ(stream.bits(2), 9817491932198370423ull);
  EXPECT_TRUE(stream.below(probability_threshold(1.0), 3));
  EXPECT_FALSE(stream.below(probability_threshold(0.0), 3));
}

TEST(Generate, NamesRoundTrip) {
  for (const Pattern pattern : all_patterns) EXPECT_EQ(parse_pattern(to_string(pattern)), pattern);
  EXPECT_EQ(error_of([] { static_cast<void>(parse_pattern("poisson")); }), ErrorCode::parse);
}

// Pins the sequence: a change of any draw makes recorded sweeps incomparable.
TEST(Generate, IsTheSameEverywhereAndAlways) {
  const SpikeTensor spikes =
      make(spec_of(Pattern::bernoulli, 0.25, 42), {1, 4, 32}, DType::bit, ValueKind::binary);
  const auto* words = static_cast<const std::uint32_t*>(spikes.view().data);
  EXPECT_EQ(std::vector<std::uint32_t>(words, words + 4),
            (std::vector<std::uint32_t>{318784144u, 3057656112u, 2149744776u, 839038688u}));
}

TEST(Generate, StorageOrderAndThreadsDoNotMatter) {
  for (const Pattern pattern : all_patterns) {
    PatternSpec spec = spec_of(pattern, 0.2, 9);
    spec.silent_share = 0.4;  // of K = 1: none
    for (const std::uint32_t k : {1u, 33u, 47u, 64u, 81u}) {
      const SpikeShape shape{3, 17, k};
      const std::vector<float> expected = elements(make(spec, shape).view());
      for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
        for (const DType storage :
             {DType::bit, DType::u2, DType::u8, DType::f16, DType::bf16, DType::f32}) {
          const SpikeTensor other = make(spec, shape, storage, ValueKind::binary, order, 3);
          EXPECT_EQ(elements(other.view()), expected)
              << to_string(pattern) << " " << to_string(storage) << " " << k;
        }
      }
      const std::vector<float> graded2 =
          elements(make(spec, shape, DType::u2, ValueKind::graded2).view());
      EXPECT_EQ(elements(make(spec, shape, DType::u8, ValueKind::graded2).view()), graded2);
      const std::vector<float> graded =
          elements(make(spec, shape, DType::f32, ValueKind::graded).view());
      EXPECT_EQ(elements(make(spec, shape, DType::f16, ValueKind::graded).view()), graded);
      EXPECT_EQ(
          elements(make(spec, shape, DType::bf16, ValueKind::graded, RowOrder::token_major).view()),
          graded);
      for (std::size_t i = 0; i < expected.size(); ++i) {  // values never change the pattern
        ASSERT_EQ(graded2[i] != 0, expected[i] != 0);
        ASSERT_EQ(graded[i] != 0, expected[i] != 0);
      }
    }
  }
}

TEST(Generate, PaddingBitsAreZero) {
  const SpikeTensor spikes = make(spec_of(Pattern::bernoulli, 1.0), {1, 3, 5}, DType::bit);
  const auto* words = static_cast<const std::uint32_t*>(spikes.view().data);
  for (int row = 0; row < 3; ++row) EXPECT_EQ(words[row], 31u);
  const SpikeTensor pairs = make(spec_of(Pattern::bernoulli, 1.0), {1, 3, 5}, DType::u2);
  const auto* pair_words = static_cast<const std::uint32_t*>(pairs.view().data);
  for (int row = 0; row < 3; ++row) EXPECT_EQ(pair_words[row], 0x155u);
}

TEST(Generate, SeedsDiffer) {
  const SpikeShape shape{1, 64, 64};
  const auto one = elements(make(spec_of(Pattern::bernoulli, 0.5, 1), shape).view());
  const auto two = elements(make(spec_of(Pattern::bernoulli, 0.5, 2), shape).view());
  std::uint64_t same = 0;
  for (std::size_t i = 0; i < one.size(); ++i) same += one[i] == two[i];
  expect_share(same, one.size(), 0.5);
}

TEST(Generate, DensityIsWhatWasAskedFor) {
  const SpikeShape shape{4, 512, 320};
  for (const Pattern pattern : all_patterns) {
    for (const double density : {0.0, 0.005, 0.05, 0.3}) {
      const PatternSpec spec = spec_of(pattern, density, 5);
      // A spike of these patterns does not come alone, so the count varies more.
      const double together = pattern == Pattern::block           ? spec.block * spec.block
                              : pattern == Pattern::column_vector ? spec.vector
                              : pattern == Pattern::temporal      ? 4
                              : pattern == Pattern::layer         ? 8
                                                                  : 1;
      SCOPED_TRACE(std::string(to_string(pattern)) + " " + std::to_string(density));
      expect_share(count(elements(make(spec, shape).view())), shape.elements(), density, together);
    }
  }
  for (const Pattern pattern : {Pattern::bernoulli, Pattern::channel_rates, Pattern::block,
                                Pattern::column_vector, Pattern::power_law_rows}) {
    EXPECT_EQ(count(elements(make(spec_of(pattern, 1.0), {2, 20, 40}).view())), 1600u)
        << to_string(pattern);
  }
}

TEST(Generate, ChannelRatesAreSkewed) {
  const SpikeShape shape{1, 4000, 256};
  const SpikeTensor spikes = make(spec_of(Pattern::channel_rates, 0.05), shape);
  std::vector<double> rates(shape.k, 0.0);
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) {
      rates[k] += element(spikes.view(), 0, row, k) / static_cast<double>(shape.rows);
    }
  }
  double mean = 0;
  double squares = 0;
  for (const double rate : rates) {
    mean += std::log(rate + 1e-9) / shape.k;
    squares += std::log(rate + 1e-9) * std::log(rate + 1e-9) / shape.k;
  }
  EXPECT_NEAR(std::sqrt(squares - mean * mean), 1.0, 0.25);  // sigma of the logarithm
  PatternSpec flat = spec_of(Pattern::channel_rates, 0.05);
  flat.sigma = 0;  // all channels alike: the draws of bernoulli
  EXPECT_EQ(elements(make(flat, {1, 50, 64}).view()),
            elements(make(spec_of(Pattern::bernoulli, 0.05), {1, 50, 64}).view()));
}

TEST(Generate, SpikesPersist) {
  for (const double persistence : {0.0, 0.3, 0.9, 1.0}) {
    PatternSpec spec = spec_of(Pattern::temporal, 0.1, 3);
    spec.persistence = persistence;
    const SpikeShape shape{16, 200, 100};
    const SpikeTensor spikes = make(spec, shape);
    std::uint64_t before = 0;
    std::uint64_t again = 0;
    for (std::uint32_t t = 1; t < shape.timesteps; ++t) {
      std::uint64_t now = 0;
      for (std::uint64_t row = 0; row < shape.rows; ++row) {
        for (std::uint32_t k = 0; k < shape.k; ++k) {
          const bool spike = element(spikes.view(), t, row, k) != 0;
          const bool earlier = element(spikes.view(), t - 1, row, k) != 0;
          before += earlier;
          again += earlier && spike;
          now += spike;
        }
      }
      expect_share(now, shape.rows * shape.k, spec.density);  // at every time step
    }
    expect_share(again, before, persistence);
  }
}

TEST(Generate, SilentChannelsAreSilent) {
  PatternSpec spec = spec_of(Pattern::silent, 0.1, 8);
  spec.silent_share = 0.6;
  const SpikeShape shape{2, 1000, 50};
  const SpikeTensor spikes = make(spec, shape);
  int silent = 0;
  for (std::uint32_t k = 0; k < shape.k; ++k) {
    std::uint64_t found = 0;
    for (std::uint64_t row = 0; row < shape.m(); ++row) {
      found += load_spike(spikes.view().data, DType::u8, shape.k, row, k) != 0;
    }
    if (found == 0) {
      ++silent;
    } else {
      expect_share(found, shape.m(), 0.1 * 50 / 20);
    }
  }
  EXPECT_EQ(silent, 30);
}

TEST(Generate, LayersCombineChannelsNeuronsAndTime) {
  PatternSpec spec = spec_of(Pattern::layer, 0.1, 4);
  spec.sigma = 0.8;
  spec.silent_share = 0.25;
  spec.silent_neurons = 0.5;
  spec.correlation = 0.6;
  const SpikeShape shape{8, 2000, 64};
  const SpikeStatistics found = inspect(HostContext{}, make(spec, shape).view());
  EXPECT_NEAR(found.density, 0.1, 0.005);
  EXPECT_NEAR(found.silent_channels, 0.25, 1e-12);
  EXPECT_GT(found.silent_neurons,
            1 - 0.75 * 0.5);  // those, and the ones that were silent by chance
  // Every firing neuron of a channel has its rate q, and spikes again with q + 0.6 · (1 - q).
  const std::vector<float> all = elements(make(spec, shape).view());
  std::vector<double> spikes(shape.k, 0.0);
  std::vector<double> before(shape.k, 0.0);
  std::vector<double> again(shape.k, 0.0);
  std::vector<bool> fired(shape.rows * shape.k);
  for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
    for (std::uint64_t neuron = 0; neuron < fired.size(); ++neuron) {
      const bool spike = all[t * fired.size() + neuron] != 0;
      spikes[neuron % shape.k] += spike;
      fired[neuron] = fired[neuron] || spike;
      if (t == 0 || all[(t - 1) * fired.size() + neuron] == 0) continue;
      ++before[neuron % shape.k];
      again[neuron % shape.k] += spike;
    }
  }
  std::vector<double> logs;
  for (std::uint32_t k = 0; k < shape.k; ++k) {
    if (spikes[k] == 0) continue;
    const double q = spikes[k] / static_cast<double>(shape.m()) / (1 - spec.silent_neurons);
    EXPECT_NEAR(again[k] / before[k], q + 0.6 * (1 - q), 0.08 + 6 * 0.5 / std::sqrt(before[k]))
        << k;
    std::uint64_t awake = 0;
    for (std::uint64_t row = 0; row < shape.rows; ++row) awake += fired[row * shape.k + k];
    EXPECT_LE(static_cast<double>(awake), 0.5 * 2000 + 6 * std::sqrt(2000 * 0.25)) << k;
    logs.push_back(std::log(q));
  }
  double mean = 0;
  for (const double value : logs) mean += value / static_cast<double>(logs.size());
  double variance = 0;
  for (const double value : logs) {
    variance += (value - mean) * (value - mean) / static_cast<double>(logs.size());
  }
  EXPECT_NEAR(std::sqrt(variance), spec.sigma, 0.2);
}

TEST(Generate, NeuronsOfALayerMayAvoidFiringTwice) {
  for (const double density : {0.1, 0.3, 0.8}) {
    PatternSpec spec = spec_of(Pattern::layer, density, 4);
    spec.sigma = 0;
    spec.silent_share = 0;
    spec.correlation = -1;
    const SpikeStatistics found = inspect(HostContext{}, make(spec, {8, 500, 64}).view());
    EXPECT_NEAR(found.density, density, 0.01);
    EXPECT_NEAR(found.persistence.value(), std::max(0.0, 2 - 1 / density), 0.01);  // the least
  }
}

TEST(Generate, APlainLayerIsBernoulli) {
  PatternSpec plain = spec_of(Pattern::layer, 0.05);
  plain.sigma = 0;
  plain.silent_share = 0;
  EXPECT_EQ(elements(make(plain, {3, 50, 64}).view()),
            elements(make(spec_of(Pattern::bernoulli, 0.05), {3, 50, 64}).view()));
}

TEST(Generate, BlocksAreFullOrEmpty) {
  PatternSpec spec = spec_of(Pattern::block, 0.3);
  spec.block = 8;
  const SpikeShape shape{2, 20, 30};  // ragged at both edges; tiles stay within a time step
  const SpikeTensor spikes = make(spec, shape);
  for (std::uint32_t t = 0; t < 2; ++t) {
    for (std::uint64_t row = 0; row < shape.rows; ++row) {
      for (std::uint32_t k = 0; k < shape.k; ++k) {
        EXPECT_EQ(element(spikes.view(), t, row, k),
                  element(spikes.view(), t, row / 8 * 8, k / 8 * 8));
      }
    }
  }
}

TEST(Generate, ColumnVectorsShareTheirPattern) {
  const PatternSpec spec = spec_of(Pattern::column_vector, 0.3);
  const SpikeShape shape{2, 21, 40};
  const SpikeTensor spikes = make(spec, shape);
  std::uint64_t different = 0;
  for (std::uint32_t t = 0; t < 2; ++t) {
    for (std::uint64_t row = 0; row < shape.rows; ++row) {
      for (std::uint32_t k = 0; k < shape.k; ++k) {
        const float value = element(spikes.view(), t, row, k);
        EXPECT_EQ(value, element(spikes.view(), t, row / 8 * 8, k));
        different += value != element(spikes.view(), t, row, k / 8 * 8);
      }
    }
  }
  EXPECT_GT(different, 0u);
}

TEST(Generate, RowsFollowAPowerLaw) {
  PatternSpec spec = spec_of(Pattern::power_law_rows, 0.01);
  spec.alpha = 1.0;
  const SpikeShape shape{1, 256, 16384};
  const SpikeTensor spikes = make(spec, shape);
  std::vector<std::uint64_t> counts;
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    std::uint64_t found = 0;
    for (std::uint32_t k = 0; k < shape.k; ++k) found += element(spikes.view(), 0, row, k) != 0;
    counts.push_back(found);
  }
  EXPECT_FALSE(std::is_sorted(counts.rbegin(), counts.rend()));
  std::sort(counts.rbegin(), counts.rend());
  double harmonic = 0;
  for (int i = 1; i <= 256; ++i) harmonic += 1.0 / i;
  const double busiest = 0.01 * 256 / harmonic;
  expect_share(counts[0], shape.k, busiest);
  expect_share(counts[1], shape.k, busiest / 2);
  expect_share(counts[9], shape.k, busiest / 10, 2);
}

TEST(Generate, ValuesAreOfTheirKind) {
  const PatternSpec spec = spec_of(Pattern::bernoulli, 0.5);
  std::vector<std::uint64_t> found(4, 0);
  for (const float value :
       elements(make(spec, {1, 300, 300}, DType::u8, ValueKind::graded2).view())) {
    ++found[static_cast<std::size_t>(value)];
  }
  for (int value = 1; value <= 3; ++value) {
    expect_share(found[static_cast<std::size_t>(value)], 90000 - found[0], 1.0 / 3);
  }
  std::uint64_t negative = 0;
  std::uint64_t spikes = 0;
  for (const float value :
       elements(make(spec, {1, 300, 300}, DType::bf16, ValueKind::graded).view())) {
    if (value == 0) continue;
    ++spikes;
    negative += value < 0;
    EXPECT_EQ(value * 32, std::round(value * 32));
    EXPECT_LE(std::abs(value), 4.0f);
  }
  expect_share(negative, spikes, 0.5);
}

TEST(Generate, RejectsWhatCannotBe) {
  const auto code = [](const PatternSpec& spec, SpikeShape shape = {2, 4, 8}) {
    return error_of([&] { static_cast<void>(make(spec, shape)); });
  };
  EXPECT_EQ(code(spec_of(Pattern::bernoulli, 1.5)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(spec_of(Pattern::bernoulli, std::nan(""))), ErrorCode::invalid_argument);
  PatternSpec rare = spec_of(Pattern::temporal, 0.9);
  rare.persistence = 0.1;  // could not keep up 90 %
  EXPECT_EQ(code(rare), ErrorCode::invalid_argument);
  rare.persistence = 0.89;
  EXPECT_EQ(code(rare), std::nullopt);
  PatternSpec silent = spec_of(Pattern::silent, 0.6);
  silent.silent_share = 0.5;
  EXPECT_EQ(code(silent), ErrorCode::invalid_argument);
  PatternSpec layer = spec_of(Pattern::layer, 0.3);
  layer.silent_share = 0.5;
  layer.silent_neurons = 0.5;
  EXPECT_EQ(code(layer), ErrorCode::invalid_argument);
  layer.density = 0.25;
  EXPECT_EQ(code(layer), std::nullopt);
  for (const double correlation : {1.1, -1.1, std::nan("")}) {
    layer.correlation = correlation;
    EXPECT_EQ(code(layer), ErrorCode::invalid_argument);
  }
  PatternSpec block = spec_of(Pattern::block, 0.5);
  block.block = 0;
  EXPECT_EQ(code(block), ErrorCode::invalid_argument);
  for (const Pattern pattern : all_patterns) {
    for (const SpikeShape shape : {SpikeShape{1, 0, 8}, SpikeShape{0, 5, 8}, SpikeShape{2, 5, 0}}) {
      EXPECT_EQ(code(spec_of(pattern, 0.1), shape), std::nullopt) << to_string(pattern);
    }
  }
  const SpikeTensor tensor(HostContext{}, {1, 2, 2}, DType::u8, ValueKind::graded);
  EXPECT_EQ(error_of([] {
              static_cast<void>(make({}, {1, 2, 2}, DType::u8, ValueKind::graded));
            }),
            ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace spiketune::test
