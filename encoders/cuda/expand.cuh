#pragma once
/// \file
/// Steps that CUDA encoders share: from packed rows to offsets and indices. A warp owns a row; its
/// lanes take neighbouring words.

#include <algorithm>
#include <cub/device/device_scan.cuh>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/pack.hpp"

namespace spiketune::cuda {

inline constexpr int block_threads = 256;

/// Blocks for one warp to each of `count` rows (or row groups).
inline unsigned warp_blocks(std::uint64_t count) {
  return static_cast<unsigned>(std::max<std::uint64_t>(1, ceil_div(count, block_threads / 32)));
}

__device__ inline std::uint64_t global_warp() {
  return std::uint64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
}

__device__ inline std::uint32_t warp_sum(std::uint32_t value) {
  return __reduce_add_sync(all_lanes, value);
}

/// Sum over the lanes below this one.
__device__ inline std::uint32_t warp_exclusive_sum(std::uint32_t value) {
  std::uint32_t sum = value;
#pragma unroll
  for (std::uint32_t step = 1; step < 32; step *= 2) {
#if defined(__CUDA_ARCH__)
    // The shuffle tells whether there is such a lane.
    asm volatile(
        "{ .reg .u32 below; .reg .pred there;"
        "  shfl.sync.up.b32 below|there, %0, %1, 0, 0xffffffff;"
        "  @there add.u32 %0, %0, below; }"
        : "+r"(sum)
        : "r"(step));
#else
    const std::uint32_t below = __shfl_up_sync(all_lanes, sum, step);
    if (threadIdx.x % 32 >= step) sum += below;
#endif
  }
  return sum - value;
}

/// Spikes of a row; all lanes call, all get the result.
__device__ inline std::uint32_t row_count(const BitRows& bits, std::uint64_t row) {
  std::uint32_t count = 0;
  for (std::uint32_t w = threadIdx.x % 32; w < bits.words_per_row(); w += 32) {
    count += count_bits(bits.word(row, w));
  }
  return warp_sum(count);
}

/// visit(ordinal, column) for each spike of a row, in parallel over the lanes; ordinals count the
/// spikes of the row from 0. `word(w)` gives the row's words. All lanes call.
template <class Word, class Visit>
__device__ void for_each_bit_by_warp(std::uint32_t words, Word&& word, Visit&& visit) {
  std::uint32_t before = 0;
  for (std::uint32_t base = 0; base < words; base += 32) {
    const std::uint32_t w = base + threadIdx.x % 32;
    std::uint32_t bits = w < words ? word(w) : 0;
    const std::uint32_t count = count_bits(bits);
    std::uint32_t ordinal = before + warp_exclusive_sum(count);
    before += warp_sum(count);
    for (; bits != 0; bits &= bits - 1) visit(ordinal++, 32 * w + lowest_bit(bits));
  }
}

/// Bytes of scratch that exclusive_scan needs for `count` elements.
template <class Offset = std::uint32_t>
inline std::size_t scan_bytes(std::uint64_t count) {
  std::size_t bytes = 0;
  check(cub::DeviceScan::ExclusiveSum(nullptr, bytes, static_cast<Offset*>(nullptr),
                                      static_cast<Offset*>(nullptr), count));
  return bytes;
}

/// offsets[i] = sum of offsets[j] over j < i, in place; one pass (decoupled look-back).
template <class Offset>
inline void exclusive_scan(const CudaContext& context, Offset* offsets, std::uint64_t count,
                           void* scratch, std::size_t scratch_bytes) {
  check(cub::DeviceScan::ExclusiveSum(scratch, scratch_bytes, offsets, offsets, count,
                                      context.stream));
}

}  // namespace spiketune::cuda
