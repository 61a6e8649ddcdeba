#pragma once
/// \file
/// The transpose of 32 × 32 bits that a warp holds.

#include <cstdint>

namespace spiketune::cuda {

/// Bit b of lane a to bit a of lane b; all lanes call. Swaps ever smaller off-diagonal blocks
/// (Warren, Hacker's Delight, 7-3) with the lane that holds the other one.
__device__ inline std::uint32_t transpose_bits(std::uint32_t word) {
  const std::uint32_t lane = threadIdx.x % 32;
  const auto swap = [&](std::uint32_t size, std::uint32_t low) {
    const std::uint32_t other = __shfl_xor_sync(0xffffffffu, word, size);
    word = (lane & size) != 0 ? (word & ~low) | (other & ~low) >> size
                              : (word & low) | (other & low) << size;
  };
  swap(16, 0x0000ffffu);
  swap(8, 0x00ff00ffu);
  swap(4, 0x0f0f0f0fu);
  swap(2, 0x33333333u);
  swap(1, 0x55555555u);
  return word;
}

}  // namespace spiketune::cuda
