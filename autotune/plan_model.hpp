#pragma once
/// \file
/// The model of one time of a candidate (planner.hpp): a sum of terms with fitted rates, corrected
/// by what that sum misses at tuned points nearby, and how wrong that is likely to be.

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "spiketune/autotune/plan_work.hpp"

namespace spiketune {

struct PlanTerm;

/// Where a problem lies: logarithms of what times change with, so that distances are e-folds.
using Place = std::array<double, 8>;

/// Of a product. That of dense multiplies quantised W in f16.
[[nodiscard]] Place product_place_of(const std::string& format, const Problem& problem);

/// The same for an encode, which knows nothing of W and Y.
[[nodiscard]] Place encode_place_of(const Problem& problem);

class PlanModel {
 public:
  struct Estimate {
    double us = 0;
    double spread = 0;  ///< standard deviation of log(us)
  };

  /// How wrong sums are at shapes that were not tuned.
  struct Doubt {
    double amplitude = 0;  ///< standard deviation of what they miss
    double drift = 0;      ///< and for each e-fold to the nearest shape tuned
  };

  void learn(const Place& place, std::vector<WorkTerm> work, double us);

  /// After all that there is to learn.
  void settle();

  [[nodiscard]] bool empty() const { return places_.empty(); }

  /// E-folds to the nearest place that was learnt from.
  [[nodiscard]] double nearest(const Place& place) const;

  /// The name of a term that nothing learnt from has, so that its rate is not known; null: none.
  [[nodiscard]] const char* unknown_work(const std::vector<WorkTerm>& work) const;

  [[nodiscard]] Estimate at(const Place& place, const std::vector<WorkTerm>& work) const;

  /// The terms of the sum, `times` over.
  void add_terms(const std::vector<WorkTerm>& work, double times,
                 std::vector<PlanTerm>& terms) const;

 private:
  void judge(const std::vector<double>& times);

  std::map<Place, std::size_t> index_;
  std::vector<std::vector<WorkTerm>> works_;
  std::vector<std::vector<double>> log_times_;
  std::vector<Place> places_;
  std::vector<bool> known_;  ///< terms that a point learnt from has
  std::vector<double> rates_;
  std::vector<double> misses_;   ///< log(measured / sum of terms) at each place
  std::array<Doubt, 2> doubts_;  ///< of aligned shapes, and of others
};

}  // namespace spiketune
