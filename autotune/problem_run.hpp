#pragma once
/// \file
/// One problem of a sweep from inputs to points: prepare every candidate, time them interleaved.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/measure.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/suite.hpp"

namespace spiketune {

struct RunOptions {
  StopRule rule;  ///< max_seconds: of each series
  std::vector<TimingMode> modes{TimingMode::cold, TimingMode::hot};
  std::uint64_t seed = 1;
  std::optional<double> copy_gbps;  ///< for floors
};

struct RunCallbacks {
  std::function<bool()> interrupted = [] { return false; };
  /// What is done now, and how much of the problem's work is, 0 to 1.
  std::function<void(const std::string& what, double share)> progress = [](const std::string&,
                                                                           double) {};
};

/// One point for each candidate, in their order. Nothing that a candidate throws gets out.
/// \param commands   for each candidate, the command that measures it again
[[nodiscard]] std::vector<Point> run_problem(Backend& backend, const PlannedProblem& planned,
                                             const std::vector<EncodingChoice>& choices,
                                             const std::vector<std::string>& commands,
                                             const RunOptions& options,
                                             const RunCallbacks& callbacks);

}  // namespace spiketune
