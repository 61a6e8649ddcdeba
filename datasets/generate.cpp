#include "spiketune/datasets/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/spike_source.hpp"

namespace spiketune {
namespace {

constexpr std::array<std::pair<Pattern, std::string_view>, 8> names{
    {{Pattern::bernoulli, "bernoulli"},
     {Pattern::channel_rates, "channel_rates"},
     {Pattern::temporal, "temporal"},
     {Pattern::silent, "silent"},
     {Pattern::block, "block"},
     {Pattern::column_vector, "column_vector"},
     {Pattern::power_law_rows, "power_law_rows"},
     {Pattern::layer, "layer"}}};

/// What chance is asked for.
enum Stream : std::uint64_t {
  spike_stream,
  value_stream,
  rate_stream,
  order_stream,
  neuron_stream
};

std::uint64_t silent_channels(const PatternSpec& spec, std::uint32_t k) {
  return static_cast<std::uint64_t>(std::llround(spec.silent_share * k));
}

/// Mean rate of the neurons of a layer that fire at all; above 1 where they are too few.
double firing_rate(const PatternSpec& spec, std::uint32_t k) {
  const double active =
      static_cast<double>(k - silent_channels(spec, k)) * (1 - spec.silent_neurons);
  return spec.density == 0 ? 0 : spec.density * k / active;
}

/// P(spike | none) that keeps the density of a chain where it is.
double rate_after_none(const PatternSpec& spec) {
  return spec.density == 0 || spec.density == 1
             ? spec.density
             : spec.density * (1 - spec.persistence) / (1 - spec.density);
}

/// Scales positive weights so that they become probabilities with this mean: those that would
/// exceed 1 are 1, and the others share what is left. `weights` must be descending.
void scale_to_mean(std::vector<double>& weights, double mean) {
  // Summed from the small end: the tail's sum is exact enough even where the head dwarfs it.
  std::vector<double> tail(weights.size());
  std::partial_sum(weights.rbegin(), weights.rend(), tail.rbegin());
  double wanted = mean * static_cast<double>(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (wanted > 0 && weights[i] * wanted >= tail[i]) {
      weights[i] = 1;
      wanted -= 1;
      continue;
    }
    const double scale = std::max(0.0, wanted) / tail[i];
    for (; i < weights.size(); ++i) weights[i] *= scale;
  }
}

template <class T>
void shuffle(std::vector<T>& items, const RandomStream& random) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.bits(i) % i]);  // the bias is below i / 2^64
  }
}

/// exp(sigma · normal), by Box and Muller.
std::vector<double> log_normal_weights(std::uint32_t count, double sigma,
                                       const RandomStream& random) {
  std::vector<double> weights(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const double u = static_cast<double>((random.bits(2 * std::uint64_t{i}) >> 11) + 1) * 0x1p-53;
    const double v = static_cast<double>(random.bits(2 * std::uint64_t{i} + 1) >> 11) * 0x1p-53;
    const double normal = std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
    weights[i] = std::exp(sigma * normal);
  }
  std::sort(weights.begin(), weights.end(), std::greater<>());
  return weights;
}

std::vector<double> power_law_weights(std::uint64_t count, double alpha) {
  std::vector<double> weights(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    weights[i] = std::pow(static_cast<double>(i + 1), -alpha);
  }
  return weights;
}

/// Rates of the neurons that fire: those of silent channels are 0.
std::vector<double> layer_rates(const PatternSpec& spec, std::uint32_t k) {
  const auto active = static_cast<std::uint32_t>(k - silent_channels(spec, k));
  std::vector<double> result = log_normal_weights(active, spec.sigma, {spec.seed, rate_stream});
  if (active > 0) scale_to_mean(result, std::min(1.0, firing_rate(spec, k)));
  result.resize(k, 0.0);
  return result;
}

/// Probabilities of channels (or rows), in random order.
std::vector<double> rates(const PatternSpec& spec, const SpikeShape& shape) {
  std::vector<double> result;
  switch (spec.pattern) {
    case Pattern::channel_rates:
      result = log_normal_weights(shape.k, spec.sigma, {spec.seed, rate_stream});
      scale_to_mean(result, spec.density);
      break;
    case Pattern::silent: {
      const std::uint64_t active = shape.k - silent_channels(spec, shape.k);
      result.assign(shape.k, 0.0);
      std::fill_n(result.begin(), active,
                  std::min(1.0, spec.density * shape.k / static_cast<double>(active)));
      break;
    }
    case Pattern::power_law_rows:
      result = power_law_weights(shape.rows, spec.alpha);
      scale_to_mean(result, spec.density);
      break;
    case Pattern::layer:
      result = layer_rates(spec, shape.k);
      break;
    default:
      return result;
  }
  shuffle(result, {spec.seed, order_stream});
  return result;
}

/// The table of rates becomes three: of the first time step, after a spike, after none.
void prepare_layer(const PatternSpec& spec, PreparedPattern& prepared) {
  SpikeSource& source = prepared.source;
  std::vector<std::uint64_t> after_none;
  for (const double rate : rates(spec, source.shape)) {
    const double r = layer_correlation(spec.correlation, rate);
    prepared.table.push_back(probability_threshold(std::max(0.0, rate + r * (1 - rate))));
    after_none.push_back(probability_threshold(std::min(1.0, rate * (1 - r))));
  }
  prepared.table.insert(prepared.table.end(), after_none.begin(), after_none.end());
  source.column_thresholds = prepared.table.data();
  source.column_markov = true;
  source.markov = true;
  source.neurons = {spec.seed, neuron_stream};
  source.active_threshold = probability_threshold(1 - spec.silent_neurons);
}

}  // namespace

std::string_view to_string(Pattern pattern) {
  for (const auto& [value, name] : names) {
    if (value == pattern) return name;
  }
  return "?";
}

Pattern parse_pattern(std::string_view name) {
  for (const auto& [value, known] : names) {
    if (known == name) return value;
  }
  std::string message = fmt::format("unknown pattern '{}'; known are", name);
  for (const auto& entry : names) message += fmt::format(" {}", entry.second);
  throw Error(ErrorCode::parse, message);
}

double layer_correlation(double correlation, double rate) {
  if (correlation >= 0 || rate <= 0 || rate >= 1) return std::max(0.0, correlation);
  return std::max(correlation, -std::min(rate / (1 - rate), (1 - rate) / rate));
}

void check(const PatternSpec& spec, const SpikeShape& shape) {
  const auto within = [&](const char* name, double value, double most) {
    if (value >= 0 && value <= most) return;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("pattern {}: {} is {}, not in 0..{}", to_string(spec.pattern), name,
                            value, most));
  };
  within("density", spec.density, 1);
  within("sigma", spec.sigma, 8);
  within("persistence", spec.persistence, 1);
  within("silent_share", spec.silent_share, 1);
  within("silent_neurons", spec.silent_neurons, 1);
  within("size of correlation", std::abs(spec.correlation), 1);
  within("alpha", spec.alpha, 8);
  require(spec.block > 0 && spec.vector > 0, ErrorCode::invalid_argument,
          "pattern: block and vector must be at least 1");
  if (spec.pattern == Pattern::temporal) {
    const double after_none = rate_after_none(spec);
    if (after_none > 1 || (spec.density == 1 && spec.persistence < 1)) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("pattern temporal: a density of {} needs a persistence of at least "
                              "{:.4g}, not {}",
                              spec.density, 2 - 1 / spec.density, spec.persistence));
    }
  }
  // A rounding above 1 is no contradiction: a fit may ask for as many neurons as the density needs.
  if (spec.pattern == Pattern::layer && firing_rate(spec, shape.k) > 1 + 1e-9) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("pattern layer: with {} silent channels and {} silent neurons too few "
                            "fire for a density of {}",
                            spec.silent_share, spec.silent_neurons, spec.density));
  }
  if (spec.pattern == Pattern::silent) {
    const auto active = static_cast<double>(shape.k - silent_channels(spec, shape.k));
    if (spec.density * shape.k > active) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("pattern silent: {} of {} channels fire, too few for a density of {}",
                              active, shape.k, spec.density));
    }
  }
}

PreparedPattern prepare(const PatternSpec& spec, const SpikeShape& shape, ValueKind kind) {
  check(spec, shape);
  PreparedPattern prepared;
  for (const double rate : rates(spec, shape)) {
    prepared.table.push_back(probability_threshold(rate));
  }
  SpikeSource& source = prepared.source;
  source.shape = shape;
  source.kind = kind;
  source.spikes = {spec.seed, spike_stream};
  source.values = {spec.seed, value_stream};
  source.threshold = probability_threshold(spec.density);
  switch (spec.pattern) {
    case Pattern::channel_rates:
    case Pattern::silent:
      source.column_thresholds = prepared.table.data();
      break;
    case Pattern::power_law_rows:
      source.row_thresholds = prepared.table.data();
      break;
    case Pattern::temporal:
      source.markov = true;
      // At density 0 there is no spike to persist; a chain that never starts stays silent.
      source.threshold_after_spike = probability_threshold(spec.persistence);
      source.threshold_after_none = probability_threshold(rate_after_none(spec));
      break;
    case Pattern::block:
      source.row_group = spec.block;
      source.column_group = spec.block;
      break;
    case Pattern::column_vector:
      source.row_group = spec.vector;
      break;
    case Pattern::layer:
      prepare_layer(spec, prepared);
      break;
    case Pattern::bernoulli:
      break;
  }
  return prepared;
}

}  // namespace spiketune
