#pragma once
/// \file
/// Back through neurons: from the gradient of their spikes to that of their currents.
///
/// In each step the charge h of a neuron was compared with the threshold (encoders/lif.hpp), and
/// the derivative of its spike is taken for 1 / (2·width) where h was less than the width from the
/// threshold, else 0 (Y. Wu et al., Frontiers in Neuroscience 2018). The reset counts as constant.
/// From the last step to the first, with s the spike:
///
///     dh = (near ? dspike / (2·width) : 0) + dv
///
///     dcurrent = gain·dh
///
///     dv = leak·dh of the membrane before, 0 where it was reset
///
/// where dv is of the membrane after the step, 0 at first.
///
/// Bytes: the gradient twice, and a quarter of a byte for each of its elements.

#include "spiketune/encoders/lif_step.hpp"
#include "spiketune/kernels/spmm_lif.hpp"

namespace spiketune {

/// \param spikes     time-major bits that spmm_lif() wrote, [T, rows, N]
/// \param surrogate  the bits that it wrote beside them, and the width
/// \param gradient   of the spikes, [T, rows, N], time-major: f32, f16 or bf16
/// \param factor     multiplies the result: the scale between a product and its currents gives the
///                   gradient of the product
/// \param result     of the shape and type of `gradient`, which it may be
/// Throws Error(invalid_argument) where shapes, types or memory spaces do not fit together, or the
/// width is not above 0. CUDA: enqueues one kernel.
void lif_gradient(const HostContext& context, const SpikeView& spikes,
                  const LifSurrogate& surrogate, const LifParams& params,
                  const CurrentView& gradient, float factor, void* result);
void lif_gradient(const CudaContext& context, const SpikeView& spikes,
                  const LifSurrogate& surrogate, const LifParams& params,
                  const CurrentView& gradient, float factor, void* result);

/// Throws Error(invalid_argument) as lif_gradient() does.
void check_lif_gradient(const SpikeView& spikes, const LifSurrogate& surrogate,
                        const LifParams& params, const CurrentView& gradient, const void* result,
                        Space space);

namespace detail {

/// Walks neurons back through their steps, the same on host and CUDA.
struct LifBack {
  float to_near;  ///< 1 / (2·width)
  float leak;
  float to_current;  ///< factor·gain
  bool clears;       ///< a spike clears the membrane after it, at once (spikingjelly)
  bool clears_late;  ///< or at the next step (snntorch)

  SPIKETUNE_HD LifBack(const LifParams& params, float width, float factor)
      : to_near(0.5f / width),
        leak(params.leak),
        to_current(factor * params.gain),
        clears(params.reset == LifParams::Reset::hard &&
               params.convention == LifParams::Convention::spikingjelly),
        clears_late(params.reset == LifParams::Reset::hard &&
                    params.convention == LifParams::Convention::snntorch) {}
  /// One step back. `before`: the neuron spiked in the step before. `later`: the gradient of the
  /// membrane after the step, and then of that before it.
  SPIKETUNE_HD float step(float gradient, bool spiked, bool near, bool before, float& later) const {
    if (clears && spiked) later = 0;
    const float charge = near ? multiply_add(gradient, to_near, later) : later;
    later = clears_late && before ? 0.0f : multiply_add(leak, charge, 0.0f);
    return to_current * charge;
  }
};

}  // namespace detail

}  // namespace spiketune
