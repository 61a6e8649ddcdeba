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

  /// Words first .. first + 7 of a column, of those that there are.
  __device__ void store(std::uint32_t column, std::uint32_t first,
                        const std::uint32_t (&rows)[unit_words]) const {
    std::uint32_t* to = bits + std::uint64_t{column} * words + first;
#pragma unroll
    for (std::uint32_t i = 0; i < unit_words; ++i) {
      if (first + i < words) to[i] = rows[i];
    }
  }
};

/// Columns of S in slots (formats/slots.hpp), 256 columns a tile, 256 rows a unit, in the order in
/// which warps of a product load them; and bits of the spikes without a slot.
///
/// Of a tile, a unit and 64 rows (a step) each of eight warps has 384 bytes: warp 4·g + q those of
/// columns 128·g + 64·b + 16·q + 8·h + r, b and h 0 or 1, r below 8. First 16 bytes for each r:
/// presence of (h, b) = (0, 0), (0, 1), (1, 0), (1, 1). Then 16 bytes for each r and i: the operand
/// of lane 4·r + i, i 0 or 1, of columns h = 0 in its lower half and h = 1 in its upper: metadata
/// of (b, 32 rows) = (0, 0), (0, 1), (1, 0), (1, 1).
struct ColumnSlots {
  static constexpr std::uint32_t tile_columns = 256;
  static constexpr std::uint32_t warp_words = 96;
  static constexpr std::uint32_t metadata_at = 32;  ///< words of presence before
  static constexpr std::uint32_t step_words = 8 * warp_words;
  static constexpr std::uint32_t unit_size = unit_rows / 64 * step_words;  ///< words

  std::uint32_t* slots;     ///< [tile][unit][step][warp][96]
  std::uint32_t* residual;  ///< [column][words]
  std::uint32_t words;      ///< a multiple of 8
  std::uint32_t k;

  /// A warp stores 64 rows of columns 32·w + lane and 64 further on. w has no bit 1.
  __device__ void store(std::uint32_t step, std::uint32_t w,
                        const std::uint32_t (&rows)[2][2]) const {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t h = lane / 8 % 2;
    const std::uint32_t r = lane % 8;
    const std::uint32_t tile = w / 8;
    const std::uint32_t warp = w % 8 / 4 * 4 + w % 2 * 2 + lane / 16;
    std::uint32_t* to =
        slots + (std::uint64_t{tile} * (words / 2) + step) * step_words + warp * warp_words;
    std::uint32_t presence[2];
    std::uint32_t metadata[4];
#pragma unroll
    for (std::uint32_t b = 0; b < 2; ++b) {
      const SplitGroups low = split_groups(rows[b][0]);
      const SplitGroups high = split_groups(rows[b][1]);
      presence[b] = low.presence | high.presence << 16;
      metadata[2 * b] = operand(low.metadata, h);
      metadata[2 * b + 1] = operand(high.metadata, h);
      const std::uint32_t column = 32 * w + 64 * b + lane;
      if (column < k) {
        *reinterpret_cast<uint2*>(residual + std::uint64_t{column} * words + 2 * step) = {
            low.residual, high.residual};
      }
    }
    *reinterpret_cast<uint2*>(to + r * 4 + h * 2) = {presence[0], presence[1]};
    *reinterpret_cast<uint4*>(to + metadata_at + (r * 2 + h) * 4) = {metadata[0], metadata[1],
                                                                     metadata[2], metadata[3]};
  }

 private:
  /// From the metadata of this lane's column and of the one 8 columns away, lower or upper halves.
  __device__ static std::uint32_t operand(std::uint32_t metadata, std::uint32_t h) {
    const std::uint32_t other = __shfl_xor_sync(0xffffffffu, metadata, 8);
    return h == 0 ? (metadata & 0xffffu) | other << 16 : other >> 16 | (metadata & 0xffff0000u);
  }
};

/// Sums that blocks leave for each other, 128 KiB each, and whether they are there, 0 before.
struct Parts {
  float* sums;
  std::uint32_t* flags;
  std::uint64_t count;
};
/// Floats of a part.
inline constexpr std::uint32_t part_size = 256 * 128;
/// How many parts weight_gradient_on_hopper() wants.
[[nodiscard]] std::uint64_t count_parts(const CudaContext& context, std::uint32_t k,
                                        const GradientView& gradient);
/// dW from slots of the columns of S; in kernels/cuda/sm90.
void weight_gradient_on_hopper(const CudaContext& context, const ColumnSlots& slots,
                               const GradientView& gradient, const OutputView& result,
                               const Parts& parts);
/// dS of f16 or bf16, N and K multiples of 8; in kernels/cuda/sm90.
void spike_gradient_on_hopper(const CudaContext& context, const GradientView& gradient,
                              const WeightView& weights, const SurrogateView& surrogate,
                              const OutputView& result);

}  // namespace spiketune::cuda
