#include "spiketune/autotune/suite.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "spiketune/autotune/inputs.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

Suite suite_of(const json& entry) {
  return suite_from_json({{"schema", "spiketune.suite/1"}, {"entries", {entry}}}, "/folder");
}

std::vector<PlannedProblem> problems_of(const json& entry) {
  return expand(suite_of(entry).entries.at(0));
}

std::string error_of(const json& entry) {
  try {
    static_cast<void>(problems_of(entry));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Shape, IsParsedOrRejected) {
  EXPECT_EQ(parse_product_shape("4096x1024x512"), (ProductShape{4096, 1024, 512}));
  EXPECT_EQ(to_string(ProductShape{1, 2, 3}), "1x2x3");
  for (const char* bad : {"", "1x2", "1x2x", "1x2x3x4", "ax2x3", "1 x2x3", "-1x2x3",
                          "4294967296x1x1", "99999999999999999999x1x1"}) {
    EXPECT_THROW(static_cast<void>(parse_product_shape(bad)), Error) << bad;
  }
}

TEST(Suite, AnEntryBecomesOneProblemForEachCombination) {
  const auto problems = problems_of({{"workload", "w"},
                                     {"shapes", {"8x16x4", "12x16x4"}},
                                     {"timesteps", 4},
                                     {"densities", {0.1, 0.2}},
                                     {"weights", {"f32", "f16"}}});
  ASSERT_EQ(problems.size(), 8u);
  EXPECT_EQ(problems[0].problem.rows, 2u);
  EXPECT_EQ(problems[0].problem.m(), 8u);
  EXPECT_EQ(problems[1].problem.density, 0.2);
  EXPECT_EQ(problems[2].problem.rows, 3u);
  EXPECT_EQ(problems[4].problem.weights, DType::f16);
}

TEST(Suite, OutputFollowsTheWeightsUnlessItIsF32) {
  const auto problems = problems_of(
      {{"shapes", {"8x16x4"}}, {"densities", 0.1}, {"weights", {"f16", "f32"}}, {"output", "f16"}});
  EXPECT_EQ(problems[0].problem.output, DType::f16);
  EXPECT_EQ(problems[1].problem.output, DType::f32);
}

TEST(Suite, ErrorsNameTheEntry) {
  EXPECT_NE(error_of({{"shapes", {"8x16"}}, {"densities", 0.1}}).find("entry 0"),
            std::string::npos);
  EXPECT_NE(error_of({{"shapes", {"8x16x4"}}}).find("densities"), std::string::npos);
  EXPECT_NE(error_of({{"densities", 0.1}}).find("shapes"), std::string::npos);
  EXPECT_NE(error_of({{"shapes", {"9x16x4"}}, {"densities", 0.1}, {"timesteps", 4}})
                .find("not a multiple"),
            std::string::npos);
  EXPECT_NE(
      error_of({{"shapes", {"8x16x4"}}, {"densities", 0.1}, {"pattern", "nope"}}).find("bernoulli"),
      std::string::npos);
  EXPECT_NE(error_of({{"shapes", {"8x16x4"}}, {"densities", 0.1}, {"shape", "?"}}).find("shape"),
            std::string::npos);
  EXPECT_NE(error_of({{"shapes", {"8x16x4"}}, {"density", 0.1}}).find("densities"),
            std::string::npos);
  EXPECT_THROW(static_cast<void>(suite_from_json({{"entries", json::array()}}, "")), Error);
  EXPECT_THROW(static_cast<void>(suite_from_json({{"schema", "spiketune.suite/1"}}, "")), Error);
  EXPECT_THROW(static_cast<void>(read_suite("/nonexistent.json")), Error);
}

TEST(Suite, PatternParametersReachTheGenerator) {
  Problem problem;
  problem.pattern = "temporal";
  problem.pattern_params = {{"persistence", 0.75}};
  problem.density = 0.25;
  const PatternSpec spec = pattern_of(problem, 7);
  EXPECT_EQ(spec.pattern, Pattern::temporal);
  EXPECT_EQ(spec.persistence, 0.75);
  EXPECT_EQ(spec.density, 0.25);
  EXPECT_EQ(spec.seed, 7u);
  problem.pattern_params = {{"persistance", 0.75}};
  EXPECT_THROW(static_cast<void>(pattern_of(problem, 7)), Error);
}

TEST(Suite, AMissingFileIsAReason) {
  const auto problems = problems_of({{"workload", "w"}, {"file", "gone.npz"}, {"n", {8, 16}}});
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[1].problem.n, 16u);
  EXPECT_EQ(problems[0].problem.pattern, "trace");
  EXPECT_EQ(problems[0].file, "/folder/gone.npz");
  EXPECT_NE(problems[0].why_skipped.find("gone.npz"), std::string::npos);
}

TEST(Suite, ShippedSuitesAreValid) {
  std::size_t count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(SPIKETUNE_SOURCE_DIR "/datasets/suites")) {
    const Suite suite = read_suite(file.path().string());
    EXPECT_FALSE(suite.entries.empty()) << file.path();
    for (const SuiteEntry& entry : suite.entries) EXPECT_FALSE(expand(entry).empty());
    ++count;
  }
  EXPECT_GE(count, 2u);
}

TEST(Convert, RepeatsRowsAndReorders) {
  const test::Logical logical = test::random_spikes({3, 5, 37}, 0.4, ValueKind::graded2, 1);
  for (const RowOrder from : {RowOrder::time_major, RowOrder::token_major}) {
    for (const RowOrder to : {RowOrder::time_major, RowOrder::token_major}) {
      const SpikeTensor spikes = test::store(logical, DType::u8, ValueKind::graded2, from);
      const SpikeTensor tiled = convert(spikes.view(), DType::u2, to, 2);
      const SpikeView view = tiled.view();
      ASSERT_EQ(view.shape, (SpikeShape{3, 10, 37}));
      EXPECT_EQ(count_nonzeros(view), 2 * logical.nnz());
      const RowMap map{3, 10, RowOrder::time_major, to};
      for (std::uint64_t row = 0; row < 30; ++row) {
        const std::uint64_t t = map.source(row) / 10;
        const std::uint64_t position = map.source(row) % 10 % 5;
        for (std::uint32_t k = 0; k < 37; ++k) {
          ASSERT_EQ(load_spike(view.data, view.storage, 37, row, k),
                    logical.at(t * 5 + position, k, RowOrder::time_major));
        }
      }
    }
  }
}

}  // namespace
}  // namespace spiketune
