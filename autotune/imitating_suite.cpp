#include "spiketune/autotune/imitating_suite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "spiketune/autotune/problem.hpp"
#include "spiketune/datasets/imitate.hpp"

namespace spiketune {
namespace {

/// Four significant digits: more would only look exact.
double rounded(double value) {
  if (value == 0) return 0;
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

}  // namespace

nlohmann::json imitating_suite(const SpikeView& spikes, const SpikeStatistics& found,
                               std::uint32_t n, DType weights) {
  const PatternSpec spec = imitate(found, spikes.shape);
  // Rounding must not leave too few neurons for the density.
  const double fewer = 1 - 1e-3;
  std::string measured = fmt::format(
      "imitates a recording: density {}, silent {} of channels and {} of neurons, standard "
      "deviation of channel rates {}",
      percent(found.density), percent(found.silent_channels), percent(found.silent_neurons),
      percent(found.channel_deviation));
  if (found.persistence) {
    measured += fmt::format(", P(spike | spike before) {}", percent(*found.persistence));
  }
  const nlohmann::json entry = {{"workload", "imitation"},
                                {"source", measured},
                                {"timesteps", spikes.shape.timesteps},
                                {"positions", spikes.shape.rows},
                                {"batch", {1}},
                                {"layers", {fmt::format("{}x{}", spikes.shape.k, n)}},
                                {"densities", {rounded(spec.density)}},
                                {"pattern", std::string(to_string(spec.pattern))},
                                {"pattern_params",
                                 {{"sigma", rounded(spec.sigma)},
                                  {"silent_share", rounded(spec.silent_share)},
                                  {"silent_neurons", rounded(fewer * spec.silent_neurons)},
                                  {"correlation", rounded(spec.correlation)}}},
                                {"row_order", std::string(to_string(spikes.row_order))},
                                {"input", std::string(to_string(spikes.storage))},
                                {"value", std::string(to_string(spikes.kind))},
                                {"weights", std::string(to_string(weights))}};
  return {{"schema", "spiketune.suite/1"},
          {"name", "imitation"},
          {"description", "Spikes that look like those of a recording."},
          {"entries", {entry}}};
}

}  // namespace spiketune
