#include "spiketune/autotune/plan_cache.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/autotune/planner.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// A report with one point for each density.
json report_of(const std::vector<double>& densities, double total = 10,
               const std::string& created = "2026-01-02T03:04:05Z") {
  json points = json::array();
  for (const double density : densities) {
    Problem problem;
    problem.rows = 64;
    problem.k = 32;
    problem.n = 16;
    problem.density = density;
    const auto time = [](double us) { return json{{"median", us}, {"samples", {us, us}}}; };
    points.push_back({{"problem", problem_to_json(problem)},
                      {"format", "csr"},
                      {"kernel", "rows"},
                      {"config", {{"tile", 8}}},
                      {"backend", "cuda"},
                      {"baseline", false},
                      {"lossy", false},
                      {"status", "ok"},
                      {"encode_us", time(total / 4)},
                      {"compute_us", time(total / 2)},
                      {"total_us", time(total)}});
  }
  return {{"created", created},
          {"git", "abc"},
          {"environment",
           {{"gpu", "Test GPU/9"},
            {"sms", 4},
            {"driver", "1.2"},
            {"versions", {{"spiketune", "9.9"}, {"spiketune_source", "feed"}}}}},
          {"points", points}};
}

const PlanKey test_key{"Test GPU/9", 4, "9.9", "feed"};

class PlanCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "spiketune-cache-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  PlanCache cache() {
    return {folder_, [this](const std::string& notice) { notices_.push_back(notice); }};
  }
  std::string path() { return cache().list().at(0).path; }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::optional<FoundPlans> find(const PlanKey& build, const std::string& driver = "1.2") {
    return find_plans(
        cache(), [](const PlanKey& key) { return key.same_device(test_key); }, build, driver,
        [this](const std::string& notice) { notices_.push_back(notice); });
  }

  std::string folder_;
  std::vector<std::string> notices_;
};

TEST_F(PlanCacheTest, KeepsWhatAPlannerNeeds) {
  EXPECT_EQ(cache().add(plans_of_report(report_of({0.1, 0.2}))), 2u);
  EXPECT_EQ(cache().add(plans_of_report(report_of({0.2, 0.3}, 20))), 3u);
  const auto found = find(test_key);
  ASSERT_TRUE(found);
  const std::vector<TunedPoint> points = tuned_points(found->document);
  ASSERT_EQ(points.size(), 3u);
  for (const TunedPoint& point : points) {
    const double total = point.problem.density < 0.15 ? 10 : 20;  // 0.2 was measured anew
    EXPECT_EQ(point.total_us, total);
    EXPECT_EQ(point.encode_us, total / 4);
    EXPECT_EQ(point.compute_us, total / 2);
    EXPECT_EQ(point.config, json({{"tile", 8}}));
  }
  EXPECT_TRUE(notices_.empty());
}

TEST_F(PlanCacheTest, AnEncodeMayTakeNoTime) {
  json report = report_of({0.1, 0.2});
  report["points"][0]["encode_us"] = {{"median", 0}, {"samples", {0, 0, 0}}};
  report["points"][1]["compute_us"] = {{"median", 0}, {"samples", {0, 0, 0}}};
  const json plans = plans_of_report(report);
  ASSERT_EQ(plans["points"].size(), 1u);
  EXPECT_EQ(plans["points"][0]["encode_us"]["median"], 0);
}

TEST_F(PlanCacheTest, AnOlderMeasurementDoesNotReplaceANewerOne) {
  cache().add(plans_of_report(report_of({0.1}, 10, "2026-02-01T00:00:00Z")));
  cache().add(plans_of_report(report_of({0.1}, 99, "2026-01-01T00:00:00Z")));
  EXPECT_EQ(tuned_points(find(test_key)->document).at(0).total_us, 10);
}

TEST_F(PlanCacheTest, AnotherBuildOrDeviceIsNotUsedAndAnotherDriverIsMentioned) {
  cache().add(plans_of_report(report_of({0.1})));
  for (const PlanKey& build :
       {PlanKey{"", 0, "9.9", "beef"}, PlanKey{"", 0, "9.8", "feed"}, PlanKey{"", 0, "9.9", ""}}) {
    notices_.clear();
    EXPECT_FALSE(find(build));
    ASSERT_EQ(notices_.size(), 1u);
    EXPECT_NE(notices_[0].find("is not used"), std::string::npos);
  }
  notices_.clear();
  EXPECT_TRUE(find(test_key, "1.3"));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_EQ(notices_[0], "1 of 1 points were measured with another driver than 1.3");
  const auto nobody = [](const PlanKey& key) { return key.device == "Other"; };
  EXPECT_FALSE(find_plans(cache(), nobody, test_key, "", [](const std::string&) {}));
}

TEST_F(PlanCacheTest, ADocumentUnderAnotherNameIsNotMixedWithOthers) {
  cache().add(plans_of_report(report_of({0.1})));
  const std::string here = path();
  json other = json::parse(report_text(plans_of_report(report_of({0.2}))));
  other["device"] = "Test-GPU-9";  // whose file has the same name
  EXPECT_THROW(cache().add(other), Error);
  EXPECT_EQ(read_plans(here).at("points").size(), 1u);
}

TEST_F(PlanCacheTest, WhatCannotBeReadIsSetAside) {
  cache().add(plans_of_report(report_of({0.1, 0.2})));
  const std::string name = path();
  std::ifstream file(name);
  const std::string good{std::istreambuf_iterator<char>(file), {}};
  const std::string deep(100'000, '[');
  const std::vector<std::string> bad = {
      "",
      "nonsense",
      good.substr(0, good.size() / 2),
      deep,
      "{\"schema\": " + deep,
      "[]",
      "null",
      "{\"schema\":\"spiketune.plans/1\"}",
      "{\"schema\":\"spiketune.plans/1\",\"device\":\"x\",\"units\":-1,\"points\":[]}",
      "{\"schema\":\"spiketune.plans/1\",\"device\":\"x\",\"units\":1,\"points\":{}}",
      std::string("\0\xff\xfe", 3),
      "{\"schema\":\"spiketune.plans/1\",\"units\":1e999}"};
  int number = 0;
  for (const std::string& text : bad) {
    write(name, text);
    notices_.clear();
    EXPECT_TRUE(cache().list().empty()) << text.substr(0, 80);
    ASSERT_EQ(notices_.size(), 1u) << text.substr(0, 80);
    number = std::min(number + 1, 10);  // no more than ten are kept
    EXPECT_TRUE(fs::exists(name + ".corrupt-" + std::to_string(number)));
    EXPECT_NE(notices_[0].find(".corrupt-" + std::to_string(number)), std::string::npos);
    EXPECT_FALSE(fs::exists(name));
    EXPECT_EQ(cache().add(plans_of_report(report_of({0.1}))), 1u);
  }
  EXPECT_FALSE(fs::exists(name + ".corrupt-11"));
  // A pipe nobody writes to must not be waited for.
  fs::remove(name);
  ASSERT_EQ(mkfifo(name.c_str(), 0600), 0);
  EXPECT_TRUE(cache().list().empty());
  fs::remove(name);
  std::ofstream(name).close();
  fs::resize_file(name, max_document_bytes + 1);
  EXPECT_TRUE(cache().list().empty());
  EXPECT_NE(notices_.back().find("larger than"), std::string::npos);
  PlanCache::Keep keep;
  keep.corrupt = false;
  EXPECT_EQ(cache().prune(keep), 0u);
  EXPECT_FALSE(fs::exists(name + ".corrupt-1"));
}

TEST_F(PlanCacheTest, PointsThatMakeNoSenseAreLeftOut) {
  json document = plans_of_report(report_of({0.1, 0.2, 0.3}));
  document["points"][0]["total_us"] = {{"median", -1}};
  document["points"][1]["problem"]["k"] = "many";
  document["points"].push_back(7);
  EXPECT_EQ(parse_plans(document.dump(), "it").at("points").size(), 1u);
}

TEST_F(PlanCacheTest, AReportMustSayWhereAndHaveWholePoints) {
  json report = report_of({0.1});
  report["points"][0]["encode_us"] = nullptr;
  EXPECT_THROW(static_cast<void>(plans_of_report(report)), Error);
  report = report_of({0.1});
  report["environment"] = nullptr;
  EXPECT_THROW(static_cast<void>(plans_of_report(report)), Error);
  // Without a GPU it is the processor's.
  report["environment"] = {{"gpu", nullptr}, {"cpu", "Some CPU"}, {"threads", 3}};
  const PlanKey key = document_key(plans_of_report(report));
  EXPECT_EQ(key.device, "Some CPU");
  EXPECT_EQ(key.units, 3u);
}

TEST_F(PlanCacheTest, ManyProcessesAddAtOnceAndNothingIsLost) {
  constexpr int processes = 8;
  constexpr int each = 12;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int failed = 0;
      try {
        PlanCache mine(folder_, [&](const std::string&) { failed = 1; });
        for (int i = 0; i < each; ++i) {
          mine.add(plans_of_report(report_of({(p * each + i + 1) / 1000.0})));
          if (mine.list().size() != 1) failed = 1;  // readers always find a whole document
        }
      } catch (const std::exception&) {
        failed = 1;
      }
      _exit(failed);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::set<double> densities;
  for (const TunedPoint& point : tuned_points(find(test_key)->document)) {
    densities.insert(point.problem.density);
  }
  EXPECT_EQ(densities.size(), static_cast<std::size_t>(processes * each));
}

TEST_F(PlanCacheTest, PrunesByAgeDeviceAndBuild) {
  cache().add(plans_of_report(report_of({0.1, 0.2}, 10, "2025-01-01T00:00:00Z")));
  cache().add(plans_of_report(report_of({0.3}, 10, "2026-01-01T00:00:00Z")));
  json other = report_of({0.1});
  other["environment"]["sms"] = 8;
  cache().add(plans_of_report(other));
  PlanCache::Keep keep;
  keep.since = "2025-06-01T00:00:00Z";
  EXPECT_EQ(cache().prune(keep), 2u);
  EXPECT_EQ(cache().list().size(), 2u);
  keep = {};
  keep.device = test_key;
  EXPECT_EQ(cache().prune(keep), 1u);
  EXPECT_EQ(cache().list().size(), 1u);
  keep = {};
  keep.build = PlanKey{"", 0, "9.9", "beef"};
  EXPECT_EQ(cache().prune(keep), 1u);
  EXPECT_TRUE(cache().list().empty());
}

TEST_F(PlanCacheTest, DropsTheOldestWhereThereAreTooMany) {
  json document = plans_of_report(report_of({0.5}, 10, "2020-01-01T00:00:00Z"));
  cache().add(document);
  json point = document["points"][0];
  document["points"] = json::array();
  for (std::size_t i = 0; i < max_document_points; ++i) {
    point["config"] = {{"tile", 100 + i}};
    point["measured"] = "2026-01-01T00:00:00Z";
    document["points"].push_back(point);
  }
  EXPECT_EQ(cache().add(document), max_document_points);
  ASSERT_EQ(notices_.size(), 1u);
  const json stored = find(test_key)->document["points"];
  for (const json& kept : stored) {
    ASSERT_EQ(kept["measured"], "2026-01-01T00:00:00Z");
  }
}

TEST_F(PlanCacheTest, TheFolderFollowsXdg) {
  const char* old = std::getenv("XDG_CACHE_HOME");
  const std::string before = old == nullptr ? "" : old;
  setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(plan_cache_folder(), "/somewhere/spiketune");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_NE(plan_cache_folder().find("/.cache/spiketune"), std::string::npos);
  if (old == nullptr) {
    unsetenv("XDG_CACHE_HOME");
  } else {
    setenv("XDG_CACHE_HOME", before.c_str(), 1);
  }
}

TEST(ShippedPlans, AreThoseOfTheReport) {
  ASSERT_EQ(shipped_plans().size(), 1u);
  const json& shipped = shipped_plans()[0];
  EXPECT_EQ(document_key(shipped).device, "NVIDIA H200");
  const json report = read_json_file(SPIKETUNE_SOURCE_DIR "/results/h200/planning.json.gz");
  // Otherwise: spiketune cache export --from results/h200/planning.json.gz --out
  // results/h200/plans.json
  EXPECT_EQ(shipped, plans_of_report(report));
  EXPECT_GT(tuned_points(shipped).size(), 500u);
}

TEST(Environment, NamesTheSourcesThatTimesDependOn) {
  EXPECT_EQ(build_source_hash().size(), 16u);
  const json environment = describe_environment(HostContext{});
  EXPECT_EQ(plan_key(environment).source, build_source_hash());
  EXPECT_EQ(plan_key(environment).version, build_version());
}

}  // namespace
}  // namespace spiketune
