#pragma once
/// \file
/// Comparing two sets of samples by their ranks: no assumption on how times are distributed, and
/// outliers count by their place, not by their size. Pure functions.

#include <cstddef>
#include <span>
#include <vector>

namespace spiketune {

/// Two-sided p-value of the Mann–Whitney U test: the probability that samples of one distribution
/// lie at least as unequally as these. Equal samples share their ranks. Exact over all arrangements
/// of the ranks for up to 30 samples together, else normal, corrected for ties and continuity
/// (Hollander, Wolfe, Chicken: Nonparametric statistical methods, section 4.1). 1 where either is
/// empty.
[[nodiscard]] double mann_whitney_p(std::span<const double> a, std::span<const double> b);

/// How far b lies above a, in the unit of the samples.
struct Shift {
  double estimate = 0;  ///< the median of all differences b_j - a_i (Hodges and Lehmann 1963)
  double low = 0;       ///< what the test above does not reject at 5 %: a 95 % interval
  double high = 0;
  bool enough = false;  ///< false: too few samples for 95 %; the interval is all differences
};

/// Series of more than 1000 samples are thinned to about as many, evenly, so that hostile input
/// costs no more than a long one. Both must hold a sample.
[[nodiscard]] Shift shift(std::span<const double> a, std::span<const double> b);

/// p-values adjusted so that rejecting those below 5 % makes any false rejection among all of them
/// at most 5 % likely, however they depend on each other (Holm 1979). In the order given.
[[nodiscard]] std::vector<double> holm(std::span<const double> p_values);

}  // namespace spiketune
