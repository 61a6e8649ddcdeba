#include "spiketune/autotune/combine.hpp"

#include <gtest/gtest.h>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/report_page.hpp"
#include "spiketune/autotune/report_summary.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

json point(const char* workload, const char* format, double total) {
  const json time = {{"mode", "cold"}, {"median", total}, {"p05", total}, {"p95", total}};
  return {{"problem",
           {{"workload", workload},
            {"timesteps", 1},
            {"rows", 8},
            {"k", 16},
            {"n", 4},
            {"density", 0.1}}},
          {"format", format},
          {"kernel", format},
          {"backend", "cuda"},
          {"status", "ok"},
          {"total_us", time}};
}

NamedReport report(const char* name, const char* gpu, const char* git, const json& points) {
  return {name,
          {{"schema", "spiketune.report/1"},
           {"git", git},
           {"complete", true},
           {"environment", {{"gpu", gpu}}},
           {"points", points}}};
}

TEST(Combine, LeavesASingleReportAsItIs) {
  const NamedReport only = report("a.json", "A", "1", json::array({point("w", "csr", 2)}));
  EXPECT_EQ(combine_reports({only}), only.report);
  const json sources = report_sources(only.report);
  ASSERT_EQ(sources.size(), 1U);
  EXPECT_EQ(sources[0]["git"], "1");
}

TEST(Combine, LetsPointsOfOneDeviceAndBuildCompete) {
  const json both =
      combine_reports({report("a.json", "A", "1", json::array({point("w", "csr", 2)})),
                       report("b.json", "A", "1", json::array({point("w", "dense", 6)}))});
  const json winners = compute_winners(both["points"]);
  ASSERT_EQ(winners.size(), 1U);
  EXPECT_EQ(winners[0]["format"], "csr");
  EXPECT_DOUBLE_EQ(winners[0]["speedup_over_dense"], 3);
  EXPECT_EQ(both["points"][1]["source"], 1);
  EXPECT_EQ(both["sources"][1]["name"], "b.json");
}

TEST(Combine, NeverComparesDevices) {
  const json both =
      combine_reports({report("a.json", "A", "1", json::array({point("w", "csr", 2)})),
                       report("b.json", "B", "1", json::array({point("w", "dense", 6)}))});
  EXPECT_EQ(compute_winners(both["points"]).size(), 2U);
  const ReportCurves curves = report_curves(both["points"]);
  ASSERT_EQ(curves.curves.size(), 2U);
  EXPECT_NE(curves.curves[0].label.find("on A"), std::string::npos) << curves.curves[0].label;
  EXPECT_NE(curves.curves[1].label.find("on B"), std::string::npos) << curves.curves[1].label;
}

TEST(Combine, TellsBuildsApartWhereTheyMeasuredTheSame) {
  const json both = combine_reports(
      {report("a.json", "A", "1", json::array({point("w", "csr", 2), point("only a", "csr", 2)})),
       report("b.json", "A", "2", json::array({point("w", "csr", 3)}))});
  const json& points = both["points"];
  EXPECT_EQ(points[0]["problem"]["revision"], "1");
  EXPECT_FALSE(points[1]["problem"].contains("revision"));
  EXPECT_EQ(points[2]["problem"]["revision"], "2");
  EXPECT_EQ(compute_winners(points).size(), 3U);
}

TEST(Combine, IsInterruptedWhereAPartIs) {
  NamedReport part = report("b.json", "A", "1", json::array({point("w", "dense", 6)}));
  part.report["complete"] = false;
  const json both =
      combine_reports({report("a.json", "A", "1", json::array({point("w", "csr", 2)})), part});
  EXPECT_NE(render_markdown(both).find("interrupted"), std::string::npos);
  EXPECT_NE(render_markdown(both).find("Environment of b.json"), std::string::npos);
}

TEST(Combine, TakesPartsWithNothingInThem) {
  const json both = combine_reports({{"a.json", json::object()}, {"b.json", {{"points", 3}}}});
  EXPECT_TRUE(both["points"].empty());
  EXPECT_EQ(both["sources"].size(), 2U);
}

}  // namespace
}  // namespace spiketune
