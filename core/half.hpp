#pragma once
/// \file
/// IEEE binary16 and bfloat16 as plain 16-bit patterns, and the OCP's FP8 E4M3 as bytes, with
/// conversions that host and device share bit for bit, payloads of NaN apart (round to nearest,
/// ties to even). Layout-compatible with CUDA's __half, __nv_bfloat16 and __nv_fp8_e4m3.

#include <bit>
#include <cstdint>

#include "spiketune/core/portable.hpp"

namespace spiketune {

struct Half {
  std::uint16_t bits = 0;
};

struct Bfloat16 {
  std::uint16_t bits = 0;
};

/// Up to 448; no infinity, and a NaN where all bits but the sign are set.
struct E4m3 {
  std::uint8_t bits = 0;
};

namespace detail {

SPIKETUNE_HD inline float bits_to_float(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

SPIKETUNE_HD inline std::uint32_t float_to_bits(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  return std::bit_cast<std::uint32_t>(value);
#endif
}

}  // namespace detail

SPIKETUNE_HD inline float to_float(Bfloat16 x) {
  return detail::bits_to_float(static_cast<std::uint32_t>(x.bits) << 16);
}

SPIKETUNE_HD inline float to_float(Half x) {
#if defined(__CUDA_ARCH__)
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
  return value;
#else
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity or NaN
    return detail::bits_to_float(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  // Shift into the binary32 field, then scale by 2^(127-15): exact for subnormals as well.
  const float scaled = detail::bits_to_float(magnitude << 13) * 0x1p+112f;
  return detail::bits_to_float(sign | detail::float_to_bits(scaled));
#endif
}

SPIKETUNE_HD inline float to_float(E4m3 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x80u) << 24;
  const std::uint32_t magnitude = x.bits & 0x7fu;
  if (magnitude == 0x7fu) return detail::bits_to_float(sign | 0x7fc00000u);
  const float scaled = detail::bits_to_float(magnitude << 20) * 0x1p+120f;
  return detail::bits_to_float(sign | detail::float_to_bits(scaled));
}

SPIKETUNE_HD inline float to_float(float x) {
  return x;
}

SPIKETUNE_HD inline Bfloat16 to_bfloat16(float value) {
#if defined(__CUDA_ARCH__)
  Bfloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  const std::uint32_t bits = detail::float_to_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};  // quiet the NaN
  }
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}

SPIKETUNE_HD inline Half to_half(float value) {
#if defined(__CUDA_ARCH__)
  Half result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  const std::uint32_t bits = detail::float_to_bits(value);
  const auto sign = static_cast<std::uint32_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {  // subnormal: let the adder of 0.5 round to 2^-24
    const float rounded = detail::bits_to_float(magnitude) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (detail::float_to_bits(rounded) - 0x3f000000u))};
  }
  const std::uint32_t rebased = magnitude - 0x38000000u;
  return {static_cast<std::uint16_t>(sign | ((rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13))};
#endif
}

/// What is larger becomes 448, as in CUDA's "satfinite".
SPIKETUNE_HD inline E4m3 to_e4m3(float value) {
  const std::uint32_t bits = detail::float_to_bits(value);
  const auto sign = static_cast<std::uint32_t>((bits >> 24) & 0x80u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint8_t>(sign | 0x7fu)};
  if (magnitude > 0x43e00000u) return {static_cast<std::uint8_t>(sign | 0x7eu)};
  if (magnitude < 0x3c800000u) {  // subnormal: let the adder of 2^14 round to 2^-9
    const float rounded = detail::bits_to_float(magnitude) + 0x1p+14f;
    return {static_cast<std::uint8_t>(sign | (detail::float_to_bits(rounded) - 0x46800000u))};
  }
  const std::uint32_t rebased = magnitude - 0x3c000000u;
  return {static_cast<std::uint8_t>(sign | ((rebased + 0x7ffffu + ((rebased >> 20) & 1u)) >> 20))};
}

template <class T>
SPIKETUNE_HD inline T from_float(float value);
template <>
SPIKETUNE_HD inline float from_float<float>(float value) {
  return value;
}
template <>
SPIKETUNE_HD inline Half from_float<Half>(float value) {
  return to_half(value);
}
template <>
SPIKETUNE_HD inline Bfloat16 from_float<Bfloat16>(float value) {
  return to_bfloat16(value);
}

}  // namespace spiketune
