#include "spiketune/autotune/t4.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace spiketune::test {
namespace {

using nlohmann::json;

json fixture() {
  std::ifstream file(SPIKETUNE_SOURCE_DIR "/tests/autotune/fixture_report.json");
  return json::parse(file);
}

TEST(T4, HasEveryPointWithItsSamplesAndMedians) {
  const json report = fixture();
  const json t4 = t4_results(report);
  const json& points = report.at("points");
  ASSERT_EQ(t4.at("results").size(), points.size());
  std::size_t measured = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const json& result = t4.at("results")[i];
    const json& configuration = result.at("configuration");
    EXPECT_EQ(configuration.at("format"), points[i].at("format"));
    EXPECT_EQ(configuration.at("k"), points[i].at("problem").at("k"));
    for (const auto& [name, value] : points[i].at("config").items()) {
      EXPECT_EQ(configuration.at("config_" + name), value);
    }
    if (points[i].at("status") != "ok" || !points[i].at("total_us").is_object()) continue;
    const json& samples = points[i].at("total_us").at("samples");
    const json& runtimes = result.at("times").at("runtimes");
    ASSERT_EQ(runtimes.size(), samples.size());
    EXPECT_DOUBLE_EQ(runtimes[0].get<double>() * 1000, samples[0].get<double>());
    EXPECT_EQ(result.at("measurements")[0].at("name"), "total_us");
    EXPECT_EQ(result.at("measurements")[0].at("value"), points[i].at("total_us").at("median"));
    EXPECT_EQ(result.at("objectives"), json::array({"total_us"}));
    EXPECT_EQ(result.at("correctness"), 1);
    ++measured;
  }
  EXPECT_GT(measured, 0u);
}

TEST(T4, SaysWhyAPointHasNoTime) {
  json report = fixture();
  json point = report.at("points").front();
  for (const char* name : {"total_us", "encode_us", "compute_us"}) point[name] = nullptr;
  report["points"] = json::array();
  const auto add = [&](const char* status, const char* reason) {
    point["status"] = status;
    point["reason"] = reason;
    report["points"].push_back(point);
  };
  add("skipped", "N must be a multiple of 8");
  add("wrong", "Y[3, 17] is 1.5, not 1.25");
  add("failed", "it did not answer within 60 s (--deadline)");
  add("failed", "killed by signal 11");
  const json results = t4_results(report).at("results");
  EXPECT_EQ(results[0].at("invalidity"), "constraints");
  EXPECT_EQ(results[1].at("invalidity"), "correctness");
  EXPECT_EQ(results[2].at("invalidity"), "timeout");
  EXPECT_EQ(results[3].at("invalidity"), "runtime");
  for (const json& result : results) {
    EXPECT_EQ(result.at("correctness"), 0);
    EXPECT_TRUE(result.at("times").at("runtimes").empty());
  }
}

TEST(T4, OfEncodersTheObjectiveIsTheEncode) {
  json report = fixture();
  json point = report.at("points").front();
  ASSERT_EQ(point.at("status"), "ok");
  point["total_us"] = nullptr;
  point["compute_us"] = nullptr;
  report["points"] = json::array({point});
  const json result = t4_results(report).at("results")[0];
  EXPECT_EQ(result.at("objectives"), json::array({"encode_us"}));
  EXPECT_EQ(result.at("times").at("runtimes").size(), point.at("encode_us").at("samples").size());
}

}  // namespace
}  // namespace spiketune::test
