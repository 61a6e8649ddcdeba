#pragma once
/// \file
/// Hopper's products of bytes, A in registers.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma_b1.cuh"

namespace spiketune::cuda {

/// d += a · b for 64 rows and as many columns as `d` has of them: a lane has 4 sums of each 8
/// columns, where the other products of a warpgroup have them. `b` is 32 bytes along K of columns
/// that are described as those of bits are: 64 bytes each. (PTX ISA, wgmma m64nNk32.)
/// Asynchronous: see wait_for_products().
template <int columns>
__device__ void multiply_bytes(std::int32_t (&d)[columns / 2], const std::uint32_t (&a)[4],
                               std::uint64_t b) {
  static_assert(columns == 64 || columns == 128);
#if SPIKETUNE_SM90
  // clang-format off
  if constexpr (columns == 64) {
    asm volatile(
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {"
          "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
          "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
          "}, {%32, %33, %34, %35}, %36, add;\n}\n"
          : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]),
            "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
            "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]),
            "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
            "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]),
            "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
            "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]),
            "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  } else {
    asm volatile(
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
          "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
          "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
          "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
          "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
          "}, {%64, %65, %66, %67}, %68, add;\n}\n"
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
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
  // clang-format on
#endif
}

}  // namespace spiketune::cuda
