#pragma once
/// \file
/// What measures the candidates of a sweep: this process, a worker process (worker.hpp), or a
/// recording (replay.hpp).

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/problem_run.hpp"
#include "spiketune/autotune/suite.hpp"

namespace spiketune {

/// One problem with what is to be measured on it.
struct Job {
  std::string backend;  ///< "host" or "cuda"
  PlannedProblem planned;
  std::vector<EncodingChoice> choices;
};

/// The job with those candidates that `keep` wants.
[[nodiscard]] Job with_candidates(
    const Job& job, const std::function<bool(const EncodingChoice&, const KernelChoice&)>& keep);

struct JobCallbacks {
  std::function<bool()> interrupted = [] { return false; };
  /// What is done now, and how much of the job's work is, 0 to 1.
  std::function<void(const std::string& what, double share)> progress = [](const std::string&,
                                                                           double) {};
  /// The point of each candidate as it ends (results/schema/report.schema.json).
  std::function<void(nlohmann::json point)> done = [](const nlohmann::json&) {};
};

class Executor {
 public:
  virtual ~Executor() = default;
  /// `environment` of a report, with `copy_gbps` and what timing nothing takes. Throws Error where
  /// there is nothing to measure on.
  [[nodiscard]] virtual nlohmann::json environment() = 0;
  /// Measures every candidate of the job, or, after an interrupt, as many as it can.
  virtual void run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) = 0;
};

/// Measures in this process: what a candidate breaks stays broken.
[[nodiscard]] std::unique_ptr<Executor> make_local_executor(Backend& backend);

/// `environment` of a report, with `copy_gbps` and what timing nothing takes.
[[nodiscard]] nlohmann::json measured_environment(Backend& backend);

}  // namespace spiketune
