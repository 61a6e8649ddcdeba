#include "spiketune/autotune/planner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

Problem problem_of(std::uint64_t m, std::uint32_t k, std::uint32_t n, double density) {
  Problem problem;
  problem.rows = m;
  problem.k = k;
  problem.n = n;
  problem.density = density;
  return problem;
}

double encode_law(const Problem& problem) {
  return 2 + 2e-6 * static_cast<double>(problem.m()) * problem.k;
}

/// A device with known laws: dense costs M·K·N, csr nnz·N, each with its launches and encode.
double law(const std::string& format, const Problem& problem) {
  const double all = 1e-6 * static_cast<double>(problem.m()) * problem.k * problem.n;
  return encode_law(problem) +
         (format == "dense" ? 6 + 0.01 * all : 10 + 0.2 * all * problem.density);
}

std::vector<TunedPoint> tuned(const std::vector<Problem>& problems) {
  std::vector<TunedPoint> points;
  for (const Problem& problem : problems) {
    for (const char* format : {"dense", "csr"}) {
      const double time = law(format, problem);
      const double encode = encode_law(problem);
      points.push_back({problem, format, "rows", json::object(), "cuda", false, false, encode,
                        time - encode, time});
    }
  }
  return points;
}

std::vector<Problem> grid() {
  std::vector<Problem> problems;
  for (const std::uint32_t size : {512u, 1024u, 2048u, 4096u}) {
    for (const double density : {0.005, 0.02, 0.08, 0.32}) {
      problems.push_back(problem_of(size, size, size, density));
    }
  }
  return problems;
}

TEST(Planner, PredictsBetweenTunedPoints) {
  const Planner planner(tuned(grid()));
  for (const double density : {0.01, 0.04, 0.15}) {
    const Problem problem = problem_of(3000, 1504, 1504, density);
    const std::vector<Plan> plans = planner.plan(problem);
    ASSERT_EQ(plans.size(), 2u);
    const std::string best = law("csr", problem) < law("dense", problem) ? "csr" : "dense";
    EXPECT_EQ(plans.front().format, best) << density;
    for (const Plan& plan : plans) {
      const double really = law(plan.format, problem);
      EXPECT_NEAR(plan.total_us / really, 1, 0.15) << plan.format << density;
      EXPECT_LE(plan.low_us, plan.total_us);
      EXPECT_GE(plan.high_us, plan.total_us);
      EXPECT_NEAR(plan.encode_us / encode_law(problem), 1, 0.15);
      EXPECT_FALSE(plan.reason.empty());
    }
  }
}

TEST(Planner, AtATunedPointItIsThatPoint) {
  const Planner planner(tuned(grid()));
  for (const Problem& problem : grid()) {
    for (const Plan& plan : planner.plan(problem)) {
      EXPECT_NEAR(plan.total_us / law(plan.format, problem), 1, 0.01);
      EXPECT_EQ(plan.distance, 0);
    }
  }
}

TEST(Planner, FarFromEverythingItRecommendsDense) {
  const Planner planner(tuned(grid()));
  const std::vector<Plan> plans = planner.plan(problem_of(1 << 20, 16, 4, 0.001));
  EXPECT_EQ(plans.front().format, "dense");
  EXPECT_FALSE(plans.back().trusted);
  EXPECT_NE(plans.back().reason.find("too far"), std::string::npos);
}

TEST(Planner, OffersLossyFormatsAndOtherLibrariesOnlyWhenAsked) {
  std::vector<TunedPoint> points = tuned(grid());
  for (TunedPoint point : tuned({problem_of(1024, 1024, 1024, 0.02)})) {
    point.total_us = 1;
    point.format = point.format == "csr" ? "pruned" : "theirs";
    point.lossy = point.format == "pruned";
    point.baseline = point.format == "theirs";
    points.push_back(point);
  }
  const Planner planner(points);
  const Problem problem = problem_of(1024, 1024, 1024, 0.02);
  EXPECT_EQ(planner.plan(problem).size(), 2u);
  EXPECT_EQ(planner.plan(problem, {true, false}).size(), 3u);
  EXPECT_EQ(planner.plan(problem, {true, true}).size(), 4u);
  Problem other = problem;
  other.weights = DType::bf16;
  EXPECT_TRUE(planner.plan(other).empty());
  other.density = 2;
  EXPECT_THROW(static_cast<void>(planner.plan(other)), Error);
}

TEST(Planner, AnotherWidthOfYIsPredictedFromTheOneThatWasTuned) {
  // f16 Y everywhere, f32 Y at one shape alone.
  std::vector<TunedPoint> points;
  for (TunedPoint point : tuned(grid())) {
    point.problem.output = DType::f16;
    points.push_back(point);
  }
  for (const TunedPoint& point : tuned({problem_of(512, 512, 512, 0.02)})) points.push_back(point);
  const Planner planner(points);
  const Problem problem = problem_of(2048, 2048, 2048, 0.08);  // f32
  const std::vector<Plan> plans = planner.plan(problem);
  ASSERT_EQ(plans.size(), 2u);
  for (const Plan& plan : plans) {
    EXPECT_NEAR(plan.total_us / law(plan.format, problem), 1, 0.15) << plan.format;
    EXPECT_GT(plan.distance, 0.5);
  }
}

TEST(Planner, DoesNotTrustWhatWasTunedWithAnotherAlignment) {
  const Planner planner(tuned(grid()));
  const Problem problem = problem_of(2048, 1023, 1024, 0.005);
  ASSERT_LT(law("csr", problem), 0.6 * law("dense", problem));
  EXPECT_EQ(planner.plan(problem).front().format, "dense");
  EXPECT_FALSE(planner.plan(problem).back().trusted);
}

TEST(Planner, RecommendsDenseWhereSomethingElseMayWellBeSlower) {
  // CSR takes as long as dense, give or take two fifths: no sum of terms explains it.
  std::vector<TunedPoint> points = tuned(grid());
  std::size_t i = 0;
  for (TunedPoint& point : points) {
    if (point.format != "csr") continue;
    const bool slow = (i / 4 + i) % 2 == 0;  // four densities of each shape
    ++i;
    const double time = law("dense", point.problem) * (slow ? 1.4 : 1 / 1.4);
    point.compute_us = time - point.encode_us;
    point.total_us = time;
  }
  const std::vector<Plan> plans = Planner(points).plan(problem_of(3000, 1504, 1504, 0.05));
  EXPECT_EQ(plans.front().format, "dense");
  EXPECT_FALSE(plans.back().trusted);
  EXPECT_NE(plans.back().reason.find("slower than dense"), std::string::npos);
}

TEST(Planner, IntervalsGrowWithTheDistanceFromTunedShapes) {
  const Planner planner(tuned(grid()));
  double before = 1;
  for (const std::uint32_t size : {4096u, 16384u, 65536u}) {
    const Plan plan = planner.plan(problem_of(size, size, size, 0.02)).front();
    EXPECT_GT(plan.high_us / plan.low_us, before);
    before = plan.high_us / plan.low_us;
  }
}

TEST(Planner, DoesNotTrustAKernelWhoseWayWasNeverTuned) {
  // Tuned with strips of W in shared memory alone: nothing is known of tiles, for larger K.
  std::vector<TunedPoint> points;
  for (TunedPoint point :
       tuned({problem_of(50176, 512, 64, 0.1), problem_of(25088, 512, 64, 0.1),
              problem_of(50176, 768, 64, 0.1), problem_of(25088, 768, 64, 0.1)})) {
    if (point.format == "csr") {
      point.format = "bitmap";
      point.kernel = "expand_mma";
      point.config = {{"tile_m", 0}, {"tile_n", 0}, {"split", 0}, {"tiles", false}};
      point.compute_us /= 100;
      point.total_us = point.encode_us + point.compute_us;
    }
    point.units = 132;
    points.push_back(point);
  }
  EXPECT_EQ(Planner(points).plan(problem_of(40000, 768, 64, 0.1)).front().format, "bitmap");
  const std::vector<Plan> plans = Planner(points).plan(problem_of(40000, 1808, 64, 0.1));
  EXPECT_EQ(plans.front().format, "dense");
  EXPECT_NE(plans.back().reason.find("none of them with"), std::string::npos);
}

TEST(Planner, TilesThatDoNotFillTheLastTurnCostAWholeOne) {
  // Tiles of 256 × 128 on 100 multiprocessors: one turn up to M = 6400 at N = 512.
  const auto time_of = [](const Problem& problem) {
    const double tiles =
        std::ceil(static_cast<double>(problem.m()) / 256) * std::ceil(problem.n / 128.0);
    return 5 + 40 * std::ceil(tiles / 100) * problem.k / 1024;
  };
  std::vector<TunedPoint> points;
  for (const std::uint32_t m : {3200u, 6400u, 12800u, 25600u, 51200u}) {
    for (const std::uint32_t k : {512u, 1024u, 2048u}) {
      const Problem problem = problem_of(m, k, 512, 0.1);
      const double time = time_of(problem);
      points.push_back({problem, "dense", "tiles", json::object(), "cuda", false, false, 1, time,
                        time + 1, 100});
    }
  }
  const auto error = [&](bool known) {
    std::vector<TunedPoint> same = points;
    if (!known) {
      for (TunedPoint& point : same) point.units = 0;
    }
    const Problem problem = problem_of(13312, 1024, 512, 0.1);  // 208 tiles: a third turn
    return std::abs(std::log(Planner(same).plan(problem).front().compute_us / time_of(problem)));
  };
  EXPECT_LT(error(true), 0.25);
  EXPECT_GT(error(false), error(true));
}

TEST(Planner, ProductsThatShareAnEncodingTakeTheirTimeEach) {
  const Planner planner(tuned(grid()));
  Problem problem = problem_of(1024, 1024, 1024, 0.02);
  const double once = planner.plan(problem).front().compute_us;
  problem.amortise = 5;
  const Plan plan = planner.plan(problem).front();
  EXPECT_NEAR(plan.compute_us, 5 * once, 1e-6);
  EXPECT_NEAR(plan.total_us, plan.encode_us + plan.compute_us, 1e-6);
}

TEST(Planner, IgnoresWhatItCannotRead) {
  EXPECT_TRUE(tuned_points(json::object()).empty());
  const json report = {{"points", {{{"status", "ok"}}, 3, nullptr, {{"status", "failed"}}}}};
  EXPECT_TRUE(tuned_points(report).empty());
  EXPECT_THROW(static_cast<void>(evaluate_planner(tuned_points(report))), Error);
  EXPECT_THROW(static_cast<void>(verdict_of({})), Error);
}

/// What is reached on the committed reports, beside them: bars that are missed, each with what is
/// reached instead, and the numbers of problems.
const json& reached() {
  static const json all = read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/planner_reached.json");
  return all;
}

/// The bars: regret 3 % in the mean and 10 % at the 95th percentile, 5 % slower than dense at most.
/// One that is said to be missed must be, and by no more than is said.
void expect_good(const std::vector<PlanChoice>& choices, const json& missed = json::object()) {
  const PlanVerdict result = verdict_of(choices);
  const auto expect = [&](const char* name, double value, double bar) {
    EXPECT_LE(value, missed.value(name, bar)) << name;
    EXPECT_TRUE(!missed.contains(name) || value > bar) << name << " is " << value << ": met by now";
  };
  expect("mean_regret", result.mean_regret, 0.03);
  expect("p95_regret", result.p95_regret, 0.10);
  expect("worst_over_dense", result.worst_over_dense, 0.05);
}

std::vector<TunedPoint> recorded(const std::string& name) {
  return tuned_points(read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/" + name));
}

/// Of the totals of chosen plans, the share that the interval holds.
double share_within(const std::vector<PlanChoice>& choices) {
  std::size_t within = 0;
  for (const PlanChoice& choice : choices) {
    within += choice.plan.low_us <= choice.chosen_us && choice.chosen_us <= choice.plan.high_us;
  }
  return static_cast<double>(within) / static_cast<double>(choices.size());
}

TEST(Planner, ChoosesWellOnTheH200WhatItHasNotSeen) {
  std::set<std::string> shapes;
  for (const json& judged : reached().at("judged")) {
    const std::string name = judged.at("report");
    const bool of_shapes = judged.at("hold_out") == "shapes";
    SCOPED_TRACE(name + (of_shapes ? ", shapes" : ", densities"));
    if (of_shapes) shapes.insert(name);
    const std::vector<PlanChoice> choices = evaluate_planner(
        recorded(name), {}, of_shapes ? HoldOut::shapes_and_densities : HoldOut::densities);
    EXPECT_EQ(choices.size(), judged.at("problems").get<std::size_t>());
    expect_good(choices, judged.at("missed"));
    EXPECT_GE(share_within(choices), judged.value("within", 0.0));
  }
  for (const char* name : {"planning.json.gz", "transformers.json.gz", "cnn.json.gz"}) {
    EXPECT_TRUE(shapes.contains(name)) << name;
  }
}

// VGG9's first layer is missed, with each type of W: it alone is taken in strips, so those are
// tuned for none of the shapes that train, and dense is recommended. So is K = 4608 with W in s4
// and e4m3, where dense in 8 bits is tuned for none of the shapes that are alike.
TEST(Planner, MissesFewLayersOfConvolutionalNetworks) {
  for (const PlanChoice& choice :
       evaluate_planner(recorded("cnn.json.gz"), {}, HoldOut::shapes_and_densities)) {
    if (choice.problem.workload == "vgg9_cifar10.conv1") continue;
    const bool missed =
        choice.problem.weights == DType::s4 || choice.problem.weights == DType::e4m3;
    EXPECT_LE(choice.chosen_us, (missed ? 1.15 : 1.10) * choice.best_us)
        << problem_name(choice.problem);
  }
}

TEST(Planner, IsJudgedOnRecordedSpikesToo) {
  const std::vector<PlanChoice> choices =
      evaluate_planner(recorded("planning.json.gz"), {}, HoldOut::shapes_and_densities);
  EXPECT_EQ(
      std::count_if(choices.begin(), choices.end(),
                    [](const PlanChoice& choice) { return choice.problem.pattern == "trace"; }),
      5);
}

// One half may be lucky. Of others, at random, the bars hold in the mean, and for nearly all
// problems.
TEST(Planner, ChoosesWellWhicheverHalfOfTheShapesItHasSeen) {
  const std::vector<TunedPoint> report = recorded("planning.json.gz");
  std::size_t judged = 0;
  std::size_t slower = 0;
  double mean = 0;
  double within = 0;
  constexpr std::uint64_t halves = 8;
  for (std::uint64_t seed = 1; seed <= halves; ++seed) {
    const std::vector<PlanChoice> result =
        evaluate_planner(report, {}, HoldOut::shapes_and_densities, seed);
    for (const PlanChoice& choice : result) {
      slower += choice.chosen_us > 1.05 * choice.dense_us;
    }
    judged += result.size();
    mean += verdict_of(result).mean_regret / halves;
    within += share_within(result) / halves;
  }
  EXPECT_GT(judged, halves * 250);
  const json& said = reached().at("random_halves");
  EXPECT_LE(mean, said.at("mean_regret"));
  EXPECT_LE(static_cast<double>(slower),
            said.at("slower_than_dense").get<double>() * static_cast<double>(judged));
  EXPECT_GE(within, said.at("within"));
}

// Three shapes train and say little of the others, so that intervals have to be wide.
TEST(Planner, IntervalsAreHonestWhereFewUnlikeShapesWereTuned) {
  for (const auto& [name, least] : reached().at("within_of_few_shapes").items()) {
    const std::vector<PlanChoice> result =
        evaluate_planner(recorded(name), {}, HoldOut::shapes_and_densities);
    EXPECT_GE(share_within(result), least.get<double>()) << name;
  }
}

// Six shapes and six densities: nine problems train.
TEST(Planner, ShapesAreHeldOutToo) {
  const std::vector<TunedPoint> report = recorded("compute.json");
  const std::vector<PlanChoice> result =
      evaluate_planner(report, {}, HoldOut::shapes_and_densities);
  EXPECT_EQ(result.size(), 27u);
  std::map<std::uint64_t, int> judged;
  for (const PlanChoice& choice : result) ++judged[choice.problem.m()];
  // Of a shape that was never seen all six densities are judged, of the others the odd ones.
  int unseen = 0;
  for (const auto& [m, count] : judged) {
    EXPECT_TRUE(count == 3 || count == 6) << m;
    unseen += count == 6;
  }
  EXPECT_EQ(unseen, 3);
}

}  // namespace
}  // namespace spiketune
