#pragma once
/// \file
/// How a sweep shows where it is: a bar that rewrites itself on a terminal, plain lines elsewhere.

#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "spiketune/autotune/sweep.hpp"

namespace spiketune::cli {

/// Writes to standard error, so that standard output keeps to results.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(bool quiet);
  void show(const SweepProgress& progress);
  /// One line for a finished problem: what was measured and who was fastest.
  void problem_done(const nlohmann::json& points, const SweepProgress& progress);
  /// Removes the bar.
  void clear();

 private:
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace spiketune::cli
