#pragma once
/// \file
/// Bit operations that host and device code share.

#include <bit>
#include <cstdint>

#include "spiketune/core/portable.hpp"

namespace spiketune {

/// Index of the lowest set bit. `word` must not be zero.
SPIKETUNE_HD inline std::uint32_t lowest_bit(std::uint32_t word) {
#if defined(__CUDA_ARCH__)
  return static_cast<std::uint32_t>(__ffs(static_cast<int>(word)) - 1);
#else
  return static_cast<std::uint32_t>(std::countr_zero(word));
#endif
}

SPIKETUNE_HD inline std::uint32_t count_bits(std::uint32_t word) {
#if defined(__CUDA_ARCH__)
  return static_cast<std::uint32_t>(__popc(word));
#else
  return static_cast<std::uint32_t>(std::popcount(word));
#endif
}

/// The lowest `count` bits set; all for 32 and more.
SPIKETUNE_HD constexpr std::uint32_t low_mask(std::uint32_t count) {
  return count >= 32 ? 0xffffffffu : (1u << count) - 1u;
}

}  // namespace spiketune
