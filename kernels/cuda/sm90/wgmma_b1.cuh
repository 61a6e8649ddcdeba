#pragma once
/// \file
/// Hopper's products of bits: 256 of them anded and counted at a time, both operands in shared
/// memory.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_registers.cuh"

namespace spiketune::cuda {

/// Bytes of an operand's row: 512 bits of K, two instructions.
inline constexpr std::uint32_t bit_row_bytes = 64;
/// What to add to a descriptor for the next 256 bits of K, and for 64 rows further down.
inline constexpr std::uint64_t next_256_bits = 32 >> 4;
inline constexpr std::uint64_t next_64_rows = 64 * bit_row_bytes >> 4;

/// Operand A or B of bits: rows of A, or columns of B, of 64 bytes along K, one after another in
/// TMA's 64-byte swizzle. The matrix begins at a multiple of 512 bytes. (PTX ISA, matrix
/// descriptor; K is the major dimension, 512 bytes from 8 rows to the next 8, and the leading
/// dimension's offset counts for nothing.)
__device__ inline std::uint64_t describe_bits(const void* rows) {
  std::uint64_t described = std::uint64_t{(shared_address(rows) & 0x3ffffu) >> 4} |
                            std::uint64_t{1} << 16 | std::uint64_t{8 * bit_row_bytes >> 4} << 32 |
                            std::uint64_t{2} << 62;
#if SPIKETUNE_SM90
  asm volatile("" : "+l"(described));  // not to be found anew at each use
#endif
  return described;
}

/// d += bits that rows of A and columns of B share (d = them, where not `add`), for 64 rows and as
/// many columns as `d` has of them: a lane has 4 sums of each 8 columns, where the other products
/// of a warpgroup have them. (PTX ISA, wgmma m64nNk256.) Asynchronous: see wait_for_products().
template <int columns>
__device__ void multiply_bits(std::int32_t (&d)[columns / 2], std::uint64_t a, std::uint64_t b,
                              bool add) {
  static_assert(columns == 64 || columns == 128);
#if SPIKETUNE_SM90
  // clang-format off
  if constexpr (columns == 64) {
    asm volatile(
          "{\n.reg .pred add;\nsetp.ne.u32 add, %34, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n64k256.s32.b1.b1.and.popc {"
          SPIKETUNE_SUM_NAMES_32
          "}, %32, %33, add;\n}\n"
          : SPIKETUNE_SUMS_32("+r", d, 0)
          : "l"(a), "l"(b), "r"(std::uint32_t{add}));
  } else {
    asm volatile(
          "{\n.reg .pred add;\nsetp.ne.u32 add, %66, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n128k256.s32.b1.b1.and.popc {"
          SPIKETUNE_SUM_NAMES_64
          "}, %64, %65, add;\n}\n"
          : SPIKETUNE_SUMS_64("+r", d)
          : "l"(a), "l"(b), "r"(std::uint32_t{add}));
  }
  // clang-format on
#endif
}

/// Keeps the compiler from reading sums before a wait.
template <int count>
__device__ void keep_in_place(std::int32_t (&sums)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i) asm volatile("" : "+r"(sums[i])::"memory");
}

}  // namespace spiketune::cuda
