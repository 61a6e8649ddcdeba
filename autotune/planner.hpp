#pragma once
/// \file
/// Which candidate will be fastest on a problem that was never measured, judged from points that
/// were. A pure function of those points: no GPU, no clock.
///
/// Each candidate (format, kernel, config) has two models, of its encode and of one product
/// (plan_model.hpp). A model is a sum of terms that the work has (plan_work.hpp: bytes, products,
/// and what a kernel makes of them: tiles that fill whole turns of the device's multiprocessors,
/// steps one after another, W into shared memory), each with a rate that is never negative, and a
/// correction of what that sum misses at tuned points nearby: a Gaussian process around the sum.
///
/// Intervals say how wrong models were at shapes that they had not seen: those of the candidate's
/// own shapes that were left out when it was judged, in between and at the ends. They grow with the
/// distance from tuned shapes. Dense is recommended unless the gain that is predicted exceeds the
/// doubt, and where a plan has work that none of its tuned points has, or is more than four e-folds
/// from all of them.
///
/// Nonzeros beyond 2:4 are those expected of spikes that are independent of each other; for
/// structured spikes they are a guess.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/problem.hpp"

namespace spiketune {

/// A measured candidate. Medians in microseconds, cold where there are cold ones.
struct TunedPoint {
  Problem problem;
  std::string format;
  std::string kernel;
  nlohmann::json config;
  std::string backend;
  bool baseline = false;
  bool lossy = false;
  double encode_us = 0;  ///< 0: not known (the search left it early)
  double compute_us = 0;
  double total_us = 0;
  double units = 0;  ///< multiprocessors of the device, or threads; 0: not known
};

/// The points of a report that are ok and have a total.
[[nodiscard]] std::vector<TunedPoint> tuned_points(const nlohmann::json& report);

/// One term of a predicted time.
struct PlanTerm {
  std::string name;
  double us = 0;
};

struct Plan {
  std::string format;
  std::string kernel;
  nlohmann::json config;
  std::string backend;
  bool baseline = false;
  bool lossy = false;
  double encode_us = 0;  ///< 0: not known
  double compute_us = 0;
  double total_us = 0;
  double low_us = 0;  ///< nine of ten totals should lie between these
  double high_us = 0;
  std::size_t points = 0;       ///< tuned points of this candidate
  double distance = 0;          ///< to the nearest, in e-folds of M, K, N, density and widths
  std::vector<PlanTerm> terms;  ///< of the total, before the correction
  double correction = 1;        ///< factor from the points nearby
  std::string unknown;          ///< a term that none of them has, so that its rate is not known
  bool trusted = true;          ///< dense, or likely not slower and tuned on problems like this
  std::string reason;           ///< in words
};

struct PlanOptions {
  bool baselines =
      false;           ///< offer other libraries' kernels too; cuBLASLt's dense product always is
  bool lossy = false;  ///< offer formats that drop spikes
};

class Planner {
 public:
  explicit Planner(const std::vector<TunedPoint>& points);

  /// The trusted first, and by total. Empty where nothing was tuned for such types. Throws
  /// Error(invalid_argument) as check_problem() does.
  [[nodiscard]] std::vector<Plan> plan(const Problem& problem,
                                       const PlanOptions& options = {}) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// What a planner under judgement chose for a problem.
struct PlanChoice {
  Problem problem;
  Plan plan;
  double chosen_us = 0;  ///< what the chosen candidate really took
  double best_us = 0;    ///< the fastest that could have been chosen
  double dense_us = 0;   ///< the fastest dense; 0: there is none
  std::string best;      ///< its format and kernel
};

/// How good some choices are.
struct PlanVerdict {
  std::size_t count = 0;
  double mean_regret = 0;  ///< geometric mean of chosen / best, minus 1
  double p95_regret = 0;
  double worst_over_dense = 0;  ///< largest chosen / dense, minus 1; 0 where none is slower
};

/// Throws Error(invalid_argument) where there are none.
[[nodiscard]] PlanVerdict verdict_of(const std::vector<PlanChoice>& choices);

/// What a planner under judgement does not see.
enum class HoldOut : std::uint8_t {
  densities,            ///< every other density of each generated problem; all traces
  shapes_and_densities  ///< also every other shape (M, K, N), in order of M·K·N
};

/// Trains on what is not held out, and chooses for the rest. `seed` other than 0: half of the
/// shapes are held out at random instead. Throws Error(invalid_argument) where there is nothing to
/// judge.
[[nodiscard]] std::vector<PlanChoice> evaluate_planner(const std::vector<TunedPoint>& points,
                                                       const PlanOptions& options = {},
                                                       HoldOut hold_out = HoldOut::densities,
                                                       std::uint64_t seed = 0);

}  // namespace spiketune
