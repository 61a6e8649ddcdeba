#include "spiketune/autotune/compare.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "spiketune/autotune/replay.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using Samples = std::vector<double>;

json measurement(const Samples& samples, const char* mode = "cold") {
  return {{"mode", mode}, {"median", samples[samples.size() / 2]}, {"samples", samples}};
}

json point(const char* format, double density, const Samples& total) {
  return {{"problem",
           {{"workload", "w"},
            {"timesteps", 1},
            {"rows", 8},
            {"k", 8},
            {"n", 8},
            {"density", density},
            {"pattern", "bernoulli"}}},
          {"format", format},
          {"kernel", "rows"},
          {"config", json::object()},
          {"backend", "host"},
          {"baseline", false},
          {"status", "ok"},
          {"nnz", 10},
          {"total_us", measurement(total)},
          {"command", "spiketune sweep --shape 8x8x8 --seed 1"}};
}

json report(const std::vector<json>& points, const char* cpu = "cpu") {
  return {{"schema", "spiketune.report/1"},
          {"created", "2026-01-01T00:00:00Z"},
          {"git", "abc"},
          {"environment", {{"cpu", cpu}, {"threads", 2}, {"versions", {{"library", "1"}}}}},
          {"points", points}};
}

/// Ten samples within 1 % of `center`.
Samples around(double center) {
  Samples samples;
  for (int i = 0; i < 10; ++i) samples.push_back(center * (0.995 + 0.001 * i));
  return samples;
}

json with(json value, const char* key, const json& replacement) {
  value[key] = replacement;
  return value;
}

json compare_points(const std::vector<json>& base, const std::vector<json>& next,
                    double min_effect = 0.02, double drift = 0.001) {
  return compare_reports(report(base), report(next), {min_effect, drift});
}

std::string verdict_of(const Samples& base, const Samples& next, double drift = 0.001) {
  const json result =
      compare_points({point("csr", 0.1, base)}, {point("csr", 0.1, next)}, 0.02, drift);
  return result["points"][0]["series"][0]["verdict"];
}

TEST(Compare, TheFourVerdicts) {
  EXPECT_EQ(verdict_of(around(100), around(110)), "slower");
  EXPECT_EQ(verdict_of(around(100), around(90)), "faster");
  EXPECT_EQ(verdict_of(around(100), around(100.5)), "same");
  // Significant, but below the least effect; the interval reaches beyond it.
  EXPECT_EQ(verdict_of(around(100), around(101.8)), "undecided");
  // Large, but not proven.
  EXPECT_EQ(verdict_of({100, 110, 120, 130}, {90, 125, 135, 145}), "undecided");
  EXPECT_EQ(verdict_of({100, 101, 102}, {200, 201, 202}), "undecided");
}

TEST(Compare, DriftTakesProofAway) {
  EXPECT_EQ(verdict_of(around(100), around(105), 0.001), "slower");
  EXPECT_EQ(verdict_of(around(100), around(105), 0.05), "undecided");
  EXPECT_EQ(verdict_of(around(100), around(100.1), 0.05), "undecided");
}

TEST(Compare, RatiosAreNewOverBase) {
  const json result =
      compare_points({point("csr", 0.1, around(100))}, {point("csr", 0.1, around(150))});
  const json& series = result["points"][0]["series"][0];
  EXPECT_NEAR(series["ratio"].get<double>(), 1.5, 1e-9);
  EXPECT_LT(series["low"].get<double>(), 1.5);
  EXPECT_GT(series["high"].get<double>(), 1.5);
  EXPECT_EQ(result["families"][0]["quantity"], "total");
  EXPECT_EQ(result["families"][0]["counts"]["slower"], 1);
  EXPECT_TRUE(total_slower(result));
  EXPECT_FALSE(total_slower(
      compare_points({point("csr", 0.1, around(150))}, {point("csr", 0.1, around(100))})));
}

TEST(Compare, ModesAndQuantitiesAreKeptApart) {
  json base = point("csr", 0.1, around(100));
  base["total_hot_us"] = measurement(around(10), "hot");
  base["encode_us"] = measurement(around(5));
  json next = base;
  next["total_hot_us"] = measurement(around(20), "hot");
  const json result = compare_points({base}, {next});
  std::map<std::string, std::string> verdicts;
  for (const json& series : result["points"][0]["series"]) {
    verdicts[series["quantity"].get<std::string>() + " " + series["mode"].get<std::string>()] =
        series["verdict"];
  }
  EXPECT_EQ(verdicts,
            (std::map<std::string, std::string>{
                {"total cold", "same"}, {"total hot", "slower"}, {"encode cold", "same"}}));
  // A report of hot samples alone keeps them under the main key.
  json hot = point("csr", 0.1, around(100));
  hot["total_us"] = measurement(around(10), "hot");
  EXPECT_EQ(compare_points({base}, {hot})["points"][0]["series"][0]["mode"], "hot");
}

/// Reason and detail of the one refused point.
std::pair<std::string, std::string> refusal(const json& base, const json& next) {
  const json good = point("dense", 0.5, around(1));
  const json result = compare_points({good, base}, {good, next});
  EXPECT_EQ(result["points"].size(), 1u);
  EXPECT_GE(result["refused"].size(), 1u);
  const json& first = result["refused"][0];
  EXPECT_EQ(first["count"], first["points"].size());
  return {first["reason"], first["points"][0]["detail"]};
}

TEST(Compare, RefusesWhatIsNotTheSameWork) {
  using Words = std::pair<std::string, std::string>;
  const json csr = point("csr", 0.1, around(1));
  json failed = with(csr, "status", "failed");
  failed["reason"] = "out of memory";
  EXPECT_EQ(refusal(csr, failed), Words("not ok in the new report", "failed: out of memory"));
  EXPECT_EQ(refusal(failed, csr), Words("not ok in the base", "failed: out of memory"));
  EXPECT_EQ(refusal(failed, failed).first, "not ok in either report");
  EXPECT_EQ(refusal(csr, with(csr, "nnz", 11)), Words("other spikes", "10 and 11 nonzeros"));
  EXPECT_EQ(refusal(csr, with(csr, "command", "spiketune sweep --seed 2")),
            Words("other spikes", "seed 1 and 2"));
  EXPECT_EQ(refusal(csr, with(csr, "backend", "cuda")), Words("another backend", "host and cuda"));
  json temporal = csr;
  temporal["problem"]["pattern"] = "temporal";
  temporal["problem"]["pattern_params"] = {{"persistence", 0.5}};
  EXPECT_EQ(refusal(csr, temporal),
            Words("another pattern of spikes", "bernoulli and temporal{\"persistence\":0.5}"));
  EXPECT_EQ(refusal(csr, point("csr", 0.2, around(1))).first, "only in the base");
  json hot = csr;
  hot["total_us"] = measurement(around(1), "hot");
  EXPECT_EQ(refusal(csr, hot).first, "no samples of the same mode in both");
  json zero = csr;
  zero["total_us"]["samples"] = {0, 0, 0, 0};
  EXPECT_EQ(refusal(csr, zero).first, "no samples of the same mode in both");
}

TEST(Compare, NothingInCommonIsAnError) {
  const json csr = point("csr", 0.1, around(1));
  try {
    static_cast<void>(compare_points({csr}, {with(csr, "backend", "cuda")}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another backend (host and cuda)"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(static_cast<void>(compare_reports(report({}), report({}))), Error);
}

TEST(Compare, TakesAnyJson) {
  const json csr = point("csr", 0.1, around(1));
  const std::vector<json> odd{nullptr, 3, "text", json::array({1, 2}), json::object()};
  for (const json& value : odd) {
    for (const char* key : {"problem", "format", "kernel", "config", "backend", "status", "nnz",
                            "total_us", "command", "encode_us"}) {
      const json spoilt = with(csr, key, value);
      const json result = compare_points({csr, spoilt, value}, {csr, spoilt, value});
      EXPECT_FALSE(render_comparison_text(result, 80, true).empty());
      EXPECT_FALSE(render_comparison_markdown(result, true).empty());
    }
    for (const char* key : {"environment", "created", "git"}) {
      const json result = compare_reports(with(report({csr}), key, value), report({csr}));
      EXPECT_FALSE(render_comparison_text(result, 80, true).empty());
    }
    EXPECT_THROW(static_cast<void>(compare_reports(value, report({csr}))), Error);
  }
}

TEST(Compare, SaysWhatDiffersInTheEnvironment) {
  const std::vector<json> points{point("csr", 0.1, around(100))};
  json next = report(points, "other cpu");
  next["git"] = "def";
  next["environment"]["versions"] = {{"library", "2"}, {"new", "1"}};
  const json result = compare_reports(report(points), next);
  EXPECT_FALSE(result["same_device"].get<bool>());
  EXPECT_EQ(result["families"][0]["drift_from"], "assumed");
  std::set<std::string> what;
  for (const json& difference : result["differences"]) what.insert(difference["what"]);
  EXPECT_EQ(what, (std::set<std::string>{"git", "cpu", "library", "new"}));
  const std::string text = render_comparison_text(result, 200, false);
  EXPECT_NE(text.find("git abc → def"), std::string::npos) << text;
  EXPECT_NE(text.find("devices differ"), std::string::npos) << text;
}

TEST(Compare, TextFitsTheTerminal) {
  std::vector<json> base;
  std::vector<json> next;
  for (int i = 0; i < 30; ++i) {
    json one = point("a_format_with_a_rather_long_name", 0.01 * (i + 1), around(100));
    one["config"] = {{"slice_height", 32}, {"sigma", 256}};
    base.push_back(one);
    one["total_us"] = measurement(around(i % 3 == 0 ? 130 : 100));
    next.push_back(one);
  }
  const json result = compare_points(base, next);
  for (const int width : {60, 80, 120}) {
    std::istringstream lines(render_comparison_text(result, width, true));
    for (std::string line; std::getline(lines, line);) {
      const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;
      });
      EXPECT_LE(columns, std::max(width, 84)) << line;
    }
  }
}

// A build slowed by 5 % in one kernel, on recorded samples.

const json& recorded() {
  static const json report = read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/foundation.json");
  return report;
}

std::string kernel_of(const json& point) {
  return point["format"].get<std::string>() + "." + point["kernel"].get<std::string>();
}

/// The report measured again: samples drawn from those recorded, times a drift of `drift` for each
/// problem and each point, and `slowdown` for products and totals of one kernel.
json measured_again(const json& original, unsigned seed, double drift, const std::string& kernel,
                    double slowdown) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, drift);
  std::map<std::string, double> of_problem;
  json result = original;
  for (json& point : result["points"]) {
    const auto [found, added] = of_problem.emplace(point["problem"].dump(), 0.0);
    if (added) found->second = normal(random);
    const double factor = std::exp(found->second + normal(random));
    for (const char* key : {"encode_us", "compute_us", "total_us", "encode_hot_us",
                            "compute_hot_us", "total_hot_us"}) {
      if (!point[key].is_object()) continue;
      const bool encode = std::string_view(key).starts_with("encode");
      const Samples from = point[key]["samples"];
      std::uniform_int_distribution<std::size_t> any(0, from.size() - 1);
      for (json& sample : point[key]["samples"]) {
        sample =
            from[any(random)] * factor * (kernel_of(point) == kernel && !encode ? slowdown : 1);
      }
    }
  }
  return result;
}

/// Names of the kernels with this verdict in a quantity.
std::set<std::string> kernels_with(const json& comparison, const char* verdict) {
  std::set<std::string> names;
  for (const json& family : comparison["families"]) {
    for (const json& kernel : family["kernels"]) {
      if (kernel["verdict"] == verdict) names.insert(kernel["name"]);
    }
  }
  return names;
}

/// The least share, over the quantities and modes, of points that are same or undecided.
double least_unchanged(const json& comparison) {
  double least = 1;
  for (const json& family : comparison["families"]) {
    const auto count = [&](const char* verdict) { return family["counts"][verdict].get<double>(); };
    const double unchanged = count("same") + count("undecided");
    least = std::min(least, unchanged / (unchanged + count("faster") + count("slower")));
  }
  return least;
}

/// What a sweep of the replay device writes that has this recording.
json replayed(const json& recording) {
  const std::string path =
      ::testing::TempDir() + "spiketune-compare-" + std::to_string(getpid()) + ".json";
  std::ofstream(path) << recording.dump();
  SweepOptions options;
  options.argv = {"test"};
  options.selection.all_configs = true;
  const auto read = std::make_shared<const RecordedReport>(RecordedReport::read(path));
  std::filesystem::remove(path);
  const ReplayPlan plan = plan_replay(*read, options);
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(make_replay_executor(read, plan.recorded));
  return run_sweep(plan.plan, executors, options).report();
}

struct PointCount {
  std::size_t slower_of_kernel = 0;
  std::size_t changed_others = 0;
  std::size_t all = 0;
};

/// Verdicts of totals.
PointCount count_points(const json& comparison, const std::string& kernel) {
  PointCount count;
  for (const json& point : comparison["points"]) {
    for (const json& series : point["series"]) {
      if (series["quantity"] != "total") continue;
      ++count.all;
      const bool changed = series["verdict"] == "slower" || series["verdict"] == "faster";
      if (kernel_of(point) == kernel) {
        count.slower_of_kernel += series["verdict"] == "slower";
      } else {
        count.changed_others += changed;
      }
    }
  }
  return count;
}

TEST(Compare, FindsTheKernelThatBecameFivePercentSlowerAndNoOther) {
  struct Case {
    const char* kernel;
    const char* name;
  };
  std::size_t others = 0;
  std::size_t points = 0;
  for (const Case& one : {Case{"csr.row_gather", "csr (row_gather)"},
                          Case{"dense.cublaslt.heuristic", "dense (cublaslt.heuristic)"},
                          Case{"ell.cusparse.blocked_ell_16", "ell (cusparse.blocked_ell_16)"},
                          Case{"bitmap.row_gather", "bitmap (row_gather)"}}) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(std::string(one.kernel) + ", seed " + std::to_string(seed));
      const json next = measured_again(recorded(), seed, 0.003, one.kernel, 1.05);
      const json result = compare_reports(recorded(), next);
      EXPECT_EQ(kernels_with(result, "slower"), std::set<std::string>{one.name});
      EXPECT_EQ(kernels_with(result, "faster"), std::set<std::string>{});
      EXPECT_TRUE(kernel_slower(result));
      const PointCount count = count_points(result, one.kernel);
      others += count.changed_others;
      points += count.all;
      EXPECT_GE(count.slower_of_kernel, 8u);
    }
  }
  EXPECT_LE(others, points / 1000);  // Holm's method allows one in twenty comparisons
}

TEST(Compare, FindsNothingWhereNothingChanged) {
  std::size_t changed = 0;
  std::size_t points = 0;
  for (const double drift : {0.0, 0.003, 0.02}) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(std::to_string(drift) + ", seed " + std::to_string(seed));
      const json result =
          compare_reports(recorded(), measured_again(recorded(), seed, drift, "", 1));
      EXPECT_EQ(kernels_with(result, "slower"), std::set<std::string>{});
      EXPECT_EQ(kernels_with(result, "faster"), std::set<std::string>{});
      EXPECT_GE(least_unchanged(result), 0.97);
      const PointCount count = count_points(result, "");
      changed += count.changed_others;
      points += count.all;
      const json& family = result["families"][0];
      EXPECT_NEAR(family["drift"].get<double>(), 1.41 * drift, 0.005 + 0.3 * drift);
    }
  }
  EXPECT_LE(changed, points / 1000);
}

// The same, swept by the replay device: two runs of one build, then one of a slower build.
TEST(Compare, TellsReplayedBuildsApart) {
  const json base = replayed(recorded());
  const json again = replayed(measured_again(recorded(), 4, 0.003, "", 1));
  const json same = compare_reports(base, again);
  EXPECT_GE(least_unchanged(same), 0.97);
  EXPECT_EQ(kernels_with(same, "slower"), std::set<std::string>{});
  EXPECT_EQ(kernels_with(same, "faster"), std::set<std::string>{});
  EXPECT_FALSE(kernel_slower(same));
  const json slowed = replayed(measured_again(recorded(), 5, 0.003, "csr.row_gather", 1.05));
  const json found = compare_reports(base, slowed);
  EXPECT_EQ(found["points"].size(), 560u);
  EXPECT_EQ(kernels_with(found, "slower"), std::set<std::string>{"csr (row_gather)"});
  EXPECT_EQ(kernels_with(found, "faster"), std::set<std::string>{});
  for (const json& family : found["families"]) {
    const bool encode = family["quantity"] == "encode";
    for (const json& kernel : family["kernels"]) {
      if (kernel["name"] != "csr (row_gather)") continue;
      EXPECT_FALSE(encode);
      EXPECT_EQ(kernel["verdict"], "slower") << family["quantity"] << family["mode"];
      EXPECT_NEAR(kernel["ratio"].get<double>(), 1.05, 0.01);
    }
  }
}

TEST(Compare, BlamesNoKernelForAShiftOfAll) {
  json next = measured_again(recorded(), 1, 0.003, "", 1);
  for (json& point : next["points"]) {
    if (!point["total_us"].is_object()) continue;
    for (json& sample : point["total_us"]["samples"]) sample = sample.get<double>() * 1.05;
  }
  const json result = compare_reports(recorded(), next);
  EXPECT_FALSE(kernel_slower(result));
  EXPECT_FALSE(total_slower(result));
  EXPECT_TRUE(all_slower(result));
  EXPECT_FALSE(all_slower(compare_reports(recorded(), recorded())));
  // A machine whose copies are slower by as much explains it.
  next["environment"]["copy_gbps"] = next["environment"]["copy_gbps"].get<double>() / 1.05;
  EXPECT_FALSE(all_slower(compare_reports(recorded(), next)));
}

TEST(Compare, AReportIsTheSameAsItself) {
  const json result = compare_reports(recorded(), recorded());
  EXPECT_EQ(result["points"].size(), 560u);
  EXPECT_EQ(result["refused"][0]["reason"], "not ok in either report");
  EXPECT_EQ(result["refused"][0]["count"], 34);
  EXPECT_TRUE(result["differences"].empty());
  EXPECT_EQ(count_points(result, "").changed_others, 0u);
  for (const json& family : result["families"]) {
    EXPECT_NEAR(family["all"]["ratio"].get<double>(), 1, 1e-9);
  }
}

}  // namespace
}  // namespace spiketune
