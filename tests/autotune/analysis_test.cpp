#include "spiketune/autotune/analysis.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace spiketune {
namespace {

using nlohmann::json;

json problem(double density) {
  return {{"workload", "w"}, {"rows", 8}, {"k", 8}, {"n", 8}, {"density", density}};
}

json measurement(double median, double p05, double p95, const char* mode = "cold") {
  return {{"mode", mode},
          {"median", median},
          {"p05", p05},
          {"p95", p95},
          {"samples", json::array({p05, median, p95})}};
}

/// A correct point without noise.
json point(const char* format, double density, double total) {
  return {{"problem", problem(density)},
          {"format", format},
          {"kernel", std::string(format) + ".k"},
          {"backend", "host"},
          {"baseline", false},
          {"status", "ok"},
          {"lossy", false},
          {"total_us", measurement(total, total, total)}};
}

json with(json value, const char* key, const json& replacement) {
  value[key] = replacement;
  return value;
}

json noisy(const char* format, double density, double p05, double median, double p95) {
  return with(point(format, density, median), "total_us", measurement(median, p05, p95));
}

TEST(Winners, LeastTotalWinsAndIsComparedWithDenseAndBaselines) {
  json library = with(point("dense", 0.1, 40), "baseline", true);
  library["kernel"] = "library.dense";
  const json points = {point("dense", 0.1, 60), point("csr", 0.1, 20), library,
                       with(point("csr", 0.1, 30), "baseline", true)};
  const json winners = compute_winners(points);
  ASSERT_EQ(winners.size(), 1U);
  EXPECT_EQ(winners[0]["format"], "csr");
  EXPECT_EQ(winners[0]["kernel"], "csr.k");
  EXPECT_EQ(winners[0]["problem"], problem(0.1));
  EXPECT_EQ(winners[0]["mode"], "cold");
  EXPECT_EQ(winners[0]["point"], 1);
  EXPECT_DOUBLE_EQ(winners[0]["total_us"], 20);
  EXPECT_DOUBLE_EQ(winners[0]["speedup_over_dense"], 2);            // 40: the library's
  EXPECT_DOUBLE_EQ(winners[0]["speedup_over_best_baseline"], 1.5);  // 30: the other library's
  EXPECT_TRUE(winners[0]["ties"].empty());
}

TEST(Winners, DenseMayWin) {
  const json winners = compute_winners({point("dense", 0.5, 10), point("csr", 0.5, 90)});
  ASSERT_EQ(winners.size(), 1U);
  EXPECT_EQ(winners[0]["format"], "dense");
  EXPECT_DOUBLE_EQ(winners[0]["speedup_over_dense"], 1);
  EXPECT_TRUE(winners[0]["speedup_over_best_baseline"].is_null());
}

TEST(Winners, NothingToCompareWithIsNull) {
  const json winners = compute_winners(json::array({point("csr", 0.5, 90)}));
  ASSERT_EQ(winners.size(), 1U);
  EXPECT_TRUE(winners[0]["speedup_over_dense"].is_null());
  EXPECT_TRUE(winners[0]["speedup_over_best_baseline"].is_null());
}

TEST(Winners, OnlyCorrectLosslessMeasuredPointsCount) {
  const json points = {with(point("a", 0.1, 1), "status", "wrong"),
                       with(point("b", 0.1, 1), "status", "skipped"),
                       with(point("c", 0.1, 1), "lossy", true),
                       with(point("d", 0.1, 1), "total_us", nullptr),
                       with(point("e", 0.1, 1), "total_us", {{"median", nullptr}}),
                       with(point("f", 0.1, 1), "total_us", {{"median", 0}}),
                       point("g", 0.1, 50)};
  const json winners = compute_winners(points);
  ASSERT_EQ(winners.size(), 1U);
  EXPECT_EQ(winners[0]["format"], "g");
}

TEST(Winners, EachProblemAndBackendHasItsOwn) {
  const json points = {point("csr", 0.1, 10), point("csr", 0.2, 20),
                       with(point("ell", 0.1, 1), "backend", "cuda")};
  const json winners = compute_winners(points);
  ASSERT_EQ(winners.size(), 3U);
  EXPECT_EQ(winners[0]["format"], "csr");
  EXPECT_EQ(winners[2]["format"], "ell");
  EXPECT_EQ(winners[2]["backend"], "cuda");
}

TEST(Winners, HotIsNotComparedWithCold) {
  const json hot = with(point("csr", 0.1, 1), "total_us", measurement(1, 1, 1, "hot"));
  const json winners = compute_winners({hot, point("ell", 0.1, 5)});
  ASSERT_EQ(winners.size(), 1U);
  EXPECT_EQ(winners[0]["format"], "ell");
  EXPECT_EQ(compute_winners(json::array({hot}))[0]["mode"], "hot");
}

TEST(Winners, TiesAreFormatsTheNoiseDoesNotSeparate) {
  const json points = {noisy("csr", 0.1, 9, 10, 12), noisy("ell", 0.1, 11, 13, 14),
                       noisy("coo", 0.1, 12.5, 13, 14), noisy("csr", 0.1, 9, 11, 12)};
  EXPECT_EQ(compute_winners(points)[0]["ties"], json::array({"ell"}));
}

// csr: 10 at 1 %, 1000 at 100 %: a slope of 1 in log-log. dense: 100 throughout.
TEST(Crossovers, InterpolatesPowerLawsExactly) {
  const json points = {point("csr", 0.01, 10), point("csr", 1.0, 1000), point("dense", 0.01, 100),
                       point("dense", 1.0, 100)};
  const json crossovers = compute_crossovers(points);
  ASSERT_EQ(crossovers.size(), 1U);
  const json& crossing = crossovers[0];
  EXPECT_EQ(crossing["a"], "csr");
  EXPECT_EQ(crossing["b"], "dense");
  EXPECT_FALSE(crossing["problem"].contains("density"));
  EXPECT_EQ(crossing["problem"]["workload"], "w");
  EXPECT_NEAR(crossing["density"], 0.1, 1e-12);
  EXPECT_NEAR(crossing["low"], 0.1, 1e-12);
  EXPECT_NEAR(crossing["high"], 0.1, 1e-12);
  EXPECT_EQ(crossing["low_open"], false);
  EXPECT_EQ(crossing["high_open"], false);
  EXPECT_NEAR(crossing["total_us"], 100, 1e-9);
  EXPECT_EQ(crossing["faster_below"], "csr");
}

// Limits of csr a factor of 2 off: its upper limit, 2 t, meets 100 at half the density, its lower
// limit, t / 2, at twice. The p05 and p95 of dense widen that by another factor of 2.
TEST(Crossovers, NoiseLeavesAnInterval) {
  json points = {noisy("csr", 0.01, 5, 10, 20), noisy("csr", 1.0, 500, 1000, 2000),
                 point("dense", 0.01, 100), point("dense", 1.0, 100)};
  json crossing = compute_crossovers(points)[0];
  EXPECT_NEAR(crossing["density"], 0.1, 1e-12);
  EXPECT_NEAR(crossing["low"], 0.05, 1e-12);
  EXPECT_NEAR(crossing["high"], 0.2, 1e-12);

  points[2] = noisy("dense", 0.01, 50, 100, 200);
  points[3] = noisy("dense", 1.0, 50, 100, 200);
  crossing = compute_crossovers(points)[0];
  EXPECT_NEAR(crossing["low"], 0.025, 1e-12);
  EXPECT_NEAR(crossing["high"], 0.4, 1e-12);
  EXPECT_EQ(crossing["low_open"], false);
}

TEST(Crossovers, IntervalMayReachTheEdgeOfTheSweep) {
  const json points = {noisy("csr", 0.01, 5, 50, 500), noisy("csr", 1.0, 190, 200, 210),
                       point("dense", 0.01, 100), point("dense", 1.0, 100)};
  const json crossing = compute_crossovers(points)[0];
  EXPECT_EQ(crossing["low_open"], true);
  EXPECT_NEAR(crossing["low"], 0.01, 1e-12);
  EXPECT_EQ(crossing["high_open"], false);
  // The lower limit runs from ln(5/100) to ln(190/100) over ln(100).
  const double share = std::log(20.0) / (std::log(20.0) + std::log(1.9));
  EXPECT_NEAR(crossing["high"], 0.01 * std::pow(100.0, share), 1e-12);
}

TEST(Crossovers, IntervalMaySpanSeveralDensities) {
  // Within noise at 10 %, clear at 1 % and at 100 %.
  const json points = {noisy("csr", 0.01, 10, 10, 10),
                       noisy("csr", 0.1, 50, 90, 200),
                       noisy("csr", 1.0, 1000, 1000, 1000),
                       point("dense", 0.01, 100),
                       point("dense", 0.1, 100),
                       point("dense", 1.0, 100)};
  const json crossing = compute_crossovers(points)[0];
  // Upper limit from ln 0.1 to ln 2 over [1 %, 10 %]; lower from ln 0.5 to ln 10 over [10 %, 1].
  EXPECT_NEAR(crossing["low"], 0.01 * std::pow(10.0, std::log(10.0) / std::log(20.0)), 1e-12);
  EXPECT_NEAR(crossing["high"], 0.1 * std::pow(10.0, std::log(2.0) / std::log(20.0)), 1e-12);
  EXPECT_GT(crossing["density"], 0.1);
}

TEST(Crossovers, OneEntryPerSignChange) {
  json points = json::array();
  const double densities[] = {0.01, 0.1, 1.0};
  const double csr[] = {50, 200, 50};
  for (int i = 0; i < 3; ++i) {
    points.push_back(point("csr", densities[i], csr[i]));
    points.push_back(point("dense", densities[i], 100));
  }
  const json crossovers = compute_crossovers(points);
  ASSERT_EQ(crossovers.size(), 2U);
  EXPECT_NEAR(crossovers[0]["density"], std::sqrt(0.001), 1e-12);
  EXPECT_EQ(crossovers[0]["faster_below"], "csr");
  EXPECT_NEAR(crossovers[1]["density"], std::sqrt(0.1), 1e-12);
  EXPECT_EQ(crossovers[1]["faster_below"], "dense");
}

TEST(Crossovers, EqualTotalsAreACrossingOnlyBetweenDifferentSigns) {
  const auto curve = [](double first, double second, double third, double fourth) {
    json points = json::array();
    const double densities[] = {0.001, 0.01, 0.1, 1.0};
    const double totals[] = {first, second, third, fourth};
    for (int i = 0; i < 4; ++i) {
      points.push_back(point("csr", densities[i], totals[i]));
      points.push_back(point("dense", densities[i], 100));
    }
    return compute_crossovers(points);
  };
  EXPECT_TRUE(curve(50, 100, 100, 50).empty());    // touches
  EXPECT_TRUE(curve(100, 100, 50, 50).empty());    // starts equal
  EXPECT_TRUE(curve(100, 100, 100, 100).empty());  // the same throughout
  const json one = curve(50, 100, 200, 400);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_NEAR(one[0]["density"], 0.01, 1e-12);
  const json middle = curve(50, 100, 100, 400);
  ASSERT_EQ(middle.size(), 1U);
  EXPECT_NEAR(middle[0]["density"], std::sqrt(0.001), 1e-12);
  EXPECT_NEAR(middle[0]["low"], 0.01, 1e-12);
  EXPECT_NEAR(middle[0]["high"], 0.1, 1e-12);
}

TEST(Crossovers, UsesTheBestOfEachFormatAtEachDensity) {
  // Own csr is fast at low density, the library's at high: the curve is the lower of the two.
  const json points = {point("csr", 0.01, 10),
                       with(point("csr", 0.01, 500), "baseline", true),
                       point("csr", 1.0, 9000),
                       with(point("csr", 1.0, 1000), "baseline", true),
                       with(point("dense", 0.01, 100), "baseline", true),
                       point("dense", 0.01, 400),
                       point("dense", 1.0, 100)};
  const json crossovers = compute_crossovers(points);
  ASSERT_EQ(crossovers.size(), 1U);
  EXPECT_NEAR(crossovers[0]["density"], 0.1, 1e-12);
}

TEST(Crossovers, BetweenSparseWinnersToo) {
  const json points = {point("csr", 0.01, 10),     point("csr", 1.0, 1000),
                       point("bitmap", 0.01, 100), point("bitmap", 1.0, 100),
                       point("ell", 0.01, 300),    point("ell", 1.0, 200)};
  const json crossovers = compute_crossovers(points);
  ASSERT_EQ(crossovers.size(), 1U);  // none with ell, which never wins
  EXPECT_EQ(crossovers[0]["a"], "csr");
  EXPECT_EQ(crossovers[0]["b"], "bitmap");
  EXPECT_NEAR(crossovers[0]["density"], 0.1, 1e-12);
}

TEST(Crossovers, ProblemsAreKeptApart) {
  json other = point("csr", 1.0, 1000);
  other["problem"]["n"] = 16;
  const json points = {point("csr", 0.01, 10), other, point("dense", 0.01, 100),
                       point("dense", 1.0, 100)};
  EXPECT_TRUE(compute_crossovers(points).empty());
}

TEST(Crossovers, DensitiesOnlyOneWasMeasuredAtAreSkipped) {
  const json points = {point("csr", 0.01, 10), point("csr", 0.1, 1e6), point("csr", 1.0, 1000),
                       point("dense", 0.01, 100), point("dense", 1.0, 100)};
  const json crossovers = compute_crossovers(points);
  ASSERT_EQ(crossovers.size(), 1U);
  EXPECT_NEAR(crossovers[0]["density"], 0.1, 1e-12);
}

TEST(Analysis, SurvivesWhateverIsMissing) {
  json no_limits = point("csr", 0.01, 10);
  no_limits["total_us"] = {{"mode", "cold"}, {"median", 10}};
  json no_density = point("csr", 0.1, 10);
  no_density["problem"].erase("density");
  const json points = {nullptr,
                       1,
                       json::object(),
                       {{"problem", nullptr}, {"status", "ok"}},
                       with(point("x", 0.1, 1), "format", nullptr),
                       with(point("csr", 0, 5), "problem", problem(0)),
                       with(point("csr", 0, 5), "problem", "text"),
                       no_density,
                       no_limits,
                       point("csr", 1.0, 1000),
                       point("dense", 0.01, 100),
                       point("dense", 1.0, 100)};
  EXPECT_EQ(compute_winners(points).size(), 4U);  // densities 0, none, 1 % and 100 %
  EXPECT_EQ(compute_crossovers(points).size(), 1U);
  for (const json& nothing : {json(nullptr), json::object(), json::array(), json("text")}) {
    EXPECT_EQ(compute_winners(nothing), json::array());
    EXPECT_EQ(compute_crossovers(nothing), json::array());
    EXPECT_EQ(points_in_mode(nothing, "hot"), json::array());
    EXPECT_EQ(primary_mode(nothing), "cold");
  }
}

TEST(Analysis, FillsTheReport) {
  json report = {{"points",
                  {point("csr", 0.01, 10), point("csr", 1.0, 1000), point("dense", 0.01, 100),
                   point("dense", 1.0, 100)}},
                 {"winners", "stale"}};
  add_analysis(report);
  EXPECT_EQ(report["winners"].size(), 2U);
  EXPECT_EQ(report["crossovers"].size(), 1U);
  json empty = json::object();
  add_analysis(empty);
  EXPECT_EQ(empty["winners"], json::array());
}

TEST(Analysis, ModesAreTakenApart) {
  json both = point("csr", 0.1, 10);
  both["total_hot_us"] = measurement(4, 4, 4, "hot");
  both["encode_us"] = measurement(2, 2, 2);
  const json hot_only = with(point("ell", 0.1, 1), "total_us", measurement(3, 3, 3, "hot"));
  const json points = {both, hot_only};
  EXPECT_EQ(primary_mode(points), "cold");
  EXPECT_EQ(primary_mode(json::array({hot_only})), "hot");

  const json cold = points_in_mode(points, "cold");
  EXPECT_EQ(cold[0]["total_us"]["median"], 10.0);
  EXPECT_EQ(cold[0]["encode_us"]["median"], 2.0);
  EXPECT_TRUE(cold[1]["total_us"].is_null());
  const json hot = points_in_mode(points, "hot");
  EXPECT_EQ(hot[0]["total_us"]["median"], 4.0);
  EXPECT_TRUE(hot[0]["encode_us"].is_null());
  EXPECT_EQ(hot[1]["total_us"]["median"], 3.0);
  EXPECT_EQ(compute_winners(hot)[0]["format"], "ell");
}

}  // namespace
}  // namespace spiketune
