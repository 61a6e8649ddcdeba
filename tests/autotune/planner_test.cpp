#include "spiketune/autotune/planner.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
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

/// A device with known laws: dense costs M·K·N, csr nnz·N, each with its launches.
double law(const std::string& format, const Problem& problem) {
  const double all = 1e-6 * static_cast<double>(problem.m()) * problem.k * problem.n;
  return format == "dense" ? 8 + 0.01 * all : 12 + 0.2 * all * problem.density;
}

std::vector<TunedPoint> tuned(const std::vector<Problem>& problems) {
  std::vector<TunedPoint> points;
  for (const Problem& problem : problems) {
    for (const char* format : {"dense", "csr"}) {
      const double time = law(format, problem);
      points.push_back({problem, format, "rows", json::object(), "cuda", false, false, 0.25 * time,
                        0.75 * time, time});
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
    const Problem problem = problem_of(3000, 1500, 1500, density);
    const std::vector<Plan> plans = planner.plan(problem);
    ASSERT_EQ(plans.size(), 2u);
    const std::string best = law("csr", problem) < law("dense", problem) ? "csr" : "dense";
    EXPECT_EQ(plans.front().format, best) << density;
    for (const Plan& plan : plans) {
      const double really = law(plan.format, problem);
      EXPECT_NEAR(plan.total_us / really, 1, 0.15) << plan.format << density;
      EXPECT_LE(plan.low_us, plan.total_us);
      EXPECT_GE(plan.high_us, plan.total_us);
      EXPECT_NEAR(plan.encode_us / plan.total_us, 0.25, 1e-6);
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

TEST(Planner, IgnoresWhatItCannotRead) {
  EXPECT_TRUE(tuned_points(json::object()).empty());
  const json report = {{"points", {{{"status", "ok"}}, 3, nullptr, {{"status", "failed"}}}}};
  EXPECT_TRUE(tuned_points(report).empty());
  EXPECT_THROW(static_cast<void>(evaluate_planner(report)), Error);
}

TEST(Planner, ChoosesWellOnTheH200WhatItHasNotSeen) {
  const json report = read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/foundation.json");
  const PlanEvaluation result = evaluate_planner(report);
  EXPECT_GE(result.choices.size(), 12u);
  RecordProperty("mean_regret", std::to_string(result.mean_regret));
  RecordProperty("p95_regret", std::to_string(result.p95_regret));
  RecordProperty("worst_over_dense", std::to_string(result.worst_over_dense));
  EXPECT_LE(result.mean_regret, 0.03);
  EXPECT_LE(result.p95_regret, 0.10);
  EXPECT_LE(result.worst_over_dense, 0.05);
}

TEST(Planner, ChoosesWellAmongTheDensitiesOfProductShapes) {
  const json report = read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/compute.json");
  const PlanEvaluation result = evaluate_planner(report);
  EXPECT_EQ(result.choices.size(), 18u);
  EXPECT_LE(result.mean_regret, 0.03);
  EXPECT_LE(result.p95_regret, 0.10);
  EXPECT_LE(result.worst_over_dense, 0.05);
}

// Six shapes and six densities: nine problems train.
TEST(Planner, ShapesAreHeldOutToo) {
  const json report = read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/compute.json");
  const PlanEvaluation result = evaluate_planner(report, {}, HoldOut::shapes_and_densities);
  EXPECT_EQ(result.choices.size(), 27u);
  std::map<std::uint64_t, int> judged;
  for (const PlanEvaluation::Choice& choice : result.choices) ++judged[choice.problem.m()];
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
