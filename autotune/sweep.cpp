#include "spiketune/autotune/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/problem_run.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// A problem with its candidates.
struct PlannedRun {
  PlannedProblem planned;
  std::vector<EncodingChoice> choices;
  std::vector<std::string> commands;  ///< one for each candidate
};

std::vector<PlannedRun> plan_runs(const Backend& backend, const Registry& registry,
                                  const SweepOptions& options) {
  check_selection(registry, backend.name(), options.selection);
  std::vector<PlannedRun> runs;
  for (const SuiteEntry& entry : options.entries) {
    for (PlannedProblem& planned : expand(entry)) {
      PlannedRun run;
      const bool known = planned.why_skipped.empty();
      run.choices =
          list_candidates(registry, backend.name(), options.selection, planned.problem, known);
      for (EncodingChoice& choice : run.choices) {
        if (!known) choice.why_skipped = planned.why_skipped;
        for (const KernelChoice& kernel : choice.kernels) {
          run.commands.push_back(reproduce_command(planned, choice, kernel, options));
        }
      }
      run.planned = std::move(planned);
      runs.push_back(std::move(run));
    }
  }
  return runs;
}

/// Measured candidates; the others cost nothing.
std::size_t count_measured(const std::vector<EncodingChoice>& choices) {
  std::size_t count = 0;
  for (const EncodingChoice& choice : choices) {
    if (!choice.why_skipped.empty()) continue;
    count += static_cast<std::size_t>(
        std::count_if(choice.kernels.begin(), choice.kernels.end(),
                      [](const KernelChoice& kernel) { return kernel.why_skipped.empty(); }));
  }
  return count;
}

class Sweep {
 public:
  Sweep(Backend& backend, const Registry& registry, const SweepOptions& options,
        const SweepCallbacks& callbacks)
      : backend_(backend),
        options_(options),
        callbacks_(callbacks),
        runs_(plan_runs(backend, registry, options)) {
    for (const PlannedRun& run : runs_) total_ += count_measured(run.choices);
  }

  json run() {
    report_ = empty_report(options_.argv, backend_.environment());
    callbacks_.save(report_);  // a path that cannot be written to is found out now
    prepare_options();
    for (std::size_t i = 0; i < runs_.size() && !callbacks_.interrupted(); ++i) run_one(i);
    report_["complete"] = !callbacks_.interrupted();
    add_analysis(report_);
    callbacks_.save(report_);
    return std::move(report_);
  }

 private:
  void prepare_options();
  void run_one(std::size_t index);
  [[nodiscard]] SweepProgress progress(std::size_t index, std::string what, double done) const;
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

  Backend& backend_;
  const SweepOptions& options_;
  const SweepCallbacks& callbacks_;
  std::vector<PlannedRun> runs_;
  RunOptions run_options_;
  json report_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::size_t total_ = 0;
  double done_ = 0;
};

/// Measures what all problems need to know of the machine, and shares out the time.
void Sweep::prepare_options() {
  const double overhead = backend_.meter().overhead_us();
  const double bandwidth = backend_.meter().copy_gbps();
  report_["environment"]["copy_gbps"] = bandwidth;
  report_["environment"]
         [backend_.space() == Space::device ? "event_overhead_us" : "clock_overhead_us"] = overhead;
  run_options_.copy_gbps = bandwidth;
  run_options_.modes = options_.modes;
  run_options_.seed = options_.seed;
  double seconds = options_.max_seconds_per_candidate;
  if (options_.budget_seconds && total_ > 0) {
    seconds = std::min(seconds, *options_.budget_seconds / static_cast<double>(total_));
  }
  constexpr double quantities = 3;  // encode, compute, total
  run_options_.rule.max_samples = options_.max_samples;
  run_options_.rule.min_samples = std::min(run_options_.rule.min_samples, options_.max_samples);
  run_options_.rule.max_seconds =
      seconds / (quantities * static_cast<double>(std::max<std::size_t>(options_.modes.size(), 1)));
}

SweepProgress Sweep::progress(std::size_t index, std::string what, double done) const {
  SweepProgress result;
  result.problem = index;
  result.problems = runs_.size();
  result.name = problem_name(runs_[index].planned.problem);
  result.what = std::move(what);
  result.share = total_ == 0 ? 1 : done / static_cast<double>(total_);
  result.elapsed_seconds = elapsed();
  if (result.share > 0) result.left_seconds = result.elapsed_seconds * (1 / result.share - 1);
  return result;
}

void Sweep::run_one(std::size_t index) {
  const PlannedRun& run = runs_[index];
  const auto work = static_cast<double>(count_measured(run.choices));
  const RunCallbacks callbacks{callbacks_.interrupted, [&](const std::string& what, double share) {
                                 callbacks_.progress(progress(index, what, done_ + share * work));
                               }};
  json points = json::array();
  for (const Point& point :
       run_problem(backend_, run.planned, run.choices, run.commands, run_options_, callbacks)) {
    points.push_back(point_to_json(point));
  }
  done_ += work;
  for (const json& point : points) report_["points"].push_back(point);
  callbacks_.problem_done(points, progress(index, "", done_));
  add_analysis(report_);
  callbacks_.save(report_);
}

}  // namespace

json run_sweep(Backend& backend, const Registry& registry, const SweepOptions& options,
               const SweepCallbacks& callbacks) {
  require(!options.modes.empty(), ErrorCode::invalid_argument, "a sweep needs a timing mode");
  require(options.max_samples > 0, ErrorCode::invalid_argument, "max-samples must be at least 1");
  return Sweep(backend, registry, options, callbacks).run();
}

std::size_t count_points(const json& report, std::string_view status) {
  return static_cast<std::size_t>(
      std::count_if(report.at("points").begin(), report.at("points").end(),
                    [&](const json& point) { return point.at("status") == status; }));
}

std::string reproduce_command(const PlannedProblem& planned, const EncodingChoice& encoding,
                              const KernelChoice& kernel, const SweepOptions& options) {
  const Problem& problem = planned.problem;
  std::string command = "spiketune sweep";
  const auto add = [&](const char* flag, const std::string& value) {
    command += std::string(" ") + flag + " " + shell_quote(value);
  };
  if (planned.file.empty()) {
    add("--shape", to_string(ProductShape{problem.m(), problem.k, problem.n}));
    add("--density", fmt::format("{}", problem.density));
    add("--pattern", problem.pattern);
    if (!problem.pattern_params.empty()) add("--pattern-params", problem.pattern_params.dump());
  } else {
    add("--file", planned.file);
    add("--n", std::to_string(problem.n));
    if (planned.images > 0) add("--images", std::to_string(planned.images));
    if (planned.tile > 1) add("--tile", std::to_string(planned.tile));
  }
  add("--timesteps", std::to_string(problem.timesteps));
  add("--value", std::string(to_string(problem.value)));
  add("--workload", problem.workload);
  add("--row-order", std::string(to_string(problem.row_order)));
  add("--input", std::string(to_string(problem.input)));
  add("--weights", std::string(to_string(problem.weights)));
  add("--output-type", std::string(to_string(problem.output)));
  if (problem.amortise > 1) add("--amortise", std::to_string(problem.amortise));
  add("--formats", encoding.plugin->name());
  if (kernel.kernel == no_kernel) {
    command += " --encode-only";
  } else {
    add("--kernels", kernel.kernel);
  }
  if (!kernel.config.empty()) add("--config", kernel.config.dump());
  if (!options.command_options.empty()) command += " " + options.command_options;
  add("--seed", std::to_string(options.seed));
  return command;
}

}  // namespace spiketune
