#pragma once
/// \file
/// Weights in few bits with one scale for each column, and back.

#include "spiketune/core/buffer.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// Owns what `view` points to.
struct QuantisedWeights {
  Buffer values;
  Buffer scales;
  WeightView view;
  double relative_error = 0;  ///< ‖W − scales · values‖ / ‖W‖ (Frobenius); 0 where W is 0
  double largest_error = 0;   ///< of an element
};

/// Symmetric quantisation, column by column: scale = largest |w| / 127 (s8), / 7 (s4) or / 448
/// (e4m3), value = w / scale, rounded to the nearest, halves to even. A column of zeros has the
/// scale 1. Host and CUDA give the same values and scales. Allocates and synchronises.
/// \param weights  [K, N] in f32, f16 or bf16
/// \param type     s8, s4 or e4m3
/// Throws Error(invalid_argument) for other types, Error(invalid_value) where an element of W is
/// not finite.
[[nodiscard]] QuantisedWeights quantize(const HostContext& context, const WeightView& weights,
                                        DType type);
[[nodiscard]] QuantisedWeights quantize(const CudaContext& context, const WeightView& weights,
                                        DType type);

/// Writes scales · values, row-major [K, N], in f32, f16 or bf16. CUDA: enqueued.
/// Throws Error(invalid_argument) for other types.
void dequantize(const HostContext& context, const WeightView& weights, void* to, DType type);
void dequantize(const CudaContext& context, const WeightView& weights, void* to, DType type);

}  // namespace spiketune
