#pragma once
/// \file
/// Steps that host products share.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::host {

/// y[j] = sum over i of values[i] · w[columns[i]·n + j], for j < n. `values` null: all 1.
void gather_row(const std::uint32_t* columns, const float* values, std::uint64_t count,
                const float* w, std::uint32_t n, float* y);

/// y[j] += value · x[j]
void add_scaled(float value, const float* x, std::uint32_t n, float* y);

/// `weights` as f32: themselves, or converted into `scratch` [K·N].
const float* weights_as_float(const HostContext& context, const WeightView& weights,
                              float* scratch);

/// Elements of scratch that weights_as_float needs.
[[nodiscard]] inline std::uint64_t float_scratch(const WeightView& weights) {
  return weights.type == DType::f32 ? 0 : std::uint64_t{weights.k} * weights.n;
}

/// Rounds n values of f32 to the type of `output` and writes them from element `first` on.
void store_row(const float* values, std::uint32_t n, const OutputView& output, std::uint64_t first);

}  // namespace spiketune::host
