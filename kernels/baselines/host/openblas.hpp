#pragma once
/// \file
/// OpenBLAS: the dense product of the CPU.

#include <cstdint>
#include <string>

#include "spiketune/core/context.hpp"

namespace spiketune::baselines {

/// Why sgemm() cannot run in this build; empty where it can.
[[nodiscard]] std::string openblas_unavailable_reason();

/// y[M, N] = s[M, K] · w[K, N], row-major f32, on the context's number of threads. y need not be
/// initialised. Throws Error(unsupported) where OpenBLAS is not built in or a dimension is 2^31 or
/// more.
void sgemm(const HostContext& context, std::uint64_t m, std::uint64_t n, std::uint64_t k,
           const float* s, const float* w, float* y);

}  // namespace spiketune::baselines
