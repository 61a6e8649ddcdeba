#pragma once
/// \file
/// One sweep on many hosts: which part measures what, and one report from the parts.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/sweep.hpp"

namespace spiketune {

/// "2/8": the second of eight. Throws Error(parse).
[[nodiscard]] Shard parse_shard(const std::string& text);

/// Indices of the plan's jobs that belong to options.shard, in order. Each job belongs to one
/// shard, the same wherever it is asked; the predicted times of the shards differ by a job at most.
[[nodiscard]] std::vector<std::size_t> jobs_of_shard(const SweepPlan& plan,
                                                     const SweepOptions& options);

/// Seconds that a job takes at most, roughly: its candidates take their time, its reference a
/// product in f64.
[[nodiscard]] double predicted_seconds(const Job& job, const std::string& backend,
                                       const SweepOptions& options);

/// A report as read from a file.
struct NamedReport {
  std::string name;  ///< for messages: the path
  nlohmann::json report;
};

/// The report of the unsharded sweep. Throws Error(invalid_argument) that names what is wrong:
/// reports of different plans or builds, a shard twice, one missing, one incomplete.
[[nodiscard]] nlohmann::json merge_reports(const std::vector<NamedReport>& parts);

}  // namespace spiketune
