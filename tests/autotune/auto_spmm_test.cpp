#include "spiketune/tests/autotune/auto_spmm.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "spiketune/core/error.hpp"

namespace spiketune::test {
namespace {

/// The layer with memory on the host.
class AutoSpmmTest : public ::testing::Test {
 protected:
  AutoSpmmTest() { add_host_formats(registry_); }

  [[nodiscard]] Planner planner() const { return Planner(auto_points(registry_, "host")); }
  [[nodiscard]] AutoSpmm product(const Problem& layer = auto_layer()) const {
    return {registry_, HostContext{2}, planner(), layer};
  }

  void load(double density, unsigned seed = 1) {
    logical_ = random_spikes(layer_.shape(), density, ValueKind::binary, seed);
    const SpikeTensor made = store(logical_, layer_.input, layer_.value, layer_.row_order);
    copy(HostContext{}, spikes_.mutable_view().data, made.view().data, made.view().bytes());
    std::fill(y_.begin(), y_.end(), std::numeric_limits<float>::quiet_NaN());
  }
  void check() const {
    const auto expected = oracle(logical_, layer_.row_order, weights_, layer_.n);
    for (std::size_t i = 0; i < y_.size(); ++i) {
      ASSERT_EQ(y_[i], static_cast<float>(expected[i])) << i;
    }
  }
  [[nodiscard]] static std::string current(const AutoSpmm& product) {
    const std::string name = product.report().at("current");
    return name.substr(0, name.find(' '));
  }

  Registry registry_;
  Problem layer_ = auto_layer();
  std::vector<float> weights_ = integer_weights(std::uint64_t{layer_.k} * layer_.n, 3);
  std::vector<float> y_ = std::vector<float>(layer_.m() * layer_.n);
  SpikeTensor spikes_{HostContext{}, layer_.shape(), layer_.input, layer_.value, layer_.row_order};
  WeightView w_{weights_.data(), DType::f32, layer_.k, layer_.n, Space::host};
  OutputView out_{y_.data(), DType::f32, layer_.m(), layer_.n, Space::host};
  Logical logical_;
};

TEST_F(AutoSpmmTest, FollowsTheDensityAndIsAlwaysRight) {
  AutoSpmm product = this->product();
  std::set<std::string> used;
  for (const double density : {0.01, 0.01, 0.2, 0.2, 0.9, 0.9, 1.0, 0.2, 0.2, 0.0, 0.0}) {
    load(density);
    product(spikes_.view(), w_, out_);
    check();
    used.insert(current(product));
  }
  EXPECT_EQ(used, (std::set<std::string>{"bitmap", "csr", "dense"}));
  EXPECT_EQ(current(product), "csr");
  EXPECT_EQ(product.density(), 0);
}

TEST_F(AutoSpmmTest, SpikesThatAreUsedWhereTheyLieAreCountedNowAndThen) {
  std::vector<TunedPoint> points = auto_points(registry_, "host");
  std::erase_if(points, [](const TunedPoint& point) { return point.format != "bitmap"; });
  for (TunedPoint& point : points) {
    point.format = "bytes";
    point.config = {{"rows_per_task", 32}};
  }
  AutoSpmm product(registry_, HostContext{1}, Planner(points), layer_);
  load(0.0);
  product(spikes_.view(), w_, out_);
  ASSERT_EQ(current(product), "bytes");
  EXPECT_EQ(product.density(), 0);
  load(1.0);
  for (int call = 1; call < 16; ++call) {
    product(spikes_.view(), w_, out_);
    EXPECT_EQ(product.density(), 0) << call;
  }
  product(spikes_.view(), w_, out_);
  EXPECT_EQ(product.density(), 1);
  check();
}

TEST_F(AutoSpmmTest, TheFirstGuessIsTheLayers) {
  load(0.01);
  Problem layer = layer_;
  layer.density = 0.8;
  AutoSpmm product = this->product(layer);
  product(spikes_.view(), w_, out_);
  EXPECT_EQ(current(product), "dense");
  EXPECT_TRUE(product.outdated());
  product(spikes_.view(), w_, out_);
  EXPECT_EQ(current(product), "csr");
  EXPECT_FALSE(product.outdated());
  check();
}

TEST_F(AutoSpmmTest, DoesNotSwingWhereTwoPlansAreAlike) {
  AutoSpmm calm(registry_, HostContext{1}, planner(), layer_, {false, 0.2});
  AutoSpmm nervous(registry_, HostContext{1}, planner(), layer_, {false, 0});
  // CSR and bitmap meet at 5 %: of 384 spikes, twenty more or less make one 10 % slower.
  for (unsigned call = 0; call < 40; ++call) {
    load(0.05, call);
    calm(spikes_.view(), w_, out_);
    nervous(spikes_.view(), w_, out_);
  }
  EXPECT_LE(calm.report().at("switches").get<int>(), 1);
  EXPECT_GE(nervous.report().at("switches").get<int>(), 8);
}

TEST_F(AutoSpmmTest, SaysWhatItChose) {
  AutoSpmm product = this->product();
  const std::vector<AutoSpmm::Choice> choices = product.choices();
  ASSERT_EQ(choices.size(), 3u);
  EXPECT_EQ(choices[0].format, "csr");
  EXPECT_EQ(choices[1].format, "bitmap");
  EXPECT_EQ(choices[2].format, "dense");
  EXPECT_LE(choices[0].to_density, choices[1].from_density);
  EXPECT_NEAR(choices[1].from_density, 0.05, 0.02);
  EXPECT_NEAR(choices[2].from_density, 0.4, 0.2);
  EXPECT_TRUE(product.report().at("current").is_null());
  load(0.02);
  for (int call = 0; call < 3; ++call) product(spikes_.view(), w_, out_);
  EXPECT_EQ(product.choices().front().calls, 3u);
  EXPECT_EQ(product.report().at("passed_over").size(), 0u);
}

TEST_F(AutoSpmmTest, OtherMemoryIsBoundAnewAndOldForgotten) {
  AutoSpmm product = this->product();
  load(0.1);
  std::vector<std::vector<float>> outputs(2 * AutoSpmm::max_bound, std::vector<float>(y_.size()));
  for (std::vector<float>& output : outputs) {
    const OutputView view{output.data(), DType::f32, layer_.m(), layer_.n, Space::host};
    product.prepare(spikes_.view(), w_, view);
    product(spikes_.view(), w_, view);
    EXPECT_EQ(output, outputs.front());
  }
  y_ = outputs.front();
  check();
}

TEST_F(AutoSpmmTest, RefusesWhatIsNotTheLayer) {
  AutoSpmm product = this->product();
  OutputView short_output = out_;
  short_output.m -= 1;
  EXPECT_THROW(product(spikes_.view(), w_, short_output), Error);
  WeightView elsewhere = w_;
  elsewhere.space = Space::device;
  EXPECT_THROW(product(spikes_.view(), elsewhere, out_), Error);
  Problem half = layer_;
  half.weights = DType::f16;  // nothing was tuned for it
  EXPECT_THROW(static_cast<void>(this->product(half)), Error);
  EXPECT_THROW(AutoSpmm(registry_, HostContext{}, Planner({}), layer_), Error);
  EXPECT_THROW(AutoSpmm(registry_, HostContext{}, planner(), layer_, {false, -1}), Error);
}

TEST_F(AutoSpmmTest, WorksWithoutElements) {
  Problem empty = layer_;
  empty.rows = 0;
  std::vector<TunedPoint> points = auto_points(registry_, "host");
  AutoSpmm product(registry_, HostContext{}, Planner(points), empty);
  const SpikeTensor none(HostContext{}, empty.shape(), empty.input, empty.value, empty.row_order);
  product(none.view(), w_, {y_.data(), DType::f32, 0, layer_.n, Space::host});
  EXPECT_EQ(product.density(), empty.density);
}

}  // namespace
}  // namespace spiketune::test
