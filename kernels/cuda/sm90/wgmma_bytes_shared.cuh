#pragma once
/// \file
/// Hopper's products of bytes with both operands in shared memory, K along.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma_registers.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_shared.cuh"

namespace spiketune::cuda {

// clang-format off
#define SPIKETUNE_WGMMA_BYTES(n, types, names, sums, a_and_b, signs) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n" n "k32." types " {" \
          names \
          "}, " a_and_b ", add" signs ";\n}\n" \
          : sums \
          : "l"(a), "l"(b))
#define SPIKETUNE_WGMMA_BYTES_OF(types, kind, signs) \
  if constexpr (columns == 64) { \
    SPIKETUNE_WGMMA_BYTES("64", types, SPIKETUNE_SUM_NAMES_32, SPIKETUNE_SUMS_32(kind, d, 0), \
                          "%32, %33", signs); \
  } else if constexpr (columns == 128) { \
    SPIKETUNE_WGMMA_BYTES("128", types, SPIKETUNE_SUM_NAMES_64, SPIKETUNE_SUMS_64(kind, d), \
                          "%64, %65", signs); \
  } else { \
    SPIKETUNE_WGMMA_BYTES("256", types, SPIKETUNE_SUM_NAMES_128, SPIKETUNE_SUMS_128(kind, d), \
                          "%128, %129", signs); \
  }
// clang-format on

/// d += a · bᵀ for 64 rows and as many columns as `d` has of them, 32 bytes of K, those of `a`
/// without a sign, of `b` with one: a lane has 4 sums of each 8 columns. Operands are described by
/// describe_k_major(), 32 bytes of K are next_16_of_k. (PTX ISA, wgmma m64nNk32.) Asynchronous: see
/// wait_for_products().
template <int columns>
__device__ void multiply_shared_bytes(std::int32_t (&d)[columns / 2], std::uint64_t a,
                                      std::uint64_t b) {
  static_assert(columns == 64 || columns == 128 || columns == 256);
#if SPIKETUNE_SM90
  SPIKETUNE_WGMMA_BYTES_OF("s32.u8.s8", "+r", "");
#endif
}

/// The same of e4m3, with sums of f32, of which the tensor cores keep some 14 bits.
template <int columns>
__device__ void multiply_shared_bytes(float (&d)[columns / 2], std::uint64_t a, std::uint64_t b) {
  static_assert(columns == 64 || columns == 128 || columns == 256);
#if SPIKETUNE_SM90
  SPIKETUNE_WGMMA_BYTES_OF("f32.e4m3.e4m3", "+f", ", 1, 1");
#endif
}
#undef SPIKETUNE_WGMMA_BYTES_OF
#undef SPIKETUNE_WGMMA_BYTES

}  // namespace spiketune::cuda
