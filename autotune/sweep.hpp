#pragma once
/// \file
/// A sweep: every problem × every candidate, measured, as one report.

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/autotune/suite.hpp"

namespace spiketune {

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

struct SweepCallbacks {
  std::function<bool()> interrupted = [] { return false; };
  std::function<void(const SweepProgress&)> progress = [](const SweepProgress&) {};
  /// After each problem: its points, and where the sweep is then.
  std::function<void(const nlohmann::json& points, const SweepProgress&)> problem_done =
      [](const nlohmann::json&, const SweepProgress&) {};
  /// Before the first problem, after each, and at the end: the report so far, valid each time.
  std::function<void(const nlohmann::json& report)> save = [](const nlohmann::json&) {};
};

/// Measures and returns the report; `complete` is false after an interrupt. Throws Error for
/// entries that make no sense, before anything is measured.
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
