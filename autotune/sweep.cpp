#include "spiketune/autotune/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/autotune/problem_run.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/shard.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

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

/// FNV-1a, 64 bits.
class Hash {
 public:
  void add(std::string_view text) {
    for (const char c : text) step(static_cast<unsigned char>(c));
    step(0);
  }
  [[nodiscard]] std::string text() const { return fmt::format("{:016x}", value_); }

 private:
  void step(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3u; }
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

std::string hash_of(const std::string& backend, const std::vector<Job>& jobs,
                    const SweepOptions& options) {
  Hash hash;
  hash.add(build_version() + " " + build_revision() + " " + backend);
  for (const TimingMode mode : options.modes) hash.add(to_string(mode));
  hash.add(fmt::format("{} {} {} {}", options.seed, options.max_samples,
                       options.max_seconds_per_candidate, options.budget_seconds.value_or(0)));
  hash.add(options.search.dump());
  for (const Job& job : jobs) {
    hash.add(problem_key(job.planned.problem));
    hash.add(fmt::format("{} {} {}{}", job.planned.file, job.planned.images, job.planned.tile,
                         event_flags(job.planned.events)));
    for (const EncodingChoice& choice : job.choices) {
      hash.add(choice.format + " " + choice.params.dump());
      for (const KernelChoice& kernel : choice.kernels) {
        hash.add(kernel.kernel + " " + kernel.config.dump());
      }
    }
  }
  return hash.text();
}

/// What is left to measure of a job: no skipped candidates and none that there are points of.
Job left_of(const Job& job, const SweepRecord& record) {
  return with_candidates(job, [&](const EncodingChoice& choice, const KernelChoice& kernel) {
    return choice.why_skipped.empty() && kernel.why_skipped.empty() &&
           !record.points().contains(kernel.index);
  });
}

class Sweep {
 public:
  Sweep(const SweepPlan& plan, const std::vector<std::unique_ptr<Executor>>& executors,
        const SweepOptions& options, const SweepCallbacks& callbacks)
      : plan_(plan), executors_(executors), options_(options), callbacks_(callbacks) {
    jobs_ = jobs_of_shard(plan, options);
    for (const std::size_t job : jobs_) total_ += work_of(job);
  }

  SweepRecord run();

 private:
  [[nodiscard]] double work_of(std::size_t job) const {
    return static_cast<double>(count_measured(plan_.jobs[job].choices));
  }
  SweepRecord open_record();
  [[nodiscard]] RunOptions run_options(const json& environment) const;
  void skip_candidates(std::size_t job);
  void serve(std::size_t executor);
  void run_job(std::size_t executor, std::size_t at);
  void calibrate(std::size_t executor);
  void compare_devices();
  void finish_job(std::size_t at);
  [[nodiscard]] SweepProgress progress(std::size_t at, std::string what) const;
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

  const SweepPlan& plan_;
  const std::vector<std::unique_ptr<Executor>>& executors_;
  const SweepOptions& options_;
  const SweepCallbacks& callbacks_;
  std::vector<std::size_t> jobs_;  // of this shard, into the plan
  std::vector<json> environments_;
  std::optional<SweepRecord> record_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double total_ = 0;
  std::mutex mutex_;  // guards all below, and the record
  std::size_t next_ = 0;
  double done_ = 0;
  double resumed_ = 0;
  std::map<std::size_t, double> in_work_;  // by executor: how much of its job is done
  double saved_ = 0;
  std::map<std::size_t, std::map<std::size_t, double>> calibration_;
  std::exception_ptr failure_;
};

/// Seconds between two reports written while a sweep goes on; points are in the journal anyway.
constexpr double save_interval = 10;

SweepRecord Sweep::open_record() {
  json head = empty_report(options_.argv, environments_.front());
  head["plan"] = {{"hash", plan_.hash},
                  {"candidates", plan_.candidates},
                  {"shard", {{"index", options_.shard.index}, {"count", options_.shard.count}}}};
  if (!options_.search.is_null()) head["search"] = options_.search;
  if (options_.journal.empty()) return {std::move(head), Journal()};
  const json& environment = environments_.front();
  const json header = {
      {"plan", fmt::format("{} {}/{}", plan_.hash, options_.shard.index, options_.shard.count)},
      {"version", build_version()},
      {"git", build_revision()},
      {"gpu", environment.value("gpu", json())},
      {"cpu", environment.value("cpu", json())},
      {"created", head["created"]}};
  Journal journal(options_.journal, header, options_.resume);
  head["created"] = journal.header().value("created", head["created"]);
  return {std::move(head), std::move(journal)};
}

/// Shares out the time.
RunOptions Sweep::run_options(const json& environment) const {
  RunOptions result;
  if (environment.contains("copy_gbps") && environment["copy_gbps"].is_number()) {
    result.copy_gbps = environment["copy_gbps"].get<double>();
  }
  result.modes = options_.modes;
  result.seed = options_.seed;
  double seconds = options_.max_seconds_per_candidate;
  if (options_.budget_seconds && total_ > 0) {
    seconds = std::min(seconds, *options_.budget_seconds / total_);
  }
  constexpr double quantities = 3;  // encode, compute, total
  result.rule.max_samples = options_.max_samples;
  result.rule.min_samples = std::min(result.rule.min_samples, options_.max_samples);
  result.rule.max_seconds =
      seconds / (quantities * static_cast<double>(std::max<std::size_t>(options_.modes.size(), 1)));
  return result;
}

SweepProgress Sweep::progress(std::size_t at, std::string what) const {
  SweepProgress result;
  result.problem = at;
  result.problems = jobs_.size();
  result.name = problem_name(plan_.jobs[jobs_[at]].planned.problem);
  result.what = std::move(what);
  double done = done_;
  for (const auto& [executor, share] : in_work_) done += share;
  result.share = total_ == 0 ? 1 : done / total_;
  result.elapsed_seconds = elapsed();
  // What an earlier run did says nothing of the pace of this one.
  const double fresh = done - resumed_;
  if (fresh > 0) result.left_seconds = result.elapsed_seconds * (total_ - done) / fresh;
  return result;
}

/// Points of the candidates that are not measured.
void Sweep::skip_candidates(std::size_t job) {
  std::vector<json> points;
  for (const EncodingChoice& choice : plan_.jobs[job].choices) {
    for (const KernelChoice& kernel : choice.kernels) {
      const Point point =
          blank_point(plan_.jobs[job].backend, plan_.jobs[job].planned.problem, choice, kernel);
      if (point.status != PointStatus::skipped || record_->points().contains(kernel.index))
        continue;
      points.push_back(point_to_json(point));
    }
  }
  record_->add(points);
}

void Sweep::run_job(std::size_t executor, std::size_t at) {
  Job left;
  double before = 0;  // done by an earlier run
  {
    const std::lock_guard lock(mutex_);
    left = left_of(plan_.jobs[jobs_[at]], *record_);
    before = work_of(jobs_[at]) - static_cast<double>(count_candidates(left.choices));
    skip_candidates(jobs_[at]);
    resumed_ += before;
    in_work_[executor] = before;
  }
  std::vector<json> points;  // that are not in the record yet
  if (!left.choices.empty()) {
    JobCallbacks job;
    job.interrupted = [&] {
      const std::lock_guard lock(mutex_);
      return failure_ != nullptr || callbacks_.interrupted();
    };
    job.progress = [&](const std::string& what, double share) {
      const std::lock_guard lock(mutex_);
      in_work_[executor] = before + share * static_cast<double>(count_candidates(left.choices));
      callbacks_.progress(progress(at, what));
    };
    job.done = [&](json point) {
      const std::lock_guard lock(mutex_);
      if (executors_.size() > 1) point["device"] = executor;
      points.push_back(std::move(point));
      // What a search found on one candidate means nothing without the others.
      if (!options_.search.is_null()) return;
      record_->add(points);
      points.clear();
    };
    executors_[executor]->run(left, run_options(environments_[executor]), job);
  }
  const std::lock_guard lock(mutex_);
  record_->add(points);
  in_work_.erase(executor);
  done_ += work_of(jobs_[at]);
  finish_job(at);
}

/// Tells of a job's points, if it has all.
void Sweep::finish_job(std::size_t at) {
  json points = json::array();
  for (const EncodingChoice& choice : plan_.jobs[jobs_[at]].choices) {
    for (const KernelChoice& kernel : choice.kernels) {
      const auto found = record_->points().find(kernel.index);
      if (found == record_->points().end()) return;
      points.push_back(found->second);
    }
  }
  callbacks_.problem_done(points, progress(at, ""));
  if (elapsed() - saved_ < save_interval) return;
  callbacks_.save(*record_);
  saved_ = elapsed();
}

/// Takes job after job, until there is none or something went wrong.
void Sweep::serve(std::size_t executor) {
  try {
    if (executors_.size() > 1) calibrate(executor);
    for (;;) {
      std::size_t at = 0;
      {
        const std::lock_guard lock(mutex_);
        if (failure_ || next_ == jobs_.size() || callbacks_.interrupted()) return;
        at = next_++;
      }
      run_job(executor, at);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
}

/// Measures the first few candidates of the sweep, which all executors do, to tell them apart.
void Sweep::calibrate(std::size_t executor) {
  constexpr std::size_t few = 4;
  Job job;
  job.backend = plan_.backend;
  std::size_t taken = 0;
  for (const std::size_t each : jobs_) {
    job.planned = plan_.jobs[each].planned;
    for (const EncodingChoice& choice : plan_.jobs[each].choices) {
      if (!choice.why_skipped.empty() || taken == few) continue;
      EncodingChoice one = choice;
      std::erase_if(one.kernels,
                    [](const KernelChoice& kernel) { return !kernel.why_skipped.empty(); });
      if (one.kernels.empty()) continue;
      one.kernels.resize(1);
      job.choices.push_back(std::move(one));
      ++taken;
    }
    if (taken > 0) break;
  }
  if (taken == 0) return;
  JobCallbacks callbacks;
  callbacks.interrupted = [&] {
    const std::lock_guard lock(mutex_);
    return callbacks_.interrupted();
  };
  callbacks.done = [&](const json& point) {
    const std::lock_guard lock(mutex_);
    for (const char* key : {"total_us", "encode_us"}) {
      if (!point.contains(key) || !point[key].is_object()) continue;
      calibration_[executor][point.at("index").get<std::size_t>()] =
          point[key].at("median").get<double>();
      break;
    }
  };
  executors_[executor]->run(job, run_options(environments_[executor]), callbacks);
}

/// Marks devices that differ from the middle one by more than 3 % (geometric mean).
void Sweep::compare_devices() {
  constexpr double tolerated = 0.03;
  std::map<std::size_t, std::vector<double>> by_candidate;
  for (const auto& [executor, times] : calibration_) {
    for (const auto& [candidate, time] : times) by_candidate[candidate].push_back(time);
  }
  json devices = json::array();
  for (std::size_t i = 0; i < executors_.size(); ++i) {
    double sum = 0;
    std::size_t count = 0;
    for (const auto& [candidate, time] : calibration_[i]) {
      std::vector<double> all = by_candidate[candidate];
      if (all.size() != executors_.size() || time <= 0) continue;
      sum += std::log(time / statistics(all).median);
      ++count;
    }
    json device = {{"name", environments_[i].value("gpu", json())},
                   {"relative_time", nullptr},
                   {"differs", false}};
    if (count > 0) {
      const double relative = std::exp(sum / static_cast<double>(count));
      device["relative_time"] = relative;
      device["differs"] = std::abs(relative - 1) > tolerated;
    }
    devices.push_back(std::move(device));
  }
  record_->head()["environment"]["devices"] = std::move(devices);
}

SweepRecord Sweep::run() {
  for (const auto& executor : executors_) environments_.push_back(executor->environment());
  record_ = open_record();
  callbacks_.save(*record_);  // a path that cannot be written to is found out now
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < executors_.size(); ++i) {
    threads.emplace_back([this, i] { serve(i); });
  }
  serve(0);
  for (std::thread& thread : threads) thread.join();
  if (executors_.size() > 1) compare_devices();
  std::size_t planned = 0;
  for (const std::size_t job : jobs_) planned += count_candidates(plan_.jobs[job].choices);
  record_->head()["complete"] = record_->points().size() == planned;
  callbacks_.save(*record_);
  if (failure_) std::rethrow_exception(failure_);
  return std::move(*record_);
}

}  // namespace

SweepPlan plan_sweep(const Registry& registry, const std::string& backend,
                     const SweepOptions& options) {
  check_selection(registry, backend, options.selection);
  std::vector<Job> jobs;
  for (const SuiteEntry& entry : options.entries) {
    for (PlannedProblem& planned : expand(entry)) {
      const bool known = planned.why_skipped.empty();
      Job job{backend, std::move(planned), {}};
      job.choices =
          list_candidates(registry, backend, options.selection, job.planned.problem, known);
      for (EncodingChoice& choice : job.choices) {
        if (!known) choice.why_skipped = job.planned.why_skipped;
        for (KernelChoice& kernel : choice.kernels) {
          kernel.command = reproduce_command(job.planned, choice, kernel, options);
        }
      }
      jobs.push_back(std::move(job));
    }
  }
  return finish_plan(backend, std::move(jobs), options);
}

SweepPlan finish_plan(std::string backend, std::vector<Job> jobs, const SweepOptions& options) {
  SweepPlan plan{std::move(backend), std::move(jobs), 0, ""};
  for (Job& job : plan.jobs) {
    for (EncodingChoice& choice : job.choices) {
      for (KernelChoice& kernel : choice.kernels) kernel.index = plan.candidates++;
    }
  }
  plan.hash = hash_of(plan.backend, plan.jobs, options);
  return plan;
}

SweepRecord run_sweep(const SweepPlan& plan,
                      const std::vector<std::unique_ptr<Executor>>& executors,
                      const SweepOptions& options, const SweepCallbacks& callbacks) {
  require(!options.modes.empty(), ErrorCode::invalid_argument, "a sweep needs a timing mode");
  require(options.max_samples > 0, ErrorCode::invalid_argument, "max-samples must be at least 1");
  require(!executors.empty(), ErrorCode::invalid_argument, "a sweep needs a device");
  return Sweep(plan, executors, options, callbacks).run();
}

json run_sweep(Backend& backend, const Registry& registry, const SweepOptions& options,
               const SweepCallbacks& callbacks) {
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(make_local_executor(backend));
  const SweepPlan plan = plan_sweep(registry, backend.name(), options);
  return run_sweep(plan, executors, options, callbacks).report();
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
    command += event_flags(planned.events);
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
