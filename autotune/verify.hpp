#pragma once
/// \file
/// Whether a result may be timed at all: element by element against the reference.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "spiketune/autotune/problem.hpp"
#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// Row-major [K, N] of random multiples of 1/64 from −1 to 1, as `type` in host memory; quantised,
/// any integers of the type. They are exact in every type of W, and in f32 so is every sum of up to
/// 2^18 of them (2^17 of s8).
[[nodiscard]] std::vector<std::byte> random_weights(DType type, std::uint32_t k, std::uint32_t n,
                                                    std::uint64_t seed);

/// The scales of random quantised weights: powers of two, one for each of N columns.
[[nodiscard]] std::vector<float> random_scales(std::uint32_t n);

/// Largest error allowed, relative to max(|reference|, 1): 0 where f32 sums of the weights above
/// are exact, else what rounding to the output type, or summing reals in f32, may cost.
[[nodiscard]] double tolerance(const Problem& problem);

/// How Y differs from the reference.
struct Comparison {
  static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
  double max_error = 0;        ///< largest |Y − reference|; infinite where Y is NaN
  double scaled_error = 0;     ///< largest |Y − reference| / max(|reference|, 1)
  std::uint64_t worst = none;  ///< element m·N + n of scaled_error; none where all are equal
  double got = 0;              ///< Y there
  double expected = 0;         ///< the reference there
};

/// `reference` is row-major [M, N] in the memory of the context. CUDA: synchronises.
[[nodiscard]] Comparison compare(const HostContext& context, const OutputView& output,
                                 const double* reference);
[[nodiscard]] Comparison compare(const CudaContext& context, const OutputView& output,
                                 const double* reference);

/// "Y[3, 17] is 1.5, not 1.25".
[[nodiscard]] std::string describe(const Comparison& comparison, std::uint32_t n);

/// The least element row·K + k in which two tensors of the same shape, storage and row order
/// differ, Comparison::none where they agree. −0.0 equals 0; padding bits do not count.
/// CUDA: synchronises.
[[nodiscard]] std::uint64_t first_difference(const HostContext& context, const SpikeView& a,
                                             const SpikeView& b);
[[nodiscard]] std::uint64_t first_difference(const CudaContext& context, const SpikeView& a,
                                             const SpikeView& b);

namespace detail {

/// One element of the comparison; host and device reduce over these in any order.
struct ElementError {
  double absolute = 0;
  double scaled = 0;
  std::uint64_t at = Comparison::none;
};

SPIKETUNE_HD inline ElementError element_error(float got, double expected, std::uint64_t at) {
  const double magnitude = expected < 0 ? -expected : expected;
  double error = static_cast<double>(got) - expected;
  if (error < 0) error = -error;
  if (error == 0) return {};
  // NaN, from poison that nobody overwrote, is as wrong as it gets.
  if (!(error <= std::numeric_limits<double>::max())) {
    error = std::numeric_limits<double>::infinity();
  }
  return {error, error / (magnitude > 1 ? magnitude : 1), at};
}

/// The first of the worst elements, and the largest absolute error of all.
SPIKETUNE_HD inline ElementError worse_of(const ElementError& a, const ElementError& b) {
  const bool take_b = b.scaled > a.scaled || (b.scaled == a.scaled && b.at < a.at);
  ElementError worse = take_b ? b : a;
  worse.absolute = a.absolute > b.absolute ? a.absolute : b.absolute;
  return worse;
}

/// Element `i` of Y as f32.
SPIKETUNE_HD inline float load_output(const OutputView& output, std::uint64_t i) {
  switch (output.type) {
    case DType::f16:
      return to_float(static_cast<const Half*>(output.data)[i]);
    case DType::bf16:
      return to_float(static_cast<const Bfloat16*>(output.data)[i]);
    default:
      return static_cast<const float*>(output.data)[i];
  }
}

/// Bits of a spike with −0.0 as 0.
SPIKETUNE_HD inline std::uint32_t spike_bits(const SpikeView& spikes, std::uint64_t row,
                                             std::uint32_t column) {
  const float value = load_spike(spikes.data, spikes.storage, spikes.shape.k, row, column);
  return value == 0.0f ? 0u : float_to_bits(value);
}

/// Throws Error(invalid_argument) unless both have the same shape, storage, row order and space.
void check_same_layout(const SpikeView& a, const SpikeView& b);

}  // namespace detail
}  // namespace spiketune
