#include "spiketune/autotune/suite.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "spiketune/autotune/inputs.hpp"
#include "spiketune/autotune/report.hpp"
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

TEST(Suite, LayersAreSweptOverBatch) {
  const auto problems = problems_of({{"workload", "w"},
                                     {"source", "a paper"},
                                     {"layers", {"16x4", "32x8"}},
                                     {"timesteps", 4},
                                     {"positions", 9},
                                     {"batch", {1, 2}},
                                     {"densities", 0.1}});
  ASSERT_EQ(problems.size(), 4u);
  EXPECT_EQ(problems[0].problem.shape(), (SpikeShape{4, 9, 16}));
  EXPECT_EQ(problems[1].problem.shape(), (SpikeShape{4, 18, 16}));
  EXPECT_EQ(problems[3].problem.shape(), (SpikeShape{4, 18, 32}));
  EXPECT_EQ(problems[3].problem.n, 8u);
  const auto one = problems_of({{"layers", {"16x4"}}, {"densities", 0.1}});
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].problem.shape(), (SpikeShape{1, 1, 16}));
  EXPECT_EQ(suite_of({{"source", "a paper"}, {"layers", {"16x4"}}}).entries.at(0).source,
            "a paper");
}

TEST(Suite, LayersThatMakeNoSenseAreRejected) {
  const auto says = [](json entry, const char* words) {
    entry["densities"] = 0.1;
    const std::string message = error_of(entry);
    EXPECT_NE(message.find(words), std::string::npos) << entry << ": " << message;
  };
  says({{"layers", {"16x4x2"}}}, "K x N");
  says({{"layers", {"16x4"}}, {"shapes", {"8x16x4"}}}, "not both");
  says({{"shapes", {"8x16x4"}}, {"batch", 2}}, "go with layers");
  says({{"layers", {"16x4"}}, {"batch", {1, 0}}}, "at least 1");
  says({{"layers", {"16x4"}}, {"batch", 65536}, {"positions", 65536}}, "below 2^32");
  says({{"layers", {"16x4"}}, {"batch", 4294967295u}, {"timesteps", 2}}, "below 2^32");
  says({{"layers", {"16x4"}}, {"timesteps", 0}}, "timesteps");
  says({{"layers", "16x4"}}, "entry 0");
  says({{"layers", {"16x4"}}, {"source", 3}}, "entry 0");
}

std::vector<std::filesystem::path> shipped_suites() {
  std::vector<std::filesystem::path> files;
  for (const auto& file :
       std::filesystem::directory_iterator(SPIKETUNE_SOURCE_DIR "/datasets/suites")) {
    files.push_back(file.path());
  }
  return files;
}

TEST(Suite, ShippedSuitesAreValid) {
  EXPECT_GE(shipped_suites().size(), 6u);
  for (const auto& file : shipped_suites()) {
    SCOPED_TRACE(file);
    const Suite suite = read_suite(file.string());
    EXPECT_EQ(suite.name, file.stem());
    EXPECT_FALSE(suite.entries.empty());
    for (const SuiteEntry& entry : suite.entries) {
      SCOPED_TRACE(entry.base.workload);
      const auto problems = expand(entry);
      EXPECT_FALSE(problems.empty());
      for (const PlannedProblem& planned : problems) {
        const Problem& problem = planned.problem;
        EXPECT_EQ(planned.why_skipped, "");
        EXPECT_GT(problem.density, 0);
        // What a GPU of 80 GB holds with room to spare: S in bytes, W, and Y beside its reference.
        const double bytes = static_cast<double>(problem.m()) * problem.k +
                             4.0 * problem.k * problem.n +
                             12.0 * static_cast<double>(problem.m()) * problem.n;
        EXPECT_LT(bytes, 16e9);
        EXPECT_GE(problem.k, 16u);
        EXPECT_GE(problem.n, 10u);
        if (!planned.file.empty()) continue;
        EXPECT_NO_THROW(check(pattern_of(problem, 7), problem.shape()));
      }
    }
  }
}

TEST(Suite, SaysWhichFieldIsWrong) {
  const auto error_of = [](const json& changes, const json& entry_changes = json::object()) {
    json entry = {{"workload", "w"}, {"shapes", {"64x32x16"}}, {"densities", {0.1}}};
    entry.update(entry_changes);
    json suite = {{"schema", "spiketune.suite/1"}, {"entries", json::array({entry})}};
    suite.update(changes);
    try {
      static_cast<void>(suite_from_json(suite, ""));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const json none = json::object();
  EXPECT_EQ(error_of(none), "");
  EXPECT_NE(error_of({{"limit", 1}}).find("no field 'limit'"), std::string::npos);
  EXPECT_NE(error_of({{"limits", 7}}).find("'limits'"), std::string::npos);
  EXPECT_NE(error_of({{"limits", {{"max_sample", 1}}}}).find("'max_sample'"), std::string::npos);
  EXPECT_NE(error_of({{"limits", {{"max_samples", -5}}}}).find("-5"), std::string::npos);
  EXPECT_NE(error_of({{"entries", json::array()}}).find("'entries'"), std::string::npos);
  EXPECT_NE(error_of(none, {{"n", -4}}).find("'n' must be a whole number"), std::string::npos);
  EXPECT_NE(error_of(none, {{"shapes", 7}}).find("'shapes' must be a list"), std::string::npos);
  EXPECT_NE(error_of(none, {{"timesteps", 2.5}}).find("'timesteps'"), std::string::npos);
  EXPECT_NE(error_of(none, {{"timesteps", true}}).find("'timesteps'"), std::string::npos);
  EXPECT_NE(error_of(none, {{"amortise", 4294967297}}).find("'amortise'"), std::string::npos);
  EXPECT_NE(error_of(none, {{"densities", "0.1"}}).find("'densities'"), std::string::npos);
}

// A layer of a published network says where its numbers are from, and the docs say the same.
TEST(Suite, ShippedLayersHaveSourcesAndAreDocumented) {
  std::ifstream file(SPIKETUNE_SOURCE_DIR "/docs/workloads.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  std::size_t layers = 0;
  for (const auto& path : shipped_suites()) {
    EXPECT_NE(docs.find("`" + path.filename().string() + "`"), std::string::npos) << path;
    const json suite = read_json_file(path.string());
    for (const json& entry : suite.at("entries")) {
      if (!entry.contains("layers")) continue;
      ++layers;
      const auto workload = entry.at("workload").get<std::string>();
      const std::size_t row = docs.find("| `" + workload + "` |");
      ASSERT_NE(row, std::string::npos) << workload;
      const std::string line = docs.substr(row, docs.find('\n', row) - row);
      EXPECT_NE(line.find(entry.at("source").get<std::string>()), std::string::npos) << workload;
      EXPECT_NE(line.find("| " + entry.at("timesteps").dump() + " | " +
                          entry.at("positions").dump() + " |"),
                std::string::npos)
          << workload;
      for (const json& density : entry.at("densities")) {
        EXPECT_NE(line.find(density.dump()), std::string::npos) << workload;
      }
    }
  }
  EXPECT_GE(layers, 20u);
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
