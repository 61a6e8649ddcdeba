#pragma once
/// \file
/// Operands of wgmma's products of bytes, which the kernels of expand_imma.cu and
/// expand_imma_strips.cu share.

#include <cuda.h>

#include <cstdint>
#include <type_traits>

#include "spiketune/kernels/cuda/expand_imma.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_bytes.cuh"

namespace spiketune::cuda {

/// expand_to_bytes() by products (expand_by_factor()), bytes 0 or 128, or of e4m3 0 or 2.
template <class Sum>
struct ByteFactors {
  static constexpr bool integers = std::is_integral_v<Sum>;
  static constexpr float scale = integers ? 1.0f / 128 : 0.5f;
  std::uint32_t low;
  std::uint32_t high;

  __device__ explicit ByteFactors(std::uint32_t lane)
      : low(1u << ((integers ? 7 : 6) - lane % 4)), high(1u << (3 - lane % 4)) {
#if SPIKETUNE_SM90
    asm volatile("" : "+r"(low), "+r"(high));  // or the compiler shifts after all
#endif
  }
  __device__ void expand(std::uint32_t word, std::uint32_t& first, std::uint32_t& second) const {
    constexpr std::uint32_t bits = integers ? 0x80808080u : 0x40404040u;
    first = word * low & bits;
    second = (integers ? word : word >> 1) * high & bits;
  }
};

/// describe_bits() from its lower half, as rows_descriptor().
[[nodiscard]] __device__ inline std::uint64_t bytes_descriptor(std::uint32_t lower) {
  return std::uint64_t{8 * bit_row_bytes >> 4} << 32 | std::uint64_t{2} << 62 | lower;
}

/// W in bytes for boxes of a step of tile_n columns, at (0, step · columns + column).
inline CUtensorMap map_bytes(const ByteColumns& columns, std::uint32_t tile_n) {
  constexpr std::uint32_t step_rows = ByteColumns::step_rows;
  return map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, columns.bytes,
                    std::uint64_t{columns.steps} * columns.columns, step_rows, step_rows, tile_n,
                    step_rows, CU_TENSOR_MAP_SWIZZLE_64B);
}

}  // namespace spiketune::cuda
