#pragma once
/// \file
/// One step of a neuron (encoders/lif.hpp has the equations). Whoever includes this on the host
/// must be compiled without contraction to fused multiply-adds (cmake/SpiketuneTargets.cmake).

#include <cmath>

#include "spiketune/encoders/lif.hpp"

namespace spiketune::detail {

/// a·b + c with both results rounded: never fused, so that host and device agree.
SPIKETUNE_HD inline float multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(__fmul_rn(a, b), c);
#else
  return a * b + c;
#endif
}

/// a − b, never fused with the product that `a` may be.
SPIKETUNE_HD inline float difference(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fsub_rn(a, b);
#else
  return a - b;
#endif
}

/// Advances a membrane by one step; returns whether the neuron spikes. `exact_leak`: the leak is a
/// power of two, so that its product is exact and one rounding is the same as two. `distance`: from
/// the threshold up to what was compared with it, unless null.
template <bool exact_leak = false>
SPIKETUNE_HD bool lif_step(const LifParams& params, float current, float& membrane,
                           float* distance = nullptr) {
  const bool soft = params.reset == LifParams::Reset::soft;
  const float input = params.gain * current;
  float charge =
      exact_leak ? fmaf(params.leak, membrane, input) : multiply_add(params.leak, membrane, input);
  if (params.convention == LifParams::Convention::snntorch) {
    if (membrane > params.threshold) {
      charge = soft ? charge - params.threshold : params.gain * current;
    }
    membrane = charge;
    if (distance != nullptr) *distance = difference(charge, params.threshold);
    return charge > params.threshold;
  }
  if (!soft && params.reset_value != 0.0f) {
    charge = multiply_add(1.0f - params.leak, params.reset_value, charge);
  }
  if (distance != nullptr) *distance = difference(charge, params.threshold);
  const bool spike = charge >= params.threshold;
  membrane = !spike ? charge : soft ? charge - params.threshold : params.reset_value;
  return spike;
}

/// The membrane where no other is given.
SPIKETUNE_HD inline float lif_rest(const LifParams& params) {
  return params.convention == LifParams::Convention::spikingjelly &&
                 params.reset == LifParams::Reset::hard
             ? params.reset_value
             : 0.0f;
}

}  // namespace spiketune::detail
