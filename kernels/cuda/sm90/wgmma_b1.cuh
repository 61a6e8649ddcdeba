#pragma once
/// \file
/// Hopper's products of bits: 256 of them anded and counted at a time, both operands in shared
/// memory.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma.cuh"

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
          "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
          "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
          "}, %32, %33, add;\n}\n"
          : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]),
            "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
            "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]),
            "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
            "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]),
            "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
            "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]),
            "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31])
          : "l"(a), "l"(b), "r"(std::uint32_t{add}));
  } else {
    asm volatile(
          "{\n.reg .pred add;\nsetp.ne.u32 add, %66, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n128k256.s32.b1.b1.and.popc {"
          "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
          "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
          "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
          "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
          "}, %64, %65, add;\n}\n"
          : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]),
            "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
            "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]),
            "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
            "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]),
            "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
            "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]),
            "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]),
            "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]),
            "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]),
            "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), "+r"(d[43]),
            "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]),
            "+r"(d[48]), "+r"(d[49]), "+r"(d[50]), "+r"(d[51]),
            "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
            "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]),
            "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63])
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
