#include "spiketune/datasets/imitate.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "spiketune/datasets/spike_source.hpp"

namespace spiketune {
namespace {

constexpr std::uint32_t most_channels = 2048;  // looked at: more have the same rates
constexpr std::uint64_t least_rows = 8;
constexpr int halvings = 16;
constexpr int rounds = 5;
constexpr double most_sigma = 4;

/// Where an ascending function reaches `wanted` between low and high, or the nearer end.
template <class Function>
double search(double low, double high, double wanted, Function&& function) {
  for (int i = 0; i < halvings; ++i) {
    const double middle = (low + high) / 2;
    (function(middle) < wanted ? low : high) = middle;
  }
  return (low + high) / 2;
}

/// What is expected of a pattern, in closed form.
class Expectation {
 public:
  Expectation(PatternSpec spec, const SpikeShape& shape, double persistence)
      : spec_(spec), shape_(shape) {
    SpikeShape sampled = shape;
    sampled.k = std::min(shape.k, most_channels);
    spec_.correlation = 0;
    const PreparedPattern prepared = prepare(spec_, sampled, ValueKind::binary);
    for (std::uint32_t k = 0; k < sampled.k; ++k) {
      rates_.push_back(static_cast<double>(prepared.table[k]) * 0x1p-63);
    }
    set_correlation(persistence);
  }

  [[nodiscard]] double correlation() const { return spec_.correlation; }

  /// Share of neurons without a spike.
  [[nodiscard]] double silent_neurons() const {
    return mean([&](double q) { return quiet(q); });
  }
  /// Share of the channels that may fire in which no neuron does.
  [[nodiscard]] double quiet_channels() const {
    double sum = 0;
    double count = 0;
    for (const double q : rates_) {
      if (q == 0) continue;
      sum += std::pow(quiet(q), static_cast<double>(shape_.rows));
      ++count;
    }
    return count == 0 ? 0 : sum / count;
  }
  /// Standard deviation of the channels' rates as they are found in a tensor.
  [[nodiscard]] double channel_deviation() const {
    const double awake = 1 - spec_.silent_neurons;
    const double steps = static_cast<double>(shape_.timesteps);
    const double center = mean([&](double q) { return awake * q; });
    return std::sqrt(mean([&](double q) {
      const double of_rates = std::pow(awake * q - center, 2);
      const double of_steps = q * (1 - q) * together(correlation_of(q)) / steps;
      const double of_neuron = awake * (q * q + of_steps) - std::pow(awake * q, 2);
      return of_rates + of_neuron / static_cast<double>(shape_.rows);
    }));
  }

 private:
  template <class Function>
  [[nodiscard]] double mean(Function&& function) const {
    double sum = 0;
    for (const double q : rates_) sum += function(q);
    return sum / static_cast<double>(rates_.size());
  }
  /// Probability that a neuron of this rate has no spike.
  [[nodiscard]] double quiet(double q) const {
    const double stays = std::max(0.0, 1 - q * (1 - correlation_of(q)));
    const double steps = static_cast<double>(shape_.timesteps) - 1;
    return spec_.silent_neurons + (1 - spec_.silent_neurons) * (1 - q) * std::pow(stays, steps);
  }
  [[nodiscard]] double correlation_of(double q) const {
    return layer_correlation(spec_.correlation, q);
  }
  /// Variance of the mean of a chain with this correlation over that of independent steps:
  /// 1 + 2 · sum over lags l < T of (1 - l / T) · r^l.
  [[nodiscard]] double together(double r) const {
    const double steps = static_cast<double>(shape_.timesteps);
    if (r > 1 - 1e-6) return steps;
    return 1 + 2 * r / (1 - r) * (1 - (1 - std::pow(r, steps)) / (steps * (1 - r)));
  }
  /// A spike is of a neuron of rate q with probability ~ q, and followed by another with
  /// q + correlation · (1 - q).
  [[nodiscard]] double persistence() const {
    const double spikes = mean([](double q) { return q; });
    if (spikes == 0) return 0;
    return mean([&](double q) { return q * (q + correlation_of(q) * (1 - q)); }) / spikes;
  }
  void set_correlation(double wanted) {
    if (shape_.timesteps == 1) return;
    spec_.correlation = search(-1, 1, wanted, [&](double correlation) {
      spec_.correlation = correlation;
      return persistence();
    });
  }

  PatternSpec spec_;
  SpikeShape shape_;
  std::vector<double> rates_;
};

/// The largest share of silent neurons that leaves enough to carry the density.
double most_silent(const PatternSpec& spec, std::uint32_t k) {
  const double channels = std::round((1 - spec.silent_share) * k);
  return channels == 0 ? 0 : std::max(0.0, 1 - spec.density * k / channels);
}

}  // namespace

PatternSpec imitate(const SpikeStatistics& found, const SpikeShape& shape) {
  PatternSpec spec;
  spec.pattern = Pattern::layer;
  spec.density = found.density;
  spec.sigma = 0;
  spec.silent_share = 0;
  if (found.nnz == 0) return spec;
  const double persistence = found.persistence.value_or(0);
  const auto expect = [&](const PatternSpec& guess) {
    return Expectation(guess, shape, persistence);
  };
  const auto with_neurons = [&](PatternSpec guess) {
    if (shape.timesteps == 1) return guess;
    guess.silent_neurons =
        search(0, most_silent(guess, shape.k), found.silent_neurons, [&](double share) {
          guess.silent_neurons = share;
          return expect(guess).silent_neurons();
        });
    return guess;
  };
  const auto with_sigma = [&](PatternSpec guess) {
    guess.sigma = search(0, most_sigma, found.channel_deviation, [&](double sigma) {
      guess.sigma = sigma;
      return expect(with_neurons(guess)).channel_deviation();
    });
    return with_neurons(guess);
  };
  spec = with_sigma(spec);
  for (int i = 0; i < rounds && shape.rows >= least_rows && found.silent_channels > 0; ++i) {
    const double by_chance = expect(spec).quiet_channels();
    const double share = by_chance >= 1 ? 0 : (found.silent_channels - by_chance) / (1 - by_chance);
    spec.silent_share = std::clamp(share, 0.0, std::max(0.0, 1 - spec.density));
    spec = with_sigma(spec);
  }
  spec.correlation = expect(spec).correlation();
  return spec;
}

}  // namespace spiketune
