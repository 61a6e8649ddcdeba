#pragma once
/// \file
/// A recorded report as a device: what was measured once is measured again, at once and anywhere.
/// Search, resume, shards and merge are tried on it at full size without a GPU.

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/executor.hpp"
#include "spiketune/autotune/sweep.hpp"

namespace spiketune {

/// The points of a report, each as text: a DOM of them would be several times as large.
class RecordedReport {
 public:
  /// Throws Error(io), and Error(parse) for what is not a report.
  [[nodiscard]] static RecordedReport read(const std::string& path);

  [[nodiscard]] const nlohmann::json& environment() const { return environment_; }
  [[nodiscard]] std::size_t size() const { return points_.size(); }
  /// Throws Error(parse) for a point that is none.
  [[nodiscard]] nlohmann::json point(std::size_t i) const;

 private:
  std::string path_;
  nlohmann::json environment_;
  std::vector<std::string> points_;
};

/// A plan of what a recording holds, and where it holds it.
struct ReplayPlan {
  SweepPlan plan;
  std::vector<std::size_t> recorded;  ///< for each candidate of the plan, its point
};

/// All problems of the recording, with the candidates that options.selection lets through.
[[nodiscard]] ReplayPlan plan_replay(const RecordedReport& recording, const SweepOptions& options);

/// Takes as many of the recorded samples as the rule asks for, from the first.
[[nodiscard]] std::unique_ptr<Executor> make_replay_executor(
    std::shared_ptr<const RecordedReport> recording, std::vector<std::size_t> recorded);

}  // namespace spiketune
