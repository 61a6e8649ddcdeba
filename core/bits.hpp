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
  // Compilers know this form and use an instruction where the target has one; std::popcount is a
  // call into the run-time library where it has none.
  word -= word >> 1 & 0x55555555u;
  word = (word & 0x33333333u) + (word >> 2 & 0x33333333u);
  return ((word + (word >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
#endif
}

/// The lowest `count` bits set; all for 32 and more.
SPIKETUNE_HD constexpr std::uint32_t low_mask(std::uint32_t count) {
  return count >= 32 ? 0xffffffffu : (1u << count) - 1u;
}

}  // namespace spiketune
