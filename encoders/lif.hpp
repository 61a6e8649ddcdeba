#pragma once
/// \file
/// Leaky integrate-and-fire neurons whose spikes are born packed: currents in, spikes or a format
/// out, and no dense spike tensor between.
///
///   currents [T, rows, N] --lif()--> spikes as bits or bytes
///   currents [T, rows, N] --lif_encode()--> any format of spiketune (by way of bits: 1/16 of f16)
///
/// A neuron's membrane stays in a register over all T steps. One step, in f32:
///
///   convention    charge                                            spike   then
///   spikingjelly  h = leak·v + gain·x (+ (1 − leak)·reset_value     h >= θ  soft: v = h − θ
///                     where the reset is hard)                              hard: v = reset_value
///   snntorch      h = leak·v + gain·x (− θ where v > θ, soft;       h > θ   v = h
///                     gain·x alone where v > θ, hard)
///
/// So SpikingJelly's LIFNode resets at the spike, snnTorch's Leaky at the step after it (W. Fang et
/// al., Science Advances 2023; J. Eshraghian et al., Proc. IEEE 2023). Sums are rounded after each
/// operation, the same on host and CUDA; where leak or gain is no power of two, a library that
/// divides by tau may differ in the last bit. A NaN current never spikes and stays in the membrane.

#include <cmath>

#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/encode.hpp"

namespace spiketune {

struct LifParams {
  enum class Convention : std::uint8_t { spikingjelly, snntorch };
  enum class Reset : std::uint8_t { soft, hard };

  float leak = 0.5f;  ///< what is left of the membrane after a step: 1 − 1/tau, or beta
  float gain = 0.5f;  ///< of the current: 1/tau where inputs decay, else 1
  float threshold = 1.0f;
  Reset reset = Reset::hard;
  float reset_value = 0.0f;  ///< spikingjelly, hard: also the potential at rest
  Convention convention = Convention::spikingjelly;
};

/// The neuron of spikingjelly.activation_based.neuron.LIFNode(tau, decay_input, v_threshold,
/// v_reset); a soft reset is v_reset = None there, and `soft` here.
[[nodiscard]] inline LifParams spikingjelly_lif(float tau = 2.0f, bool decay_input = true,
                                                float threshold = 1.0f, float reset_value = 0.0f,
                                                bool soft = false) {
  return {1.0f - 1.0f / tau,
          decay_input ? 1.0f / tau : 1.0f,
          threshold,
          soft ? LifParams::Reset::soft : LifParams::Reset::hard,
          soft ? 0.0f : reset_value,
          LifParams::Convention::spikingjelly};
}

/// The neuron of snntorch.Leaky(beta, threshold, reset_mechanism): "subtract" is soft, "zero" hard.
[[nodiscard]] inline LifParams snntorch_leaky(float beta, float threshold = 1.0f,
                                              bool zero = false) {
  return {beta,      1.0f,
          threshold, zero ? LifParams::Reset::hard : LifParams::Reset::soft,
          0.0f,      LifParams::Convention::snntorch};
}

/// Membrane currents [T, rows, N], time-major: element (t, row, n) at (t·rows + row)·N + n.
struct CurrentView {
  const void* data = nullptr;
  SpikeShape shape;         ///< k is N
  DType type = DType::f32;  ///< f16, bf16 or f32
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return shape.elements() * bits_of(type) / 8; }
};

/// Membranes [rows, N] before the first step and after the last, for streams that go on. Null
/// `before`: at rest (reset_value where the reset is hard, else 0). Null `after`: not wanted. They
/// may be the same memory.
struct LifState {
  const float* before = nullptr;
  float* after = nullptr;
};

/// Fires into `spikes`, storage bit or u8, of the currents' shape, in either row order; every
/// element and padding bit is written. Throws Error(invalid_argument) for a bad view or parameter.
/// CUDA: enqueues one kernel; reads the currents once.
void lif(const HostContext& context, const CurrentView& currents, const LifParams& params,
         const LifState& state, const MutableSpikeView& spikes);
void lif(const CudaContext& context, const CurrentView& currents, const LifParams& params,
         const LifState& state, const MutableSpikeView& spikes);

/// Throws Error(invalid_argument) unless neurons with currents of that shape can fire into
/// `spikes`.
void check_neurons(const SpikeShape& shape, const LifParams& params, const SpikeView& spikes,
                   Space space);
/// Throws Error(invalid_argument) as lif() does.
void check_lif(const CurrentView& currents, const LifParams& params, const SpikeView& spikes,
               Space space);

namespace detail {

/// Bits of the spikes, in the workspace, in the format's row order.
template <class Format>
MutableSpikeView lif_bits(const CurrentView& currents, const Format& format, void* data) {
  return {data,          currents.shape, DType::bit, ValueKind::binary, format.layout.row_order,
          currents.space};
}

}  // namespace detail

/// Workspace of lif_encode().
template <class ContextT, class Format>
[[nodiscard]] std::size_t lif_encode_workspace_bytes(const ContextT& context,
                                                     const CurrentView& currents,
                                                     const Format& format) {
  const SpikeView bits = detail::lif_bits(currents, format, nullptr);
  return align_up(bits.bytes()) + encode_workspace_bytes(context, bits, format);
}

/// Fires into a format: planned for the currents' shape and binary spikes, and bound. Enqueues
/// lif() into bits and encode() of those; see encoders/encode.hpp for status and overflow.
template <class ContextT, class Format>
void lif_encode(const ContextT& context, const CurrentView& currents, const LifParams& params,
                const LifState& state, const Format& format, Workspace workspace) {
  WorkspaceCarver carver(workspace);
  const std::size_t bytes = SpikeView(detail::lif_bits(currents, format, nullptr)).bytes();
  const MutableSpikeView bits = detail::lif_bits(currents, format, carver.take<std::byte>(bytes));
  lif(context, currents, params, state, bits);
  encode(context, bits, format, workspace.subspan(carver.bytes()));
}

}  // namespace spiketune
