#pragma once
/// \file
/// What the gradients of all GPUs share, and those of Hopper.

#include <cstdint>

#include "spiketune/core/bits.hpp"
#include "spiketune/formats/slots.hpp"
#include "spiketune/kernels/gradients.hpp"

namespace spiketune::cuda {

/// Rows of S whose bits of a column are written together, and that a part of dW's products has a
/// multiple of.
inline constexpr std::uint32_t unit_rows = 256;
inline constexpr std::uint32_t unit_words = unit_rows / 32;

/// Columns of S as rows of bits, `words` words each.
struct ColumnBits {
  std::uint32_t* bits;
  std::uint32_t words;

  /// Words first .. first + 7, of those that there are.
  __device__ void store(std::uint32_t column, std::uint32_t first,
                        const std::uint32_t (&rows)[unit_words]) const {
    std::uint32_t* to = bits + std::uint64_t{column} * words + first;
#pragma unroll
    for (std::uint32_t i = 0; i < unit_words; ++i) {
      if (first + i < words) to[i] = rows[i];
    }
  }
};

/// Columns of S as rows of slots: `words` words of metadata, a multiple of 8, and half as many of
/// presence; bits of the spikes without a slot.
struct ColumnSlots {
  std::uint32_t* metadata;
  std::uint32_t* presence;
  std::uint32_t* residual;
  std::uint32_t words;

  __device__ void store(std::uint32_t column, std::uint32_t first,
                        const std::uint32_t (&rows)[unit_words]) const {
    const std::uint64_t at = std::uint64_t{column} * words + first;
    SplitGroups split[unit_words];
#pragma unroll
    for (std::uint32_t i = 0; i < unit_words; ++i) split[i] = split_groups(rows[i]);
#pragma unroll
    for (std::uint32_t i = 0; i < unit_words; i += 4) {
      *reinterpret_cast<uint4*>(metadata + at + i) = {split[i].metadata, split[i + 1].metadata,
                                                      split[i + 2].metadata, split[i + 3].metadata};
      *reinterpret_cast<uint4*>(residual + at + i) = {split[i].residual, split[i + 1].residual,
                                                      split[i + 2].residual, split[i + 3].residual};
    }
    const auto pair = [&](std::uint32_t i) {
      return split[i].presence | split[i + 1].presence << 16;
    };
    *reinterpret_cast<uint4*>(presence + at / 2) = {pair(0), pair(2), pair(4), pair(6)};
  }
};

/// Floats of workspace that weight_gradient_on_hopper() wants.
[[nodiscard]] std::uint64_t weight_gradient_parts(const CudaContext& context, std::uint32_t k,
                                                  const GradientView& gradient);
/// dW from slots of the columns of S, M in units of 256 rows; in kernels/cuda/sm90.
void weight_gradient_on_hopper(const CudaContext& context, const ColumnSlots& slots,
                               const GradientView& gradient, const OutputView& result,
                               float* parts);
/// dS of f16 or bf16, N and K multiples of 8; in kernels/cuda/sm90.
void spike_gradient_on_hopper(const CudaContext& context, const GradientView& gradient,
                              const WeightView& weights, const SurrogateView& surrogate,
                              const OutputView& result);

}  // namespace spiketune::cuda
