// Search, shards and several devices on recordings: what needs no clock to be tested.

#include "spiketune/autotune/replay.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/search.hpp"
#include "spiketune/autotune/shard.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

const std::string h200 = SPIKETUNE_SOURCE_DIR "/results/h200/foundation.json";

SweepOptions replay_options() {
  SweepOptions options;
  options.argv = {"test"};
  options.selection.all_configs = true;
  return options;
}

std::size_t samples_of(const json& point) {
  std::size_t count = 0;
  for (const char* key :
       {"encode_us", "encode_hot_us", "compute_us", "compute_hot_us", "total_us", "total_hot_us"}) {
    if (point.contains(key) && point[key].is_object()) count += point[key]["samples"].size();
  }
  return count;
}

/// Counts the samples that pass through.
class CountingExecutor final : public Executor {
 public:
  CountingExecutor(std::unique_ptr<Executor> inner, std::atomic<std::size_t>& samples)
      : inner_(std::move(inner)), samples_(samples) {}
  json environment() override { return inner_->environment(); }
  void run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) override {
    JobCallbacks counting = callbacks;
    counting.done = [&](json point) {
      samples_ += samples_of(point);
      callbacks.done(std::move(point));
    };
    inner_->run(job, options, counting);
  }

 private:
  std::unique_ptr<Executor> inner_;
  std::atomic<std::size_t>& samples_;
};

struct Replayed {
  json report;
  std::size_t samples = 0;
};

/// \param search   null: all of it
Replayed replay(const std::shared_ptr<const RecordedReport>& recording, SweepOptions options,
                const SearchOptions* search, std::size_t devices = 1) {
  if (search != nullptr) options.search = search_to_json(*search);
  ReplayPlan plan = plan_replay(*recording, options);
  std::atomic<std::size_t> samples = 0;
  std::vector<std::unique_ptr<Executor>> executors;
  for (std::size_t i = 0; i < devices; ++i) {
    executors.push_back(std::make_unique<CountingExecutor>(
        make_replay_executor(recording, plan.recorded), samples));
    if (search != nullptr) {
      executors.back() = make_search_executor(std::move(executors.back()), *search);
    }
  }
  json report = run_sweep(plan.plan, executors, options).report();
  return {std::move(report), samples};
}

std::map<std::string, json> winners_of(const json& report) {
  std::map<std::string, json> result;
  for (const json& winner : report.at("winners")) {
    result[problem_key(problem_from_json(winner.at("problem")))] = winner;
  }
  return result;
}

/// A recording of many candidates with known times. The fastest of each problem is a factor of
/// 1.05 and more faster than the next; noise is 1 %.
class MadeRecording {
 public:
  MadeRecording(std::size_t problems, std::size_t candidates) {
    path_ = ::testing::TempDir() + "spiketune-recording-" + std::to_string(getpid()) + ".json";
    json report = empty_report({"made"}, json::object());
    std::ofstream file(path_);
    report.erase("points");
    std::string text = report_text(report);
    text.erase(text.rfind("\n}"));
    file << text << ",\n\"points\": [";
    std::uint64_t state = 1;
    const auto random = [&state] {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return static_cast<double>(state >> 40) / static_cast<double>(1u << 24);
    };
    for (std::size_t p = 0; p < problems; ++p) {
      Problem problem;
      problem.workload = "made " + std::to_string(p);
      problem.rows = 1024;
      problem.k = 512;
      problem.n = 256;
      problem.density = 0.05;
      for (std::size_t c = 0; c < candidates; ++c) {
        Point point;
        point.problem = problem;
        point.format = "f" + std::to_string(c / 10);
        point.kernel = "k" + std::to_string(c % 10);
        point.config = {{"c", c}};
        point.backend = "cuda";
        const double time = 100 * (1 + 0.06 * static_cast<double>((c * 37 + p) % candidates));
        const auto series = [&](double around) {
          std::vector<double> samples;
          for (int i = 0; i < 12; ++i) samples.push_back(around * (1 + 0.02 * (random() - 0.5)));
          return samples;
        };
        point.encode = {series(0.3 * time), series(0.2 * time)};
        point.compute = {series(0.7 * time), series(0.6 * time)};
        point.total = {series(time), series(0.8 * time)};
        point.encode_floor_us = 5;
        point.compute_floor_us = 5;
        file << (p + c == 0 ? "\n" : ",\n") << point_to_json(point).dump();
      }
    }
    file << "]}\n";
  }
  ~MadeRecording() { std::filesystem::remove(path_); }
  MadeRecording(const MadeRecording&) = delete;
  MadeRecording& operator=(const MadeRecording&) = delete;
  [[nodiscard]] std::shared_ptr<const RecordedReport> read() const {
    return std::make_shared<const RecordedReport>(RecordedReport::read(path_));
  }

 private:
  std::string path_;
};

TEST(Replay, GivesBackWhatWasRecorded) {
  const auto recording = std::make_shared<const RecordedReport>(RecordedReport::read(h200));
  const Replayed all = replay(recording, replay_options(), nullptr);
  ASSERT_EQ(all.report.at("points").size(), recording->size());
  EXPECT_TRUE(all.report.at("complete").get<bool>());
  const json original = read_json_file(h200);
  const auto before = winners_of(original);
  for (const auto& [problem, winner] : winners_of(all.report)) {
    EXPECT_EQ(winner.at("format"), before.at(problem).at("format"));
    EXPECT_NEAR(winner.at("total_us").get<double>(), before.at(problem).at("total_us"),
                0.05 * winner.at("total_us").get<double>());
  }
}

TEST(Replay, ReadsPackedReports) {
  const std::string path = ::testing::TempDir() + "spiketune-packed.json.gz";
  const std::string text = report_text(read_json_file(h200));
  const gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
            static_cast<int>(text.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
  EXPECT_EQ(report_text(read_json_file(path)), text);
  EXPECT_EQ(RecordedReport::read(path).size(), RecordedReport::read(h200).size());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  try {
    static_cast<void>(read_json_file(path));
    FAIL() << "half a file was read";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
  }
  std::filesystem::remove(path);
}

TEST(Replay, WhatAPackedReportUnfoldsIntoIsBounded) {
  const std::string path = ::testing::TempDir() + "spiketune-bomb.json.gz";
  const gzFile file = gzopen(path.c_str(), "wb");
  const std::string spaces(std::size_t{1} << 20, ' ');
  for (int mebibytes = 0; mebibytes < 80; ++mebibytes) {
    ASSERT_GT(gzwrite(file, spaces.data(), static_cast<unsigned>(spaces.size())), 0);
  }
  ASSERT_EQ(gzclose(file), Z_OK);
  ASSERT_LT(std::filesystem::file_size(path), 100'000u);
  try {
    static_cast<void>(read_json_file(path));
    FAIL() << "all of it was unpacked";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::parse);
    EXPECT_NE(std::string(error.what()).find(path + " unpacks into more than 7"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(static_cast<void>(RecordedReport::read(path)), Error);
  std::filesystem::remove(path);
}

TEST(Replay, RejectsWhatIsNoReport) {
  const std::string path = ::testing::TempDir() + "spiketune-no-report";
  for (const char* text : {"", "{", "[]", "{\"schema\": \"other\"}", "\xff\xfe"}) {
    std::ofstream(path) << text;
    EXPECT_THROW(static_cast<void>(RecordedReport::read(path)), Error) << text;
  }
  std::ofstream(path) << R"({"schema": "spiketune.report/1", "points": [{"problem": 3}]})";
  const RecordedReport broken = RecordedReport::read(path);
  EXPECT_THROW(static_cast<void>(plan_replay(broken, replay_options())), Error);
  std::filesystem::remove(path);
  EXPECT_THROW(static_cast<void>(RecordedReport::read(path)), Error);
}

/// Within 2 % of the best of 95 % of the problems, from `most` of the samples at most.
void expect_found(const std::string& report, double most) {
  const auto recording = std::make_shared<const RecordedReport>(RecordedReport::read(report));
  const SearchOptions search;
  const Replayed all = replay(recording, replay_options(), nullptr);
  const Replayed found = replay(recording, replay_options(), &search);
  const auto best = winners_of(all.report);
  std::size_t good = 0;
  for (const auto& [problem, winner] : winners_of(found.report)) {
    const double regret =
        winner.at("total_us").get<double>() / best.at(problem).at("total_us").get<double>() - 1;
    good += regret <= 0.02;
  }
  const double share = static_cast<double>(found.samples) / static_cast<double>(all.samples);
  ::testing::Test::RecordProperty("samples", std::to_string(share));
  ::testing::Test::RecordProperty("problems_within_2_percent",
                                  fmt::format("{} of {}", good, best.size()));
  EXPECT_GE(static_cast<double>(good), 0.95 * static_cast<double>(best.size()));
  EXPECT_LE(share, most);
}

TEST(Search, FindsTheBestOnTheH200WithAQuarterOfTheSamples) {
  expect_found(h200, 0.25);
}

// The bar, a quarter of the samples, is missed: of nine candidates a problem, one config of each
// kernel, three are measured to the end.
TEST(Search, FindsTheBestOfThePlanningSweepWithHalfOfTheSamples) {
  const std::string folder = SPIKETUNE_SOURCE_DIR "/results/h200/";
  const json said = read_json_file(folder + "planner_reached.json").at("halving");
  expect_found(folder + said.at("report").get<std::string>(), said.at("samples"));
}

TEST(Search, SaysOfEachCandidateHowFarItCame) {
  const MadeRecording made(3, 60);
  const SearchOptions search;
  const Replayed found = replay(made.read(), replay_options(), &search);
  ASSERT_EQ(found.report.at("points").size(), 180u);
  EXPECT_EQ(found.report.at("search").at("method"), "successive halving");
  std::size_t left = 0;
  for (const json& point : found.report.at("points")) {
    ASSERT_EQ(point.at("status"), "ok");
    if (!point.contains("notes")) {
      EXPECT_FALSE(point.at("compute_us").is_null());
      continue;
    }
    ++left;
    EXPECT_NE(point.at("notes").at(0).get<std::string>().find("left the search after"),
              std::string::npos);
  }
  EXPECT_GE(left, 150u);
  for (const auto& [problem, winner] : winners_of(found.report)) {
    EXPECT_NEAR(winner.at("total_us").get<double>(), 100, 2);
  }
}

TEST(Search, ABudgetOfPointsIsKeptAndDrawnFromTheSeed) {
  const MadeRecording made(2, 60);
  SearchOptions search;
  search.points = 20;
  const auto tried = [&](std::uint64_t seed) {
    SweepOptions options = replay_options();
    options.seed = seed;
    std::vector<std::size_t> indices;
    const Replayed found = replay(made.read(), options, &search);
    for (const json& point : found.report.at("points")) {
      if (point.at("status") == "ok") indices.push_back(point.at("index"));
    }
    return indices;
  };
  EXPECT_EQ(tried(1).size(), 40u);
  EXPECT_EQ(tried(1), tried(1));
  EXPECT_NE(tried(1), tried(2));
}

TEST(Search, ExhaustiveMeasuresEverything) {
  const MadeRecording made(2, 30);
  SearchOptions search;
  search.exhaustive = true;
  const Replayed all = replay(made.read(), replay_options(), nullptr);
  const Replayed found = replay(made.read(), replay_options(), &search);
  EXPECT_EQ(found.samples, all.samples);
  EXPECT_EQ(found.report.at("points"), all.report.at("points"));
}

TEST(Shards, TogetherAreTheWholeSweep) {
  const MadeRecording made(23, 10);
  const auto recording = made.read();
  const Replayed whole = replay(recording, replay_options(), nullptr);
  std::vector<NamedReport> parts;
  for (std::size_t i = 1; i <= 4; ++i) {
    SweepOptions options = replay_options();
    options.shard = {i, 4};
    parts.push_back({"part " + std::to_string(i), replay(recording, options, nullptr).report});
    EXPECT_GE(parts.back().report.at("points").size(), 50u);  // 5 or 6 of the problems
    EXPECT_LE(parts.back().report.at("points").size(), 60u);
  }
  const json merged = merge_reports(parts);
  EXPECT_EQ(merged.at("points"), whole.report.at("points"));
  EXPECT_EQ(merged.at("winners"), whole.report.at("winners"));
  EXPECT_EQ(merged.at("plan"), whole.report.at("plan"));
}

TEST(Shards, MergeNamesWhatIsWrong) {
  const MadeRecording made(5, 10);
  const auto recording = made.read();
  std::vector<NamedReport> parts;
  for (std::size_t i = 1; i <= 3; ++i) {
    SweepOptions options = replay_options();
    options.shard = {i, 3};
    parts.push_back({"part-" + std::to_string(i), replay(recording, options, nullptr).report});
  }
  const auto message = [](const std::vector<NamedReport>& some) -> std::string {
    try {
      static_cast<void>(merge_reports(some));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(parts), "");
  EXPECT_NE(message({parts[0], parts[2]}).find("part 2 of 3 is missing"), std::string::npos);
  EXPECT_NE(message({parts[0], parts[1], parts[1], parts[2]}).find("part-2 and part-2 are both"),
            std::string::npos);
  auto spoiled = parts;
  spoiled[1].report["git"] = "v0.0.1";
  EXPECT_NE(message(spoiled).find("part-1 and part-2 differ in the build"), std::string::npos);
  spoiled = parts;
  spoiled[2].report["plan"]["hash"] = "0";
  EXPECT_NE(message(spoiled).find("part-3 differ in what they measure"), std::string::npos);
  spoiled = parts;
  spoiled[0].report["complete"] = false;
  EXPECT_NE(message(spoiled).find("part-1 is not complete"), std::string::npos);
  spoiled = parts;
  const std::string gone = spoiled[1].report["points"][0]["index"].dump();
  spoiled[1].report["points"].erase(0);
  EXPECT_NE(message(spoiled).find("no part has the points " + gone), std::string::npos);
  spoiled = parts;
  spoiled[1].report["points"][0]["index"] = spoiled[1].report["points"][1]["index"];
  EXPECT_NE(message(spoiled).find("both have point"), std::string::npos);
  spoiled = parts;
  spoiled[1].report.erase("plan");
  EXPECT_NE(message(spoiled).find("part-2 does not say"), std::string::npos);
  EXPECT_NE(message({}), "");
}

TEST(Shards, AreWrittenAsPartOfAll) {
  EXPECT_EQ(parse_shard("2/8").index, 2u);
  EXPECT_EQ(parse_shard("2/8").count, 8u);
  for (const char* text : {"", "2", "/8", "2/", "0/8", "9/8", "2/8x", "a/b", "-1/8", "1/0"}) {
    EXPECT_THROW(static_cast<void>(parse_shard(text)), Error) << text;
  }
}

TEST(Devices, ShareTheProblemsAndAgreeOnTheWinners) {
  const MadeRecording made(40, 10);
  const auto recording = made.read();
  const Replayed one = replay(recording, replay_options(), nullptr);
  const Replayed two = replay(recording, replay_options(), nullptr, 2);
  EXPECT_EQ(two.report.at("winners"), one.report.at("winners"));
  ASSERT_EQ(two.report.at("points").size(), one.report.at("points").size());
  const json& devices = two.report.at("environment").at("devices");
  ASSERT_EQ(devices.size(), 2u);
  for (const json& device : devices) {
    EXPECT_FALSE(device.at("differs").get<bool>());
    EXPECT_NEAR(device.at("relative_time").get<double>(), 1, 1e-9);
  }
  for (const json& point : two.report.at("points")) EXPECT_LE(point.at("device"), 1);
}

}  // namespace
}  // namespace spiketune
