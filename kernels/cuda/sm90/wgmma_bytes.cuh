#pragma once
/// \file
/// Hopper's products of bytes, A in registers.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma_b1.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_registers.cuh"

namespace spiketune::cuda {

// clang-format off
#define SPIKETUNE_WGMMA_BYTES(n, types, names, sums, a_and_b, signs) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n" n "k32." types " {" \
          names \
          "}, " a_and_b ", add" signs ";\n}\n" \
          : sums \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define SPIKETUNE_WGMMA_BYTES_64(types, kind, signs) \
  SPIKETUNE_WGMMA_BYTES("64", types, SPIKETUNE_SUM_NAMES_32, SPIKETUNE_SUMS_32(kind, d, 0), \
                        "{%32, %33, %34, %35}, %36", signs)
#define SPIKETUNE_WGMMA_BYTES_128(types, kind, signs) \
  SPIKETUNE_WGMMA_BYTES("128", types, SPIKETUNE_SUM_NAMES_64, SPIKETUNE_SUMS_64(kind, d), \
                        "{%64, %65, %66, %67}, %68", signs)
#define SPIKETUNE_WGMMA_BYTES_256(types, kind, signs) \
  SPIKETUNE_WGMMA_BYTES("256", types, SPIKETUNE_SUM_NAMES_128, SPIKETUNE_SUMS_128(kind, d), \
                        "{%128, %129, %130, %131}, %132", signs)
// clang-format on

/// d += a · b for 64 rows and as many columns as `d` has of them, bytes of `a` without a sign, of
/// `b` with one: a lane has 4 sums of each 8 columns, where the other products of a warpgroup have
/// them. `b` is 32 bytes along K of columns that are described as those of bits are: 64 bytes each.
/// (PTX ISA, wgmma m64nNk32.) Asynchronous: see wait_for_products().
template <int columns>
__device__ void multiply_bytes(std::int32_t (&d)[columns / 2], const std::uint32_t (&a)[4],
                               std::uint64_t b) {
  static_assert(columns == 64 || columns == 128 || columns == 256);
#if SPIKETUNE_SM90
  if constexpr (columns == 64) {
    SPIKETUNE_WGMMA_BYTES_64("s32.u8.s8", "+r", "");
  } else if constexpr (columns == 128) {
    SPIKETUNE_WGMMA_BYTES_128("s32.u8.s8", "+r", "");
  } else {
    SPIKETUNE_WGMMA_BYTES_256("s32.u8.s8", "+r", "");
  }
#endif
}

/// The same of e4m3, whose sums are of f32, though the tensor cores keep only some 14 bits of what
/// they add at once. A byte of 1 is the smallest number of e4m3: see byte_spike_scale.
template <int columns>
__device__ void multiply_bytes(float (&d)[columns / 2], const std::uint32_t (&a)[4],
                               std::uint64_t b) {
  static_assert(columns == 64 || columns == 128 || columns == 256);
#if SPIKETUNE_SM90
  if constexpr (columns == 64) {
    SPIKETUNE_WGMMA_BYTES_64("f32.e4m3.e4m3", "+f", ", 1, 1");
  } else if constexpr (columns == 128) {
    SPIKETUNE_WGMMA_BYTES_128("f32.e4m3.e4m3", "+f", ", 1, 1");
  } else {
    SPIKETUNE_WGMMA_BYTES_256("f32.e4m3.e4m3", "+f", ", 1, 1");
  }
#endif
}
#undef SPIKETUNE_WGMMA_BYTES_64
#undef SPIKETUNE_WGMMA_BYTES_128
#undef SPIKETUNE_WGMMA_BYTES_256
#undef SPIKETUNE_WGMMA_BYTES

/// What to multiply sums with where bytes of A are 0 or 1.
template <class Sum>
inline constexpr float byte_spike_scale = 1.0f;
template <>
inline constexpr float byte_spike_scale<float> = 512.0f;

}  // namespace spiketune::cuda
