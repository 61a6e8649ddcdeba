#pragma once
/// \file
/// Elements of an array as doubles, whatever their type.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/datasets/npy.hpp"

namespace spiketune {

/// Element `i` of type T. An integer that no double holds becomes NaN: it must not pass for its
/// neighbour.
template <class T>
[[nodiscard]] double load_element(const std::byte* data, std::uint64_t i) {
  const T value = static_cast<const T*>(static_cast<const void*>(data))[i];
  if constexpr (std::is_same_v<T, Half>) {
    return to_float(value);
  } else {
    const auto result = static_cast<double>(value);
    if constexpr (std::is_integral_v<T> && sizeof(T) == 8) {
      if (std::abs(result) >= 0x1p53) return std::numeric_limits<double>::quiet_NaN();
    }
    return result;
  }
}

/// Returns visit(T{}) with the C++ type of the elements. Throws Error(invalid_argument) where they
/// are no numbers.
template <class Visit>
decltype(auto) visit_element_type(NpyType type, const std::string& name, Visit&& visit) {
  switch (type.kind) {
    case 'b':
    case 'u':
      return type.size == 1   ? visit(std::uint8_t{})
             : type.size == 2 ? visit(std::uint16_t{})
             : type.size == 4 ? visit(std::uint32_t{})
                              : visit(std::uint64_t{});
    case 'i':
      return type.size == 1   ? visit(std::int8_t{})
             : type.size == 2 ? visit(std::int16_t{})
             : type.size == 4 ? visit(std::int32_t{})
                              : visit(std::int64_t{});
    case 'f':
      return type.size == 2 ? visit(Half{}) : type.size == 4 ? visit(float{}) : visit(double{});
    default:
      throw Error(ErrorCode::invalid_argument,
                  name + ": elements are " + to_string(type) + ", not numbers");
  }
}

}  // namespace spiketune
