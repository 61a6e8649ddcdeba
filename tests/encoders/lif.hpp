#pragma once
/// \file
/// What the tests of neurons share: currents in memory, and neurons as their papers write them.

#include <cmath>
#include <random>

#include "spiketune/encoders/lif.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

/// Currents that every type holds exactly.
inline std::vector<float> random_currents(const SpikeShape& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> eighths(-8, 24);
  std::vector<float> result(shape.elements());
  for (float& value : result) value = static_cast<float>(eighths(random)) / 8;
  return result;
}

/// Neurons of every kind.
inline std::vector<LifParams> neurons() {
  return {spikingjelly_lif(2.0f),
          spikingjelly_lif(4.0f, false, 1.5f),
          spikingjelly_lif(2.0f, true, 1.0f, -0.25f),
          spikingjelly_lif(2.0f, true, 0.5f, 0.0f, true),
          spikingjelly_lif(3.0f, false, 1.0f, 0.1f),
          snntorch_leaky(0.75f),
          snntorch_leaky(0.9f, 1.0f, true)};
}

/// The steps of one neuron in double precision, written from the libraries' formulas.
inline std::vector<bool> fire_slowly(const LifParams& params, const std::vector<double>& currents,
                                     double& membrane) {
  std::vector<bool> spikes;
  const bool soft = params.reset == LifParams::Reset::soft;
  const double threshold = params.threshold;
  for (const double current : currents) {
    if (params.convention == LifParams::Convention::snntorch) {
      const bool reset = membrane > threshold;
      const double base = params.leak * membrane + params.gain * current;
      membrane = !reset ? base : soft ? base - threshold : params.gain * current;
      spikes.push_back(membrane > threshold);
    } else {
      const double rest = soft ? 0.0 : params.reset_value;
      membrane = rest + params.leak * (membrane - rest) + params.gain * current;
      spikes.push_back(membrane >= threshold);
      if (spikes.back()) membrane = soft ? membrane - threshold : rest;
    }
  }
  return spikes;
}

}  // namespace spiketune::test
