#pragma once
/// \file
/// Element types. Names are those of the report schema: bit u2 u8 u16 u32 u64 f16 bf16 f32 s8 s4
/// e4m3.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "spiketune/core/portable.hpp"

namespace spiketune {

enum class DType : std::uint8_t {
  bit,  ///< 1 bit; 32 to a word, least significant first
  u2,   ///< 2 bits; 16 to a word, least significant first
  u8,
  u16,
  u32,
  u64,
  f16,
  bf16,
  f32,
  s8,
  s4,   ///< two's complement; 2 to a byte, the first in the low half
  e4m3  ///< 8-bit floating point of 4 bits of exponent and 3 of mantissa (OCP FP8)
};

/// Bits of one element.
SPIKETUNE_HD constexpr unsigned bits_of(DType type) {
  switch (type) {
    case DType::bit:
      return 1;
    case DType::u2:
      return 2;
    case DType::s4:
      return 4;
    case DType::u8:
    case DType::s8:
    case DType::e4m3:
      return 8;
    case DType::u16:
    case DType::f16:
    case DType::bf16:
      return 16;
    case DType::u32:
    case DType::f32:
      return 32;
    case DType::u64:
      return 64;
  }
  return 0;
}

SPIKETUNE_HD constexpr bool is_floating(DType type) {
  return type == DType::f16 || type == DType::bf16 || type == DType::f32;
}

/// Numbers of few values, with a scale for each column: quantised weights.
SPIKETUNE_HD constexpr bool is_quantised(DType type) {
  return type == DType::s8 || type == DType::s4 || type == DType::e4m3;
}

[[nodiscard]] std::string_view to_string(DType type);
/// Throws Error(parse) that lists the known names.
[[nodiscard]] DType parse_dtype(std::string_view name);

template <class T>
struct DTypeOf;
struct Half;
struct Bfloat16;
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<std::uint16_t> {
  static constexpr DType value = DType::u16;
};
template <>
struct DTypeOf<std::uint32_t> {
  static constexpr DType value = DType::u32;
};
template <>
struct DTypeOf<std::uint64_t> {
  static constexpr DType value = DType::u64;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<Bfloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace spiketune
