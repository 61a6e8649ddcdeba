#pragma once
/// \file
/// A spiking layer in one step: spikes → product → neurons → spikes, with nothing dense between.
///
///   y = S·W                                     in f32, never stored
///   current = scale·y + bias                    rounded to f32 once
///   neurons fire over the T steps of a position (encoders/lif.hpp) into bits or bytes
///
/// Bytes on CUDA: M·K/8 + K·N·sizeof(W) + M·N/8, and 4·rows·N for each of the membranes that are
/// given; the product alone would write M·N·2 bytes of f16 for lif() to read again.
///
/// A lane of the tensor cores' sums has all rows of a tile of Y that belong to a position, four
/// time steps of it, so that membranes stay in registers; with more than four steps they wait in
/// shared memory from one four to the next. T of 1, 2 and multiples of 4 waste nothing (before
/// Hopper: 1 and multiples of 2); others cost as much as the next such.

#include "spiketune/encoders/lif.hpp"
#include "spiketune/formats/bitmap.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// From the product to membrane currents: scale·y + bias, in the memory of the context. Batch
/// normalisation, quantised weights and a layer's bias take this form.
struct LifInput {
  const float* scales = nullptr;  ///< [N], of each output channel; null: `scale` of all
  float scale = 1.0f;
  const float* bias = nullptr;  ///< [N]; null: 0
};

/// Where the derivative of a spike by what was compared with the threshold is not zero, for
/// training: bits where the two are less than `width` apart. See lif_gradient().
struct LifSurrogate {
  std::uint32_t* near = nullptr;  ///< words of rows as `out` has them, as bits; null: not wanted
  float width = 0.5f;
};

/// Fires into `out`: storage bit or u8, shape [T, rows, N] with T and rows of `spikes`, in either
/// row order, whatever that of `spikes` is. Every element is written; padding bits are zero, so
/// that bits can be the words of the next layer's Bitmap (`tiles` off), see words_of(). Nothing is
/// allocated, nothing waits for the device. CUDA: enqueues one kernel.
///
/// `state`: membranes [rows, N] in f32 of LifState, so that a stream goes on from call to call.
/// `weights` [K, N]: f32 (host only), f16, bf16, or quantised, s8 or s4: then sums are of integers,
/// exact, and the scales of W are multiplied with those of `input`, rounded to f32, before. On CUDA
/// W is read from `workspace`, where prepare_spmm_lif() put it: as bytes for the integer tensor
/// cores, twice as fast as f16.
///
/// `surrogate`: wanted where `out` is of bits; its words are written in full.
///
/// Throws Error(invalid_argument) where shapes, types or memory spaces do not fit together, spikes
/// are graded, a parameter is not finite, or the workspace is too small; on CUDA also where N is no
/// multiple of 8, where W or an array of `input` or `state` is not aligned to 16 bytes, `out` not
/// to 4, or where time-major spikes take 16 GB or more. Sums of the two contexts may differ in
/// their order, so that a neuron within rounding of its threshold may fire on one alone.
void spmm_lif(const HostContext& context, const Bitmap& spikes, const WeightView& weights,
              const LifInput& input, const LifParams& params, const LifState& state,
              const MutableSpikeView& out, Workspace workspace = {},
              const LifSurrogate& surrogate = {});
void spmm_lif(const CudaContext& context, const Bitmap& spikes, const WeightView& weights,
              const LifInput& input, const LifParams& params, const LifState& state,
              const MutableSpikeView& out, Workspace workspace = {},
              const LifSurrogate& surrogate = {});

/// Of quantised W on CUDA; else 0.
[[nodiscard]] std::size_t spmm_lif_workspace_bytes(const HostContext& context,
                                                   const WeightView& weights);
[[nodiscard]] std::size_t spmm_lif_workspace_bytes(const CudaContext& context,
                                                   const WeightView& weights);
/// Puts W into the workspace, once for each content of W: that of ExpandImma. Nothing where the
/// workspace has no bytes.
void prepare_spmm_lif(const HostContext& context, const WeightView& weights, Workspace workspace);
void prepare_spmm_lif(const CudaContext& context, const WeightView& weights, Workspace workspace);

/// The words of a bound bitmap (`tiles` off, no values) as the bits for neurons to fire into.
/// `space` is where they are. Its status is not written: no product reads it. Throws
/// Error(invalid_argument) for another bitmap.
[[nodiscard]] MutableSpikeView words_of(const Bitmap& bitmap, Space space);

/// Throws Error(invalid_argument) as spmm_lif() does on the host.
void check_spmm_lif(const Bitmap& spikes, const WeightView& weights, const LifParams& params,
                    const SpikeView& out, const LifSurrogate& surrogate, Space space);

}  // namespace spiketune
