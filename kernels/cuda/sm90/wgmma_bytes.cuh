#pragma once
/// \file
/// Hopper's products of bytes, A in registers.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma_b1.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_registers.cuh"

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
          SPIKETUNE_SUM_NAMES_32
          "}, {%32, %33, %34, %35}, %36, add;\n}\n"
          : SPIKETUNE_SUMS_32("+r", d, 0)
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  } else {
    asm volatile(
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
          SPIKETUNE_SUM_NAMES_64
          "}, {%64, %65, %66, %67}, %68, add;\n}\n"
          : SPIKETUNE_SUMS_64("+r", d)
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
  // clang-format on
#endif
}

/// The same with b in e4m3, whose sums are of f32, though the tensor cores keep only some 14 bits
/// of what they add at once. A byte of 1 is the smallest number of e4m3: see byte_spike_scale.
template <int columns>
__device__ void multiply_bytes(float (&d)[columns / 2], const std::uint32_t (&a)[4],
                               std::uint64_t b) {
  static_assert(columns == 64 || columns == 128);
#if SPIKETUNE_SM90
  // clang-format off
  if constexpr (columns == 64) {
    asm volatile(
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {"
          SPIKETUNE_SUM_NAMES_32
          "}, {%32, %33, %34, %35}, %36, add, 1, 1;\n}\n"
          : SPIKETUNE_SUMS_32("+f", d, 0)
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  } else {
    asm volatile(
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {"
          SPIKETUNE_SUM_NAMES_64
          "}, {%64, %65, %66, %67}, %68, add, 1, 1;\n}\n"
          : SPIKETUNE_SUMS_64("+f", d)
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
  // clang-format on
#endif
}

/// What to multiply sums with where bytes of A are 0 or 1.
template <class Sum>
inline constexpr float byte_spike_scale = 1.0f;
template <>
inline constexpr float byte_spike_scale<float> = 512.0f;

}  // namespace spiketune::cuda
