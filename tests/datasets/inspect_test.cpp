#include "spiketune/datasets/inspect.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "spiketune/datasets/generate.hpp"
#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

SpikeTensor tensor_of(SpikeShape shape, const std::vector<std::uint8_t>& values) {
  SpikeTensor tensor(HostContext{}, shape, DType::u8, ValueKind::binary);
  std::copy(values.begin(), values.end(), static_cast<std::uint8_t*>(tensor.mutable_view().data));
  return tensor;
}

TEST(Inspect, ByHand) {
  // T = 2, three rows, K = 5.          Matrix rows, time-major:
  const std::vector<std::uint8_t> s{1, 1, 1, 0, 0,   // t 0: three of the first four
                                    0, 0, 0, 0, 0,   //
                                    1, 0, 0, 0, 1,   //
                                    1, 0, 1, 0, 0,   // t 1: two of three persist
                                    0, 0, 0, 0, 1,   //
                                    0, 0, 0, 0, 1};  // one of two persists
  const SpikeStatistics found = inspect(HostContext{}, tensor_of({2, 3, 5}, s).view());
  EXPECT_EQ(found.elements, 30u);
  EXPECT_EQ(found.nnz, 9u);
  EXPECT_DOUBLE_EQ(found.density, 9.0 / 30);
  EXPECT_DOUBLE_EQ(found.row_rates.min, 0.0);
  EXPECT_DOUBLE_EQ(found.row_rates.mean, 0.3);
  EXPECT_DOUBLE_EQ(found.row_rates.median, 0.2);  // counts 0 1 1 2 2 3: the third
  EXPECT_DOUBLE_EQ(found.row_rates.max, 0.6);
  EXPECT_DOUBLE_EQ(found.channel_rates.min, 0.0);
  EXPECT_DOUBLE_EQ(found.channel_rates.max, 0.5);
  EXPECT_DOUBLE_EQ(found.silent_channels, 0.2);
  EXPECT_DOUBLE_EQ(found.silent_neurons, 9.0 / 15);
  ASSERT_TRUE(found.persistence.has_value());
  EXPECT_DOUBLE_EQ(*found.persistence, 3.0 / 5);
  EXPECT_DOUBLE_EQ(found.union_density[0], 0.3);
  EXPECT_DOUBLE_EQ(found.union_density[1], 5.0 / 10);  // rows 0-3: columns 0 1 2 4; rows 4-5: 4
  EXPECT_DOUBLE_EQ(found.union_density[2], 4.0 / 5);
  EXPECT_DOUBLE_EQ(found.union_density[4], 4.0 / 5);
  EXPECT_DOUBLE_EQ(found.groups_fit_two_four, 11.0 / 12);
  EXPECT_DOUBLE_EQ(found.spikes_over_two_four, 1.0 / 9);
  for (const double share : found.empty_blocks) EXPECT_DOUBLE_EQ(share, 0.0);
}

/// Everything that depends on bits, counted one element at a time.
SpikeStatistics count_slowly(const SpikeView& spikes, RowOrder order) {
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, order};
  const auto at = [&](std::uint64_t row, std::uint64_t k) {
    return row < shape.m() && k < shape.k &&
           load_spike(spikes.data, spikes.storage, shape.k, map.source(row),
                      static_cast<std::uint32_t>(k)) != 0;
  };
  const auto any = [&](std::uint64_t row, std::uint64_t k, std::uint64_t h, std::uint64_t w) {
    for (std::uint64_t i = 0; i < h; ++i) {
      for (std::uint64_t j = 0; j < w; ++j) {
        if (at(row + i, k + j)) return true;
      }
    }
    return false;
  };
  SpikeStatistics result;
  for (std::uint64_t row = 0; row < shape.m(); ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) result.nnz += at(row, k);
  }
  for (std::size_t i = 0; i < result.union_density.size(); ++i) {
    const std::uint64_t v = SpikeStatistics::union_rows[i];
    double found = 0;
    for (std::uint64_t row = 0; row < shape.m(); row += v) {
      for (std::uint32_t k = 0; k < shape.k; ++k) found += any(row, k, v, 1);
    }
    result.union_density[i] = found / static_cast<double>(ceil_div(shape.m(), v) * shape.k);
  }
  for (std::size_t i = 0; i < result.empty_blocks.size(); ++i) {
    const std::uint64_t b = SpikeStatistics::block_sizes[i];
    double empty = 0;
    for (std::uint64_t row = 0; row < shape.m(); row += b) {
      for (std::uint64_t k = 0; k < shape.k; k += b) empty += !any(row, k, b, b);
    }
    result.empty_blocks[i] =
        empty / static_cast<double>(ceil_div(shape.m(), b) * ceil_div(shape.k, b));
  }
  double fit = 0;
  double over = 0;
  for (std::uint64_t row = 0; row < shape.m(); ++row) {
    for (std::uint64_t k = 0; k < shape.k; k += 4) {
      const int group = at(row, k) + at(row, k + 1) + at(row, k + 2) + at(row, k + 3);
      fit += group <= 2;
      over += std::max(0, group - 2);
    }
  }
  result.groups_fit_two_four = fit / static_cast<double>(shape.m() * ceil_div(shape.k, 4));
  result.spikes_over_two_four = over / static_cast<double>(result.nnz);
  return result;
}

TEST(Inspect, AgreesWithCountingOneByOne) {
  for (const double density : {0.002, 0.05, 0.6}) {
    for (const SpikeShape shape : {SpikeShape{1, 64, 64}, SpikeShape{4, 37, 50},
                                   SpikeShape{3, 700, 97}, SpikeShape{1, 1, 1}}) {
      for (const RowOrder stored : {RowOrder::time_major, RowOrder::token_major}) {
        for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
          for (const DType storage : {DType::bit, DType::u8}) {
            SpikeTensor spikes(HostContext{}, shape, storage, ValueKind::binary, stored);
            PatternSpec spec;
            spec.density = shape.m() == 1 ? 1 : density;
            generate(HostContext{}, spec, spikes.mutable_view());
            const SpikeStatistics found = inspect(HostContext{3}, spikes.view(), order);
            const SpikeStatistics expected = count_slowly(spikes.view(), order);
            EXPECT_EQ(found.nnz, expected.nnz);
            for (std::size_t i = 0; i < found.union_density.size(); ++i) {
              EXPECT_DOUBLE_EQ(found.union_density[i], expected.union_density[i]) << i;
            }
            for (std::size_t i = 0; i < found.empty_blocks.size(); ++i) {
              EXPECT_DOUBLE_EQ(found.empty_blocks[i], expected.empty_blocks[i]) << i;
            }
            EXPECT_DOUBLE_EQ(found.groups_fit_two_four, expected.groups_fit_two_four);
            EXPECT_DOUBLE_EQ(found.spikes_over_two_four, expected.spikes_over_two_four);
            EXPECT_NEAR(found.channel_rates.mean, found.density, 1e-12);
            EXPECT_NEAR(found.row_rates.mean, found.density, 1e-12);
          }
        }
      }
    }
  }
}

TEST(Inspect, FindsWhatTheGeneratorsPutIn) {
  SpikeTensor spikes(HostContext{}, {8, 500, 200}, DType::bit, ValueKind::binary);
  PatternSpec spec;
  spec.pattern = Pattern::temporal;
  spec.density = 0.1;
  spec.persistence = 0.7;
  generate(HostContext{}, spec, spikes.mutable_view());
  EXPECT_NEAR(inspect(HostContext{}, spikes.view()).persistence.value(), 0.7, 0.01);
  spec.pattern = Pattern::silent;
  spec.silent_share = 0.25;
  generate(HostContext{}, spec, spikes.mutable_view());
  EXPECT_DOUBLE_EQ(inspect(HostContext{}, spikes.view()).silent_channels, 0.25);
  spec.pattern = Pattern::column_vector;
  spec.vector = 4;
  generate(HostContext{}, spec, spikes.mutable_view());
  const SpikeStatistics vectors = inspect(HostContext{}, spikes.view());
  EXPECT_DOUBLE_EQ(vectors.union_density[1], vectors.density);
}

TEST(Inspect, EmptyAndInvalid) {
  const SpikeTensor none(HostContext{}, {2, 0, 5}, DType::u8, ValueKind::binary);
  const SpikeStatistics found = inspect(HostContext{}, none.view());
  EXPECT_EQ(found.density, 0);
  EXPECT_FALSE(found.persistence.has_value());
  SpikeTensor bad = tensor_of({1, 2, 2}, {0, 0, 0, 7});
  EXPECT_EQ(error_of([&] { static_cast<void>(inspect(HostContext{}, bad.view())); }),
            ErrorCode::invalid_value);
  EXPECT_NE(
      message_of([&] { static_cast<void>(inspect(HostContext{}, bad.view())); }).find("(0, 1, 1)"),
      std::string::npos);
}

}  // namespace
}  // namespace spiketune::test
