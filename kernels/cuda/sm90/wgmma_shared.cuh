#pragma once
/// \file
/// Hopper's products of 16-bit elements with both operands in shared memory, K the major dimension
/// of both: rows of A and of B as they lie in row-major matrices of A·Bᵀ.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_registers.cuh"

namespace spiketune::cuda {

/// Operand A or B: rows of 64 elements along K, 128 bytes, one after another in TMA's 128-byte
/// swizzle. The matrix begins at a multiple of 1024 bytes. (PTX ISA, matrix descriptor; 1024 bytes
/// from 8 rows to the next 8, and the leading dimension's offset counts for nothing.)
__device__ inline std::uint64_t describe_k_major(const void* rows) {
  std::uint64_t described = std::uint64_t{(shared_address(rows) & 0x3ffffu) >> 4} |
                            std::uint64_t{1} << 16 | std::uint64_t{1024 >> 4} << 32 |
                            std::uint64_t{1} << 62;
#if SPIKETUNE_SM90
  asm volatile("" : "+l"(described));  // not to be found anew at each use
#endif
  return described;
}
/// What to add to a descriptor for the next 16 elements of K, and for 64 rows further down.
inline constexpr std::uint64_t next_16_of_k = 32 >> 4;
inline constexpr std::uint64_t next_64_of_rows = 64 * 128 >> 4;

/// d += a · bᵀ for 64 rows and as many columns as `d` has of them: a lane has 4 sums of each 8
/// columns (PTX ISA, wgmma m64nNk16). Asynchronous: see wait_for_products().
template <class T, int columns>
__device__ void multiply_shared(float (&d)[columns / 2], std::uint64_t a, std::uint64_t b) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>);
  static_assert(columns == 128 || columns == 192);
#if SPIKETUNE_SM90
// clang-format off
#define SPIKETUNE_WGMMA_SHARED_128(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" \
          SPIKETUNE_SUM_NAMES_64 \
          "}, %64, %65, add, 1, 1, 0, 0;\n}\n" \
          : SPIKETUNE_SUMS_64("+f", d) \
          : "l"(a), "l"(b))
#define SPIKETUNE_WGMMA_SHARED_192(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n192k16.f32." type "." type " {" \
          SPIKETUNE_SUM_NAMES_96 \
          "}, %96, %97, add, 1, 1, 0, 0;\n}\n" \
          : SPIKETUNE_SUMS_96("+f", d) \
          : "l"(a), "l"(b))
  // clang-format on
  if constexpr (columns == 128) {
    if constexpr (std::is_same_v<T, Half>) {
      SPIKETUNE_WGMMA_SHARED_128("f16");
    } else {
      SPIKETUNE_WGMMA_SHARED_128("bf16");
    }
  } else {
    if constexpr (std::is_same_v<T, Half>) {
      SPIKETUNE_WGMMA_SHARED_192("f16");
    } else {
      SPIKETUNE_WGMMA_SHARED_192("bf16");
    }
  }
#undef SPIKETUNE_WGMMA_SHARED_128
#undef SPIKETUNE_WGMMA_SHARED_192
#endif
}

}  // namespace spiketune::cuda
