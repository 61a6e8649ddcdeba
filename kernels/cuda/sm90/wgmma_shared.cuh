#pragma once
/// \file
/// Hopper's products of 16-bit elements with both operands in shared memory, K the major dimension
/// of both: rows of A and of B as they lie in row-major matrices of A·Bᵀ.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma.cuh"

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
          "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
          "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
          "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
          "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63" \
          "}, %64, %65, add, 1, 1, 0, 0;\n}\n" \
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), \
            "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
            "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), \
            "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), \
            "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), \
            "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
            "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
            "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), \
            "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), \
            "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), \
            "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), \
            "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
            "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), \
            "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
            "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), \
            "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]) \
          : "l"(a), "l"(b))
#define SPIKETUNE_WGMMA_SHARED_192(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n192k16.f32." type "." type " {" \
          "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
          "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
          "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
          "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
          "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
          "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
          "}, %96, %97, add, 1, 1, 0, 0;\n}\n" \
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), \
            "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
            "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), \
            "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), \
            "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), \
            "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
            "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
            "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), \
            "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), \
            "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), \
            "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), \
            "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
            "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), \
            "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
            "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), \
            "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]), \
            "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), \
            "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), \
            "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), \
            "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), \
            "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), \
            "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), \
            "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), \
            "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]) \
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
