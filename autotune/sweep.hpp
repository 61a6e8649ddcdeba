#pragma once
/// \file
/// A sweep: every problem × every candidate, measured, as one report.
///
///   options ──plan_sweep──▶ jobs, a problem each ──executors──▶ points ──▶ record ──▶ report
///
/// The plan is the same wherever it is made, so a sweep can be continued after it was killed, and
/// cut into shards that different hosts measure (shard.hpp).

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/executor.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/autotune/suite.hpp"
#include "spiketune/autotune/sweep_record.hpp"

namespace spiketune {

/// Part `index` of `count`, from 1.
struct Shard {
  std::size_t index = 1;
  std::size_t count = 1;
};

struct SweepOptions {
  std::vector<SuiteEntry> entries;
  Selection selection;
  std::vector<TimingMode> modes{TimingMode::cold, TimingMode::hot};
  std::uint64_t seed = 1;
  std::size_t max_samples = 200;
  double max_seconds_per_candidate = 3;  ///< for all of a candidate's measurements together
  std::optional<double> budget_seconds;  ///< shared out evenly where that leaves less to each
  std::vector<std::string> argv;         ///< recorded in the report
  std::string command_options;  ///< what `command` of each point repeats: backend, plugins, ...
  nlohmann::json search;        ///< what the report says of a search (search.hpp); null: none
  Shard shard;
  std::string journal;  ///< file that keeps points as they end; empty: nowhere that outlasts it
  bool resume = false;  ///< go on with an old journal
};

/// Where a sweep is.
struct SweepProgress {
  std::size_t problem = 0;  ///< index of the one in work
  std::size_t problems = 0;
  std::string name;  ///< of the problem
  std::string what;  ///< the format being prepared, or "timing"
  double share = 0;  ///< of all work done, 0 to 1
  double elapsed_seconds = 0;
  double left_seconds = 0;  ///< at the pace so far; 0 before there is one
};

/// Called by one thread at a time, though not always by the same.
struct SweepCallbacks {
  std::function<bool()> interrupted = [] { return false; };
  std::function<void(const SweepProgress&)> progress = [](const SweepProgress&) {};
  /// After each problem: its points without samples, and where the sweep is then.
  std::function<void(const nlohmann::json& points, const SweepProgress&)> problem_done =
      [](const nlohmann::json&, const SweepProgress&) {};
  /// Before the first problem, now and then, and at the end: what there is so far.
  std::function<void(SweepRecord& record)> save = [](SweepRecord&) {};
};

/// Everything that a sweep will measure.
struct SweepPlan {
  std::string backend;  ///< "host" or "cuda"
  std::vector<Job> jobs;
  std::size_t candidates = 0;
  std::string hash;  ///< equal for equal plans of equal builds
};

/// Throws Error for entries that make no sense.
[[nodiscard]] SweepPlan plan_sweep(const Registry& registry, const std::string& backend,
                                   const SweepOptions& options);
/// Numbers the candidates of `jobs` and fills in the hash.
[[nodiscard]] SweepPlan finish_plan(std::string backend, std::vector<Job> jobs,
                                    const SweepOptions& options);

/// Measures on all executors at once, a problem each; `complete` is false after an interrupt.
/// Throws what an executor throws, and Error as Journal does.
[[nodiscard]] SweepRecord run_sweep(const SweepPlan& plan,
                                    const std::vector<std::unique_ptr<Executor>>& executors,
                                    const SweepOptions& options,
                                    const SweepCallbacks& callbacks = {});

/// The same in this process alone, and the whole report in memory.
[[nodiscard]] nlohmann::json run_sweep(Backend& backend, const Registry& registry,
                                       const SweepOptions& options,
                                       const SweepCallbacks& callbacks = {});

/// Points of a report with this status ("ok", "skipped", "failed", "wrong").
[[nodiscard]] std::size_t count_points(const nlohmann::json& report, std::string_view status);

/// The command that measures one candidate of one problem again.
[[nodiscard]] std::string reproduce_command(const PlannedProblem& planned,
                                            const EncodingChoice& encoding,
                                            const KernelChoice& kernel,
                                            const SweepOptions& options);

}  // namespace spiketune
