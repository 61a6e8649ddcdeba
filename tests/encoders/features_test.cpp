#include "spiketune/encoders/features.hpp"

#include <cmath>
#include <set>
#include <utility>

#include "spiketune/core/error.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

Features features_of(const Logical& logical, RowOrder from, RowOrder to, int threads = 2) {
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, from);
  Features features;
  measure_features(HostContext{threads}, spikes.view(), to, &features);
  return features;
}

/// Straight from the definitions, element by element.
Features brute_force(const Logical& logical, RowOrder order) {
  const SpikeShape& shape = logical.shape;
  Features result;
  std::set<std::pair<std::uint64_t, std::uint32_t>> vectors[3];
  std::set<std::pair<std::uint64_t, std::uint32_t>> blocks;
  for (std::uint64_t row = 0; row < shape.m(); ++row) {
    std::uint64_t length = 0;
    for (std::uint32_t four = 0; four < shape.k; four += 4) {
      std::uint64_t spikes = 0;
      for (std::uint32_t k = four; k < std::min(four + 4, shape.k); ++k) {
        if (logical.at(row, k, order) == 0.0f) continue;
        ++spikes;
        for (std::size_t i = 0; i < 3; ++i) vectors[i].insert({row / Features::group_sizes[i], k});
        blocks.insert({row / 16, k / 16});
      }
      length += spikes;
      if (spikes > 2) result.beyond_two_four += spikes - 2;
    }
    result.nnz += length;
    result.squared_lengths += length * length;
    result.longest = std::max(result.longest, length);
    ++result.lengths[length == 0 ? 0 : static_cast<std::size_t>(std::log2(length)) + 1];
  }
  for (std::size_t i = 0; i < 3; ++i) result.vectors[i] = vectors[i].size();
  result.blocks = blocks.size();
  const std::uint64_t step = shape.rows * shape.k;
  for (std::uint64_t i = 0; i + step < logical.values.size(); ++i) {
    if (logical.values[i] == 0.0f) continue;
    ++result.followed;
    result.stayed += logical.values[i + step] != 0.0f;
  }
  return result;
}

// Two steps of two rows of 20 columns:
//   step 0: row 0 has columns 0 1 2 3 and 17; row 1 is empty
//   step 1: row 0 has columns 0 and 17;       row 1 has 4 5 6
TEST(Features, OfAHandfulOfSpikes) {
  Logical logical{{2, 2, 20}, std::vector<float>(80)};
  for (const int i : {0, 1, 2, 3, 17, 40, 57, 64, 65, 66}) {
    logical.values[static_cast<std::size_t>(i)] = 1;
  }
  const Features features = features_of(logical, RowOrder::time_major, RowOrder::time_major);
  EXPECT_EQ(features.nnz, 10u);
  EXPECT_EQ(features.squared_lengths, 25u + 0u + 4u + 9u);
  EXPECT_EQ(features.longest, 5u);
  EXPECT_EQ(features.lengths[0], 1u);
  EXPECT_EQ(features.lengths[2], 2u);
  EXPECT_EQ(features.lengths[3], 1u);
  EXPECT_EQ(features.vectors[0], 8u);
  EXPECT_EQ(features.blocks, 2u);
  EXPECT_EQ(features.beyond_two_four, 3u);
  EXPECT_EQ(features.followed, 5u);
  EXPECT_EQ(features.stayed, 2u);
  EXPECT_DOUBLE_EQ(features.density(logical.shape), 10.0 / 80);
  EXPECT_DOUBLE_EQ(features.mean_length(logical.shape), 2.5);
  EXPECT_DOUBLE_EQ(features.length_variance(logical.shape), 38.0 / 4 - 2.5 * 2.5);
  EXPECT_DOUBLE_EQ(features.union_density(logical.shape, 0), 8.0 / 20);
  EXPECT_DOUBLE_EQ(features.block_density(logical.shape), 1.0);
  EXPECT_DOUBLE_EQ(features.share_beyond_two_four(), 0.3);
  EXPECT_DOUBLE_EQ(features.staying(), 0.4);
}

TEST(Features, AreThoseOfTheDefinitions) {
  unsigned seed = 1;
  for (const SpikeShape shape : {SpikeShape{1, 1, 1}, SpikeShape{3, 51, 133}, SpikeShape{4, 40, 64},
                                 SpikeShape{2, 9, 1000}, SpikeShape{7, 1, 31}}) {
    for (const double density : {0.0, 0.02, 0.4, 1.0}) {
      const Logical logical = random_spikes(shape, density, ValueKind::binary, seed++);
      for (const RowOrder from : {RowOrder::time_major, RowOrder::token_major}) {
        for (const RowOrder to : {RowOrder::time_major, RowOrder::token_major}) {
          EXPECT_EQ(features_of(logical, from, to), brute_force(logical, to))
              << shape.timesteps << ' ' << shape.rows << ' ' << shape.k << ' ' << density;
        }
      }
    }
  }
}

TEST(Features, DoNotDependOnTheThreads) {
  const Logical logical = random_spikes({3, 333, 70}, 0.2, ValueKind::binary, 9);
  EXPECT_EQ(features_of(logical, RowOrder::time_major, RowOrder::token_major, 1),
            features_of(logical, RowOrder::time_major, RowOrder::token_major, 4));
}

TEST(Features, OfNothingAreZero) {
  const SpikeShape shape{1, 0, 0};
  const Features features = features_of({shape, {}}, RowOrder::time_major, RowOrder::time_major);
  EXPECT_EQ(features, Features{});
  EXPECT_EQ(features.density(shape), 0.0);
  EXPECT_EQ(features.union_density(shape, 1), 0.0);
  EXPECT_EQ(features.staying(), 0.0);
}

TEST(Features, WantPackedSpikes) {
  const Logical logical = random_spikes({1, 4, 40}, 0.2, ValueKind::binary, 9);
  const SpikeTensor bytes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
  Features features;
  EXPECT_THROW(measure_features(HostContext{}, bytes.view(), RowOrder::time_major, &features),
               Error);
  const SpikeTensor bits = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  EXPECT_THROW(measure_features(HostContext{}, bits.view(), RowOrder::time_major, nullptr), Error);
}

TEST(Features, LengthClassesArePowersOfTwo) {
  EXPECT_EQ(length_class(0), 0u);
  EXPECT_EQ(length_class(1), 1u);
  EXPECT_EQ(length_class(3), 2u);
  EXPECT_EQ(length_class(4), 3u);
  EXPECT_EQ(length_class(16383), 14u);
  EXPECT_EQ(length_class(16384), 15u);
  EXPECT_EQ(length_class(1u << 28), 15u);
}

}  // namespace
}  // namespace spiketune::test
