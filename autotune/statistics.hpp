#pragma once
/// \file
/// What is made of the samples of a measurement, and when there are enough of them.
/// Pure functions: no clock, no device.

#include <cstddef>
#include <span>

namespace spiketune {

/// Of samples in any unit. All zero for no samples.
struct Statistics {
  double median = 0;
  double p05 = 0;
  double p95 = 0;
};

/// The sample below which a share `p` (0 to 1) lies, linear between neighbours (numpy's default).
/// `sorted` ascends. 0 for no samples.
[[nodiscard]] double percentile(std::span<const double> sorted, double p);

[[nodiscard]] Statistics statistics(std::span<const double> samples);

/// Standard error of the median over the median, robust to outliers: with s = interquartile range /
/// 1.349, an estimate of the standard deviation, it is 1.2533 · s / sqrt(count) for samples that
/// are normal around their centre. (The median absolute deviation would be 0 for samples that
/// alternate between two values.) Infinite for fewer than 2 samples or a median of 0.
[[nodiscard]] double relative_noise(std::span<const double> samples);

/// Stop once the noise is low enough, but not before `min_samples`, and at the latest at
/// `max_samples` or after `max_seconds` (then with at least `least_samples`).
struct StopRule {
  std::size_t min_samples = 10;
  std::size_t max_samples = 200;
  double noise = 0.01;
  double max_seconds = 0.5;
  static constexpr std::size_t least_samples = 3;

  /// \param seconds   wall time spent on the samples so far
  [[nodiscard]] bool enough(std::span<const double> samples, double seconds) const;
};

}  // namespace spiketune
