#include "spiketune/autotune/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace spiketune {
namespace {

std::vector<double> sorted_copy(std::span<const double> samples) {
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

double percentile(std::span<const double> sorted, double p) {
  if (sorted.empty()) return 0;
  const double at = std::clamp(p, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

Statistics statistics(std::span<const double> samples) {
  const std::vector<double> sorted = sorted_copy(samples);
  return {percentile(sorted, 0.5), percentile(sorted, 0.05), percentile(sorted, 0.95)};
}

double relative_noise(std::span<const double> samples) {
  constexpr double range_of_normal = 1.349;   // interquartile range / standard deviation
  constexpr double error_of_median = 1.2533;  // sqrt(pi / 2), against the error of the mean
  const std::vector<double> sorted = sorted_copy(samples);
  const double median = percentile(sorted, 0.5);
  if (samples.size() < 2 || !(median > 0)) return std::numeric_limits<double>::infinity();
  const double deviation = (percentile(sorted, 0.75) - percentile(sorted, 0.25)) / range_of_normal;
  return error_of_median * deviation / std::sqrt(static_cast<double>(samples.size())) / median;
}

bool StopRule::enough(std::span<const double> samples, double seconds) const {
  if (samples.size() >= max_samples) return true;
  if (seconds >= max_seconds) return samples.size() >= std::min(least_samples, max_samples);
  return samples.size() >= min_samples && relative_noise(samples) < noise;
}

}  // namespace spiketune
