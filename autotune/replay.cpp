#include "spiketune/autotune/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <map>
#include <utility>

#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// The quantities that RunOptions asks for.
bool wanted(const std::string& quantity, bool hot, const RunOptions& options) {
  if (options.only_total)
    return quantity == "total" && hot == (options.modes.front() == TimingMode::hot);
  const TimingMode mode = hot ? TimingMode::hot : TimingMode::cold;
  return std::find(options.modes.begin(), options.modes.end(), mode) != options.modes.end();
}

/// The first samples, as many as the rule asks for.
std::vector<double> take(const std::vector<double>& samples, const StopRule& rule) {
  std::vector<double> taken;
  double seconds = 0;
  for (const double sample : samples) {
    if (rule.enough(taken, seconds)) break;
    taken.push_back(sample);
    seconds += 1e-6 * sample;
  }
  return taken;
}

void replay_times(json& point, const RunOptions& options) {
  for (const char* quantity : {"encode", "compute", "total"}) {
    Timing timing;
    for (const bool second : {false, true}) {
      const std::string key = std::string(quantity) + (second ? "_hot_us" : "_us");
      const auto found = point.find(key);
      if (found == point.end() || !found->is_object()) continue;
      const bool hot = found->at("mode") == to_string(TimingMode::hot);
      if (!wanted(quantity, hot, options)) continue;
      (hot ? timing.hot : timing.cold) =
          take(found->at("samples").get<std::vector<double>>(), options.rule);
    }
    add_timing(point, quantity, timing);
  }
}

class ReplayExecutor final : public Executor {
 public:
  ReplayExecutor(std::shared_ptr<const RecordedReport> recording, std::vector<std::size_t> recorded)
      : recording_(std::move(recording)), recorded_(std::move(recorded)) {}

  json environment() override { return recording_->environment(); }

  void run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) override {
    for (const EncodingChoice& choice : job.choices) {
      for (const KernelChoice& kernel : choice.kernels) {
        if (callbacks.interrupted()) return;
        json point = recording_->point(recorded_.at(kernel.index));
        point["index"] = kernel.index;
        if (point.at("status") == to_string(PointStatus::ok)) replay_times(point, options);
        callbacks.done(std::move(point));
      }
    }
  }

 private:
  std::shared_ptr<const RecordedReport> recording_;
  std::vector<std::size_t> recorded_;
};

/// Whether the plan's selection lets a recorded point through.
bool selected(const Selection& selection, const json& point) {
  if (!selection.baselines && point.value("baseline", false)) return false;
  if (!matches(selection.formats, point.at("format"))) return false;
  if (!matches(selection.kernels, point.at("kernel"))) return false;
  return !selection.config || has_fields(point.at("config"), *selection.config);
}

}  // namespace

RecordedReport RecordedReport::read(const std::string& path) {
  const auto file = open_maybe_packed(path);
  RecordedReport recording;
  recording.path_ = path;
  bool in_points = false;
  json report;
  try {
    report = json::parse(*file, [&](int depth, json::parse_event_t event, json& value) {
      if (depth == 1 && event == json::parse_event_t::key) in_points = value == "points";
      if (depth != 2 || event != json::parse_event_t::object_end || !in_points) return true;
      recording.points_.push_back(value.dump());
      return false;
    });
  } catch (const json::exception& error) {
    throw Error(ErrorCode::parse, path + " is not JSON: " + error.what());
  }
  if (!report.is_object() || report.value("schema", json()) != "spiketune.report/1") {
    throw Error(ErrorCode::parse, path + " is not a report of spiketune");
  }
  recording.environment_ = report.value("environment", json::object());
  return recording;
}

json RecordedReport::point(std::size_t i) const {
  return json::parse(points_.at(i));
}

ReplayPlan plan_replay(const RecordedReport& recording, const SweepOptions& options) {
  std::vector<Job> jobs;
  std::vector<std::vector<std::size_t>> recorded;  // by job
  std::map<std::string, std::size_t> known;
  std::string backend;
  for (std::size_t i = 0; i < recording.size(); ++i) {
    try {
      const json point = recording.point(i);
      if (!selected(options.selection, point)) continue;
      PlannedProblem planned;
      planned.problem = problem_from_json(point.at("problem"));
      const std::string where = point.at("backend");
      if (backend.empty()) backend = where;
      if (where != backend) continue;  // one device at a time
      const auto [at, fresh] = known.emplace(problem_key(planned.problem), jobs.size());
      if (fresh) {
        jobs.push_back({backend, std::move(planned), {}});
        recorded.emplace_back();
      }
      Job& job = jobs[at->second];
      const std::string format = point.at("format");
      const bool baseline = point.at("baseline");
      if (job.choices.empty() || job.choices.back().format != format ||
          job.choices.back().baseline != baseline) {
        job.choices.push_back(
            {format, baseline, point.at("lossy"), nullptr, json::object(), "", {}});
      }
      const bool skipped = point.at("status") == to_string(PointStatus::skipped);
      job.choices.back().kernels.push_back({point.at("kernel"), point.at("config"),
                                            skipped ? point.at("reason").get<std::string>() : "", 0,
                                            point.value("command", "")});
      recorded[at->second].push_back(i);
    } catch (const json::exception& error) {
      throw Error(ErrorCode::parse, fmt::format("point {} of the recording: {}", i, error.what()));
    }
  }
  ReplayPlan result;
  result.plan = finish_plan(backend, std::move(jobs), options);
  for (const auto& of_job : recorded) {
    result.recorded.insert(result.recorded.end(), of_job.begin(), of_job.end());
  }
  return result;
}

std::unique_ptr<Executor> make_replay_executor(std::shared_ptr<const RecordedReport> recording,
                                               std::vector<std::size_t> recorded) {
  return std::make_unique<ReplayExecutor>(std::move(recording), std::move(recorded));
}

}  // namespace spiketune
