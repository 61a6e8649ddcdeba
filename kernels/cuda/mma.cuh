#pragma once
/// \file
/// Matrix instructions of a warp (sm_80 and later), and the operands that spikes become.

#include <cstdint>
#include <type_traits>

#include "spiketune/core/half.hpp"
#include "spiketune/core/portable.hpp"

namespace spiketune::cuda {

/// Value of a spike in an operand: one set bit, the top one of the exponent, is 2.0 in f16 and in
/// bf16. Sums come out twice as large as they are, exactly.
inline constexpr float spike_scale = 0.5f;

/// Bytes `j` of `even` and of `odd` as the upper bytes of two 16-bit elements. Neither may have the
/// top bit of a byte set: the lower bytes are copies of such a bit, since no byte is always zero.
template <std::uint32_t j>
__device__ std::uint32_t upper_bytes(std::uint32_t even, std::uint32_t odd) {
#if defined(__CUDA_ARCH__)
  std::uint32_t result;
  asm("prmt.b32 %0, %1, %2, %3;"
      : "=r"(result)
      : "r"(even), "r"(odd), "n"(j << 4 | (4 + j) << 12 | 0x808));
  return result;
#else
  return (even >> 8 * j & 0xffu) << 8 | (odd >> 8 * j & 0xffu) << 24;
#endif
}

/// The part of a word of 32 spikes of a row that a lane holds as operands A of m16n8k16, which are
/// two instructions: operands[j] has columns 8·j + 2·(lane % 4) + {0, 1} of the word.
__device__ inline void expand_bits(std::uint32_t word, std::uint32_t lane,
                                   std::uint32_t (&operands)[4]) {
  // The lane's even columns at bits 6, 14, 22, 30; then its odd ones.
  const std::uint32_t shifted = word << (6 - 2 * (lane % 4));
  const std::uint32_t even = shifted & 0x40404040u;
  const std::uint32_t odd = shifted >> 1 & 0x40404040u;
  operands[0] = upper_bytes<0>(even, odd);
  operands[1] = upper_bytes<1>(even, odd);
  operands[2] = upper_bytes<2>(even, odd);
  operands[3] = upper_bytes<3>(even, odd);
}

/// The same as operands A of m16n8k32 in bytes, 0 or 1: byte `at % 4` of operands[at / 16] of lane
/// at / 4 % 4 of four has column_of_byte(at) of the word, where the instruction has column `at`.
/// Rows of B have to be in that order too.
__device__ inline void expand_to_bytes(std::uint32_t word, std::uint32_t lane,
                                       std::uint32_t (&operands)[2]) {
  const std::uint32_t shifted = word >> lane % 4;
  operands[0] = shifted & 0x01010101u;
  operands[1] = shifted >> 4 & 0x01010101u;
}
/// Of byte `at` of any number of words.
[[nodiscard]] SPIKETUNE_HD constexpr std::uint32_t column_of_byte(std::uint32_t at) {
  return at / 32 * 32 + at % 4 * 8 + at / 16 % 2 * 4 + at / 4 % 4;
}

/// d += a · b, f32 sums. Layouts of operands: PTX ISA, mma.m16n8k16.
template <class T>
__device__ void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>);
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, Half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#elif defined(SPIKETUNE_EMULATED)
  emulation::mma_m16n8k16<T>(d, a, b0, b1);
#endif
}

/// d += a · b, f32 sums, with A sparse: two of every four of 32 columns. `a` has those that are
/// kept, as if they were a dense 16 × 16; `metadata` of lanes 4·i and 4·i + 1 says of columns 0 to
/// 15 and 16 to 31 where they were, row i in its lower half, row i + 8 in its upper. (PTX ISA,
/// mma.sp.m16n8k32, sparsity selector 0.)
template <class T>
__device__ void mma_sparse_m16n8k32(float (&d)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[4], std::uint32_t metadata) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>);
#if defined(__CUDA_ARCH__)
  // The places of a group ascend; toolkits that know the modifier ask for it.
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1205
#define SPIKETUNE_MMA_SP "mma.sp::ordered_metadata"
#else
#define SPIKETUNE_MMA_SP "mma.sp"
#endif
  if constexpr (std::is_same_v<T, Half>) {
    asm volatile(SPIKETUNE_MMA_SP
                 ".sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %10, %11}, {%0, %1, %2, %3}, %12, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]),
                   "r"(b[3]), "r"(metadata));
  } else {
    asm volatile(SPIKETUNE_MMA_SP
                 ".sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %10, %11}, {%0, %1, %2, %3}, %12, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]),
                   "r"(b[3]), "r"(metadata));
  }
#undef SPIKETUNE_MMA_SP
#elif defined(SPIKETUNE_EMULATED)
  emulation::mma_sparse_m16n8k32<T>(d, a, b, metadata);
#endif
}

/// d += a · b of bytes with a sign, s32 sums. Layouts of operands: PTX ISA, mma.m16n8k32.
__device__ inline void mma_m16n8k32(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                    std::uint32_t b0, std::uint32_t b1) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif defined(SPIKETUNE_EMULATED)
  emulation::mma_m16n8k32(d, a, b0, b1);
#endif
}

/// d += the number of bits that a row of A and a column of B share, of 256. Lane 4·i + j holds of
/// each of its rows and columns two words of the eight; which two does not matter, as long as A and
/// B agree: a = {row i, row i + 8, row i again, row i + 8 again}, b of column i.
__device__ inline void mma_m16n8k256(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                     std::uint32_t b0, std::uint32_t b1) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif defined(SPIKETUNE_EMULATED)
  emulation::mma_m16n8k256(d, a, b0, b1);
#endif
}

/// Four 8 × 8 matrices of 16-bit elements from shared memory, transposed: `row` of lane 8·i + j is
/// row j of matrix i, and loaded[i] has elements [2·(lane % 4) + {0, 1}][lane / 4] of it.
__device__ inline void load_transposed(std::uint32_t (&loaded)[4], const void* row) {
#if defined(__CUDA_ARCH__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(loaded[0]), "=r"(loaded[1]), "=r"(loaded[2]), "=r"(loaded[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#elif defined(SPIKETUNE_EMULATED)
  emulation::load_transposed(loaded, row);
#endif
}

/// The transpose of an 8 × 8 matrix of 16-bit elements, of which lane 4·i + j holds elements
/// 2·j + {0, 1} of row i, before and after.
__device__ inline std::uint32_t transpose_8x8(std::uint32_t pair) {
#if defined(__CUDA_ARCH__)
  std::uint32_t result;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
  return result;
#elif defined(SPIKETUNE_EMULATED)
  return emulation::transpose_8x8(pair);
#endif
}

}  // namespace spiketune::cuda
