#include "spiketune/autotune/rank_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>

namespace spiketune {
namespace {

constexpr std::size_t exact_samples = 30;
constexpr std::size_t most_samples = 1000;
constexpr double level = 0.05;
constexpr double normal_quantile = 1.959964;  // of 1 - level / 2

/// All samples in one order, a sample's rank doubled so that shared ranks are whole numbers too.
struct Ranks {
  std::vector<std::uint32_t> doubled;  ///< in ascending order of the samples
  std::uint64_t sum_a = 0;             ///< of those of a
  double ties = 0;                     ///< sum of t³ - t over groups of t equal samples
};

Ranks rank(std::span<const double> a, std::span<const double> b) {
  std::vector<std::pair<double, bool>> all;
  for (const double sample : a) all.emplace_back(sample, true);
  for (const double sample : b) all.emplace_back(sample, false);
  std::sort(all.begin(), all.end());
  Ranks ranks;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = begin;
    while (end < all.size() && all[end].first == all[begin].first) ++end;
    const auto shared = static_cast<std::uint32_t>(begin + 1 + end);  // twice the mean rank
    for (std::size_t i = begin; i < end; ++i) {
      ranks.doubled.push_back(shared);
      if (all[i].second) ranks.sum_a += shared;
    }
    const auto equal = static_cast<double>(end - begin);
    ranks.ties += equal * equal * equal - equal;
    begin = end;
  }
  return ranks;
}

/// Of all ways to choose `count` of the ranks, the share whose sum is at least as far from the mean
/// as `sum` (the shift algorithm of Streitberg and Röhmel 1986).
double exact_p(const std::vector<std::uint32_t>& doubled, std::size_t count, std::uint64_t sum) {
  const std::size_t most = std::accumulate(doubled.begin(), doubled.end(), std::size_t{0});
  std::vector<std::vector<double>> ways(count + 1, std::vector<double>(most + 1, 0.0));
  ways[0][0] = 1;
  for (const std::uint32_t rank : doubled) {
    for (std::size_t chosen = count; chosen > 0; --chosen) {
      for (std::size_t total = most; total >= rank; --total) {
        ways[chosen][total] += ways[chosen - 1][total - rank];
      }
    }
  }
  // Whole numbers: the doubled sum over all subsets averages count · (size + 1).
  const auto mean = static_cast<std::int64_t>(count * (doubled.size() + 1));
  const std::int64_t distance = std::abs(static_cast<std::int64_t>(sum) - mean);
  double all = 0;
  double extreme = 0;
  for (std::size_t total = 0; total <= most; ++total) {
    all += ways[count][total];
    if (std::abs(static_cast<std::int64_t>(total) - mean) >= distance) {
      extreme += ways[count][total];
    }
  }
  return extreme / all;
}

double normal_p(const Ranks& ranks, double n, double m) {
  const double size = n + m;
  const double u = static_cast<double>(ranks.sum_a) / 2 - n * (n + 1) / 2;
  const double variance = n * m / 12 * (size + 1 - ranks.ties / (size * (size - 1)));
  if (!(variance > 0)) return 1;  // all equal
  const double z = std::max(0.0, std::abs(u - n * m / 2) - 0.5) / std::sqrt(variance);
  return std::erfc(z / std::numbers::sqrt2);
}

/// The largest k for which U < k has a probability of at most level / 2 among n and m samples
/// without ties; 0 where there is none.
std::size_t critical_value(std::size_t n, std::size_t m) {
  const auto pairs = static_cast<double>(n * m);
  if (n + m > exact_samples) {
    const double deviation = std::sqrt(pairs * static_cast<double>(n + m + 1) / 12);
    return static_cast<std::size_t>(std::max(0.0, pairs / 2 - normal_quantile * deviation));
  }
  // Ways to reach each U: the coefficients of the Gaussian binomial (n + m over n).
  std::vector<double> ways(n * m + 1, 0.0);
  ways[0] = 1;
  for (std::size_t i = 1; i <= n; ++i) {
    for (std::size_t u = n * m; u >= m + i && u <= n * m; --u) ways[u] -= ways[u - m - i];
    for (std::size_t u = i; u <= n * m; ++u) ways[u] += ways[u - i];
  }
  const double all = std::accumulate(ways.begin(), ways.end(), 0.0);
  double below = 0;
  std::size_t k = 0;
  while (k < ways.size() && below + ways[k] <= level / 2 * all) below += ways[k++];
  return k;
}

std::vector<double> thinned(std::span<const double> samples) {
  const std::size_t step = (samples.size() + most_samples - 1) / most_samples;
  std::vector<double> kept;
  for (std::size_t i = 0; i < samples.size(); i += step) kept.push_back(samples[i]);
  return kept;
}

}  // namespace

double mann_whitney_p(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return 1;
  const Ranks ranks = rank(a, b);
  if (ranks.doubled.size() <= exact_samples) return exact_p(ranks.doubled, a.size(), ranks.sum_a);
  return normal_p(ranks, static_cast<double>(a.size()), static_cast<double>(b.size()));
}

Shift shift(std::span<const double> a, std::span<const double> b) {
  const std::vector<double> from = thinned(a);
  const std::vector<double> to = thinned(b);
  std::vector<double> differences;
  differences.reserve(from.size() * to.size());
  for (const double y : to) {
    for (const double x : from) differences.push_back(y - x);
  }
  const auto nth = [&](std::size_t index) {
    const auto at = differences.begin() + static_cast<std::ptrdiff_t>(index);
    std::nth_element(differences.begin(), at, differences.end());
    return *at;
  };
  const std::size_t last = differences.size() - 1;
  const std::size_t k = critical_value(from.size(), to.size());
  const std::size_t outer = k == 0 ? 0 : k - 1;
  return {(nth(last / 2) + nth(last - last / 2)) / 2, nth(outer), nth(last - outer), k > 0};
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t i, std::size_t j) { return p_values[i] < p_values[j]; });
  std::vector<double> adjusted(p_values.size());
  double least = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double scaled = p_values[order[i]] * static_cast<double>(order.size() - i);
    least = std::max(least, std::min(1.0, scaled));
    adjusted[order[i]] = least;
  }
  return adjusted;
}

}  // namespace spiketune
