#pragma once
/// \file
/// One problem of a sweep from inputs to points: prepare every candidate, time them interleaved.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/inputs.hpp"
#include "spiketune/autotune/measure.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/suite.hpp"

namespace spiketune {

struct RunOptions {
  StopRule rule;  ///< max_seconds: of each series
  std::vector<TimingMode> modes{TimingMode::cold, TimingMode::hot};
  bool only_total = false;  ///< encode + compute in the first of the modes, and nothing else
  std::uint64_t seed = 1;
  std::optional<double> copy_gbps;  ///< for floors
};

struct RunCallbacks {
  std::function<bool()> interrupted = [] { return false; };
  /// What is done now, and how much of the problem's work is, 0 to 1.
  std::function<void(const std::string& what, double share)> progress = [](const std::string&,
                                                                           double) {};
  /// Before anything that may go wrong: the candidates (by their index) that it is done for, so
  /// that whoever watches knows whom to blame; none for what is nobody's fault.
  std::function<void(std::span<const std::size_t> candidates)> step =
      [](std::span<const std::size_t>) {};
  /// The point of each candidate as it ends. An interrupt leaves out those that had not.
  std::function<void(const Point& point)> done = [](const Point&) {};
};

/// What the candidates of a problem share. Kept between runs, it is not made twice.
struct ProblemSetup {
  std::string key;  ///< of the problem it was made for; empty: none yet
  std::optional<ProblemInputs> inputs;
  Buffer reference;
};

/// The point of a candidate before anything is known of it but, perhaps, why it is skipped.
[[nodiscard]] Point blank_point(const std::string& backend, const Problem& problem,
                                const EncodingChoice& encoding, const KernelChoice& kernel);

/// Measures candidates, skipped ones included. Nothing that a candidate throws gets out.
void run_problem(Backend& backend, const PlannedProblem& planned,
                 const std::vector<EncodingChoice>& choices, const RunOptions& options,
                 const RunCallbacks& callbacks, ProblemSetup& setup);

}  // namespace spiketune
