#include "spiketune/autotune/report_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/combine.hpp"
#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

json fixture() {
  std::ifstream file(SPIKETUNE_SOURCE_DIR "/tests/autotune/fixture_report.json");
  return json::parse(file);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The JSON that the page's scripts read.
json page_data(const std::string& html, const std::string& id = "report-data") {
  const std::string open = "id=\"" + id + "\">";
  const auto begin = html.find(open) + open.size();
  return json::parse(html.substr(begin, html.find("</script>", begin) - begin));
}

std::size_t columns(const std::string& line) {
  return static_cast<std::size_t>(std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

bool has_vega() {
  return !embedded::vega_script().empty();
}

TEST(Fixture, HoldsItsOwnAnalysis) {
  json report = fixture();
  const json winners = report["winners"];
  const json crossovers = report["crossovers"];
  add_analysis(report);
  ASSERT_EQ(report["winners"].size(), winners.size());
  for (std::size_t i = 0; i < winners.size(); ++i) {
    EXPECT_EQ(report["winners"][i]["kernel"], winners[i]["kernel"]);
    EXPECT_EQ(report["winners"][i]["point"], winners[i]["point"]);
  }
  ASSERT_EQ(report["crossovers"].size(), crossovers.size());
  for (std::size_t i = 0; i < crossovers.size(); ++i) {
    EXPECT_NEAR(report["crossovers"][i]["density"], crossovers[i]["density"], 1e-6);
  }
}

TEST(Numbers, ReadAsPeopleWriteThem) {
  EXPECT_EQ(format_time(0), "0 µs");
  EXPECT_EQ(format_time(0.5), "0.500 µs");
  EXPECT_EQ(format_time(12.34), "12.3 µs");
  EXPECT_EQ(format_time(999.4), "999 µs");
  EXPECT_EQ(format_time(999.6), "1.00 ms");
  EXPECT_EQ(format_time(2.5e6), "2.50 s");
  EXPECT_EQ(format_density(0.005), "0.5 %");
  EXPECT_EQ(format_density(1), "100 %");
  EXPECT_EQ(format_density(0.12345), "12.3 %");
  EXPECT_EQ(format_ratio(3.9478), "3.95×");
  EXPECT_EQ(format_ratio(120.4), "120×");
}

TEST(Page, WithoutVegaSaysHowToGetIt) {
  if (has_vega()) GTEST_SKIP() << "this build has Vega";
  try {
    (void)render_html(fixture());
    FAIL() << "no exception";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_TRUE(contains(error.what(), "libjs-vega"));
  }
}

TEST(Page, IsOneFileThatAsksNothingOfTheNetwork) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  const std::string html = render_html(fixture());
  EXPECT_TRUE(html.starts_with("<!DOCTYPE html>"));
  EXPECT_FALSE(contains(html, "{{"));
  EXPECT_FALSE(contains(html, "<script src"));
  EXPECT_FALSE(contains(html, "<img"));
  EXPECT_FALSE(contains(html, "<link"));
  EXPECT_FALSE(contains(html, "@import"));
  EXPECT_EQ(occurrences(html, "<script"), occurrences(html, "</script>"));
}

TEST(Page, HoldsEveryPointWithStatusReasonAndCommand) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  const json report = fixture();
  const json data = page_data(render_html(report));
  ASSERT_EQ(data["points"].size(), report["points"].size());
  for (std::size_t i = 0; i < data["points"].size(); ++i) {
    const json& point = report["points"][i];
    EXPECT_EQ(data["points"][i]["s"], point["status"]);
    EXPECT_EQ(data["points"][i]["k"], point["kernel"]);
    EXPECT_EQ(data["points"][i]["command"], point["command"]);
    if (point["status"] != "ok") {
      EXPECT_EQ(data["points"][i]["reason"], point["reason"]);
    }
  }
  EXPECT_EQ(data["curves"].size(), 2U);
  EXPECT_EQ(data["mode"], "cold");
  EXPECT_EQ(data["views"]["cold"]["winners"].size(), report["winners"].size());
  EXPECT_EQ(data["views"]["cold"]["crossovers"].size(), report["crossovers"].size());
  EXPECT_TRUE(data["views"].contains("hot"));
  EXPECT_EQ(data["points"][0]["t"]["cold"][2].size(), 4U);
  EXPECT_EQ(data["points"][0]["t"]["cold"][2][3], 5);  // samples are counted here ...
  const json samples = page_data(render_html(report), "report-samples");
  ASSERT_EQ(samples.size(), report["points"].size());  // ... and carried along apart
  EXPECT_EQ(samples[0]["cold"][2].size(), 5U);
}

TEST(Page, CarriesNoMoreSamplesThanItShows) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  json report = fixture();
  report["points"][0]["encode_us"]["samples"] = std::vector<double>(1000, 1.23456789);
  const std::string html = render_html(report);
  EXPECT_EQ(page_data(html)["points"][0]["t"]["cold"][0][3], 1000);
  const json samples = page_data(html, "report-samples")[0]["cold"][0];
  EXPECT_EQ(samples.size(), 48U);
  EXPECT_EQ(samples[0], 1.235);
}

TEST(Page, NamesTheReportOfEachPoint) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  const json both = combine_reports({{"a.json", fixture()}, {"b.json", fixture()}});
  const json data = page_data(render_html(both));
  ASSERT_EQ(data["sources"].size(), 2U);
  EXPECT_EQ(data["sources"][1]["name"], "b.json");
  EXPECT_FALSE(data["points"].front().contains("src"));
  EXPECT_EQ(data["points"].back()["src"], 1);
}

TEST(Page, ShowsEncodersWhereThereAreNoProducts) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  json report = fixture();
  for (json& point : report["points"]) {
    for (const char* key : {"compute_us", "compute_hot_us", "total_us", "total_hot_us"}) {
      point[key] = nullptr;
    }
  }
  const std::string html = render_html(report);
  EXPECT_TRUE(contains(html, "Products were not measured"));
  EXPECT_TRUE(contains(html, "GB/s"));
  EXPECT_EQ(page_data(html)["mode"], "cold");
}

TEST(Page, ReportTextCannotBecomeMarkup) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  const std::string attack = "</script><script>alert('x')</script><img src=x onerror=\"y\">";
  json report = fixture();
  report["environment"]["gpu"] = attack;
  report["argv"].push_back(attack);
  for (json& point : report["points"]) {
    point["problem"]["workload"] = attack;
    point["kernel"] = attack;
    point["reason"] = attack;
    point["notes"] = json::array({attack});
  }
  const std::string html = render_html(report);
  EXPECT_FALSE(contains(html, "<script>alert"));
  EXPECT_FALSE(contains(html, "<img"));
  EXPECT_TRUE(contains(html, "&lt;/script&gt;&lt;script&gt;alert(&#39;x&#39;)"));
  EXPECT_EQ(page_data(html)["points"][0]["k"], attack);
  EXPECT_EQ(occurrences(html, "<script"), occurrences(render_html(fixture()), "<script"));
}

TEST(Page, TakesReportsWithNothingInThem) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  for (const json& report :
       {json::object(), json(nullptr), json{{"points", json::array()}},
        json{{"points", {nullptr, json::object(), {{"status", "skipped"}, {"problem", 3}}}}}}) {
    const std::string html = render_html(report);
    EXPECT_TRUE(contains(html, "there is no answer")) << report;
    EXPECT_NO_THROW((void)page_data(html));
  }
}

TEST(Page, BytesThatAreNotTextDoNotStopIt) {
  if (!has_vega()) GTEST_SKIP() << "this build has no Vega";
  json report = fixture();
  report["points"][0]["reason"] = "broken \xff text";
  report["points"][0]["problem"]["workload"] = "\xc3";
  EXPECT_NO_THROW((void)render_html(report));
  EXPECT_NO_THROW((void)render_markdown(report));
  EXPECT_NO_THROW((void)render_table(report, 80));
}

TEST(Answer, SaysWhereSparseAndWhereDenseWins) {
  const std::string text = render_markdown(fixture());
  EXPECT_TRUE(contains(text, "A sparse format wins 4 of 5 problems; dense wins 1."));
  EXPECT_TRUE(contains(text, "The largest gain is 3.95× over dense: csr.row_per_warp"));
  EXPECT_TRUE(contains(text, "dense (cublaslt.heuristic) wins at 32 %"));
  EXPECT_TRUE(contains(text, "two_four, the best other format, takes 1.13× as long"));
  EXPECT_TRUE(contains(text, "Dense takes over from two_four at 20.6 %"));
  EXPECT_TRUE(contains(text, "39 points: 33 ok, 4 skipped, 1 failed, 1 wrong."));
}

TEST(Answer, SaysThatDenseAlwaysWins) {
  json report = fixture();
  for (json& point : report["points"]) {
    if (point["format"] != "dense" || point["total_us"].is_null()) continue;
    for (const char* key : {"median", "p05", "p95"}) point["total_us"][key] = 1.0;
  }
  EXPECT_TRUE(contains(render_markdown(report),
                       "Dense wins all 5 problems: no sparse format pays for its encoding here."));
}

/// The fixture with every point of one format called another, with this kernel.
json renamed(json report, const char* format, const char* to, const char* kernel) {
  for (json& point : report["points"]) {
    if (point["format"] != format) continue;
    point["format"] = to;
    point["kernel"] = kernel;
  }
  return report;
}

TEST(Answer, DoesNotCountBytesAsSparse) {
  const std::string text = render_markdown(renamed(fixture(), "bitmap", "bytes", "rows"));
  EXPECT_TRUE(contains(text,
                       "A sparse format wins 2 of 5 problems, bytes (the spikes where they "
                       "lie, not encoded) 2; dense wins 1."))
      << text;
}

TEST(Answer, SaysWhichWinnersMultiplyZerosToo) {
  EXPECT_FALSE(contains(render_markdown(fixture()), "zeros are skipped"));
  const std::string text = render_markdown(renamed(fixture(), "bitmap", "bitmap", "expand_mma"));
  EXPECT_TRUE(contains(text, "A sparse format wins 4 of 5 problems (and skips zeros in 2); dense"));
  EXPECT_TRUE(contains(text, "In 2 of 4 wins zeros are skipped. bitmap")) << text;
  EXPECT_TRUE(contains(text, "multiplies them all, as dense does")) << text;
}

TEST(Answer, CountsQuantisedProblemsApart) {
  const json exact = fixture();
  json report = exact;
  for (json point : exact["points"]) {
    point["problem"]["weights"] = "s4";
    report["points"].push_back(std::move(point));
  }
  const std::string text = render_markdown(report);
  EXPECT_TRUE(contains(text,
                       "Exact products: a sparse format wins 4 of 5 problems; dense wins 1. "
                       "The largest gain is 3.95× over dense: csr.row"));
  EXPECT_TRUE(contains(text,
                       "With W quantised (dense in f16): a sparse format wins 4 of 5 "
                       "problems; dense wins 1. The largest gain is 3.95× over dense: csr"));
  EXPECT_FALSE(contains(text, "of 10 problems; dense"));
  json eight = report["points"].back();
  eight["format"] = "dense";
  eight["kernel"] = "cublaslt.int8";
  eight["config"] = {{"type", "u8"}};
  eight["status"] = "ok";
  report["points"].push_back(std::move(eight));
  EXPECT_TRUE(contains(render_markdown(report), "With W quantised (dense in f16 or in 8 bits): "));
  EXPECT_TRUE(contains(text, "On 2 workloads dense takes over as density grows, at 20.6 %."))
      << text;
}

TEST(Answer, SaysThatTheSweepWasInterrupted) {
  json report = fixture();
  EXPECT_FALSE(contains(render_markdown(report), "interrupted"));
  report["complete"] = false;
  EXPECT_TRUE(contains(render_markdown(report), "The sweep was interrupted"));
}

TEST(Answer, NamesWhatTellsWorkloadsApart) {
  json report = fixture();
  json twin = report["points"][0];
  twin["problem"]["weights"] = "bf16";
  report["points"].push_back(twin);
  const std::string text = render_markdown(report);
  EXPECT_TRUE(contains(text, "square 4096×4096×4096 · weights f16"));
  EXPECT_TRUE(contains(text, "square 4096×4096×4096 · weights bf16"));
  EXPECT_FALSE(contains(text, "50176×288×64 · weights"));
}

TEST(Markdown, HasWinnersCrossoversAndWhatWasNotMeasured) {
  const std::string text = render_markdown(fixture());
  EXPECT_TRUE(contains(text, "| square 4096×4096×4096 | 0.5 % | csr.row_per_warp | 9.30 µs |"));
  EXPECT_TRUE(contains(text, "| two_four = dense | 20.6 % | 18.4 % to 23 % | two_four |"));
  EXPECT_TRUE(contains(text, "| wrong | vnm.mma_sp |"));
  EXPECT_TRUE(contains(text, "out of memory: 21474836480 bytes &lt;encode&gt;"));
  EXPECT_TRUE(contains(text, "| gpu | Example GPU (made-up numbers) |"));
}

TEST(Markdown, ReportTextStaysInItsCell) {
  json report = fixture();
  for (json& point : report["points"]) point["reason"] = "a|b\nc <b> `d` [e](f)";
  const std::string text = render_markdown(report);
  EXPECT_TRUE(contains(text, "a\\|b c &lt;b&gt; \\`d\\` \\[e\\](f)"));
}

TEST(Table, FitsItsWidth) {
  for (const int width : {60, 80, 89, 90, 120, 200}) {
    std::istringstream lines(render_table(fixture(), width));
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      EXPECT_LE(columns(line), static_cast<std::size_t>(width)) << line;
    }
    EXPECT_EQ(count, 7U);  // head, rule, five problems
  }
}

TEST(Table, ShowsPartsWhereThereIsRoom) {
  EXPECT_TRUE(contains(render_table(fixture(), 120), "encode"));
  EXPECT_FALSE(contains(render_table(fixture(), 80), "encode"));
  // Parts go before names are cut.
  EXPECT_FALSE(contains(render_table(fixture(), 100), "encode"));
  EXPECT_TRUE(contains(render_table(fixture(), 100), "fashion-mnist/conv2 50176×288×64"));
  EXPECT_TRUE(contains(render_table(fixture(), 120), "dense (cublaslt.heuristic)"));
  EXPECT_EQ(render_table(json::object(), 80), "No point was measured and found correct.\n");
}

// A sweep with --encode-only: no winner to show, but encoders.
TEST(Table, ListsEncodersWhereThereAreNoProducts) {
  const json report = json::parse(R"({"points": [
    {"problem": {"workload": "w", "timesteps": 1, "rows": 10, "k": 20, "n": 30, "density": 0.05},
     "format": "csr", "kernel": "none", "config": {}, "backend": "cuda", "status": "ok",
     "encode_us": {"mode": "cold", "median": 10.0}, "compute_us": null, "total_us": null,
     "bytes": {"input": 15000000, "encoded": 5000000}, "floor_us": {"encode": 5.0}},
    {"problem": {"workload": "w", "timesteps": 1, "rows": 10, "k": 20, "n": 30, "density": 0.05},
     "format": "ell", "kernel": "none", "config": {}, "backend": "cuda", "status": "failed",
     "reason": "overflow", "encode_us": null, "compute_us": null, "total_us": null}]})");
  const std::string table = render_table(report, 100);
  EXPECT_TRUE(contains(table, "csr")) << table;
  EXPECT_TRUE(contains(table, "2000")) << table;  // GB/s
  EXPECT_TRUE(contains(table, "50 %")) << table;
  EXPECT_FALSE(contains(table, "ell")) << table;
}

}  // namespace
}  // namespace spiketune
