#pragma once
/// \file
/// The products of training: from the gradient of Y = S·W to those of W and of S.
///
///   dW = Sᵀ·dY                          weight_gradient()
///   dS = (dY·Wᵀ) ⊙ surrogate            spike_gradient()
///
/// Sums are f32, always in the same order. Nothing is allocated, nothing waits for the device.

#include <cstdint>
#include <string>

#include "spiketune/core/context.hpp"
#include "spiketune/formats/bitmap.hpp"
#include "spiketune/formats/csc.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// dY: row-major [M, N], leading dimension N, rows in the order of S; f32, f16 or bf16.
struct GradientView {
  const void* data = nullptr;
  DType type = DType::f32;
  std::uint64_t m = 0;
  std::uint32_t n = 0;
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return m * n * bits_of(type) / 8; }
};

/// The derivative of a spike by its membrane, [M, K], rows in the order of dY: zero but where
/// `mask` has a bit.
struct SurrogateView {
  /// [M · ceil(K/32)]: word row·ceil(K/32) + k/32, bit k%32. Bits beyond K may be anything.
  const std::uint32_t* mask = nullptr;
  const void* values = nullptr;  ///< row-major [M, K]; null: 1. Read where the mask has a bit
  DType type = DType::f32;       ///< of the values: f32, f16 or bf16
  Space space = Space::host;
};

/// dW = Sᵀ·dY, written in full: row-major [K, N], f32.
///
/// CUDA: the bits of S are transposed. On Hopper, dY of f16 or bf16, of which rows are whole pieces
/// of 16 bytes, is multiplied by sparse tensor cores: two of every four rows of a column of S have
/// slots (formats/slots.hpp), the others' rows of dY are added in f32 by a kernel of its own. M in
/// parts, so that all multiprocessors have work whatever K and N are; blocks wait for parts of
/// others that began before them. Otherwise the product of the transposed bitmap, expand_mma or
/// row_gather. Where more than a twentieth are spikes a dense product is faster.
///
/// \param spikes    Bitmap, Csr or Csc, complete (no overflow). CUDA: binary
/// \param gradient  dY [M, N]
/// \param result    dW [K, N], f32; CUDA: aligned to 16 bytes, as dY
/// \param workspace of weight_gradient_workspace_bytes()
/// Throws Error(invalid_argument) where shapes, types or memory spaces do not fit together, or the
/// workspace is too small; CUDA: where spikes are graded.
template <class Format>
void weight_gradient(const HostContext& context, const Format& spikes, const GradientView& gradient,
                     const OutputView& result, Workspace workspace);
template <class Format>
void weight_gradient(const CudaContext& context, const Format& spikes, const GradientView& gradient,
                     const OutputView& result, Workspace workspace);

/// Host: dY as f32, where it is not. CUDA: about 5/16 of a byte for each element of S, and the sums
/// of parts, 128 KiB for each multiprocessor and each 256 × 128 of dW.
template <class Format>
[[nodiscard]] std::size_t weight_gradient_workspace_bytes(const HostContext& context,
                                                          const Format& spikes,
                                                          const GradientView& gradient);
template <class Format>
[[nodiscard]] std::size_t weight_gradient_workspace_bytes(const CudaContext& context,
                                                          const Format& spikes,
                                                          const GradientView& gradient);

/// dS = (dY·Wᵀ) ⊙ surrogate, written in full: row-major [M, K], zeros where the mask has no bit.
///
/// CUDA: on Hopper, where dY and W are both f16 or both bf16 and N and K multiples of 8, tiles of
/// dY and W come by TMA to tensor cores, and the mask is applied to the sums before they are
/// written. Tiles of dS without a bit are written without a product. Elsewhere plain f32
/// arithmetic.
///
/// \param gradient  dY [M, N]
/// \param weights   W [K, N], of dY's type
/// \param surrogate mask, and values where they are not 1
/// \param result    dS [M, K], f32 or of W's type
/// Throws Error(invalid_argument) where shapes, types or memory spaces do not fit together.
void spike_gradient(const HostContext& context, const GradientView& gradient,
                    const WeightView& weights, const SurrogateView& surrogate,
                    const OutputView& result);
void spike_gradient(const CudaContext& context, const GradientView& gradient,
                    const WeightView& weights, const SurrogateView& surrogate,
                    const OutputView& result);

/// Throw Error(invalid_argument) unless the arguments fit together.
void check_weight_gradient(const FormatBase& spikes, const GradientView& gradient,
                           const OutputView& result, Space space);
void check_spike_gradient(const GradientView& gradient, const WeightView& weights,
                          const SurrogateView& surrogate, const OutputView& result, Space space);

}  // namespace spiketune
