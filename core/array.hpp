#pragma once
/// \file
/// AnyArray: a span whose element type is chosen at run time.
///
/// Column indices are 16- or 32-bit depending on K, and values have the type of the spikes. Making
/// either a template parameter would multiply every signature and every kernel; a branch that is
/// uniform across a launch costs nothing measurable.

#include <cstdint>
#include <cstring>
#include <span>

#include "spiketune/core/dtype.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/core/portable.hpp"

namespace spiketune {

/// Non-owning. `data` may be null while a format is only planned. `size` counts elements.
struct AnyArray {
  void* data = nullptr;
  DType type = DType::u8;
  std::uint64_t size = 0;

  [[nodiscard]] SPIKETUNE_HD std::uint64_t bytes() const { return size * bits_of(type) / 8; }

  template <class T>
  [[nodiscard]] SPIKETUNE_HD T* as() const {
    return static_cast<T*>(data);
  }
};

/// Reads an index of an array of type u16 or u32.
SPIKETUNE_HD inline std::uint32_t load_index(const AnyArray& array, std::uint64_t i) {
  return array.type == DType::u16 ? array.as<const std::uint16_t>()[i]
                                  : array.as<const std::uint32_t>()[i];
}

SPIKETUNE_HD inline void store_index(const AnyArray& array, std::uint64_t i, std::uint32_t value) {
  if (array.type == DType::u16) {
    array.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(value);
  } else {
    array.as<std::uint32_t>()[i] = value;
  }
}

/// The value of a stored spike as f32. An array of type `bit` is a pattern: it stores nothing and
/// every spike is 1.
SPIKETUNE_HD inline float load_value(const AnyArray& array, std::uint64_t i) {
  switch (array.type) {
    case DType::u8:
      return static_cast<float>(array.as<const std::uint8_t>()[i]);
    case DType::f16:
      return to_float(array.as<const Half>()[i]);
    case DType::bf16:
      return to_float(array.as<const Bfloat16>()[i]);
    case DType::f32:
      return array.as<const float>()[i];
    default:
      return 1.0f;
  }
}

}  // namespace spiketune
