#pragma once
/// \file
/// NumPy's .npy: one array with its shape and element type.
///
/// Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
/// Files are not trusted: nothing is allocated on the word of a header alone.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "spiketune/datasets/byte_source.hpp"

namespace spiketune {

/// Element type as NumPy spells it: b1, u1..u8, i1..i8, f2, f4, f8, S<bytes> and U<characters>,
/// little-endian.
struct NpyType {
  char kind = 'u';         ///< b, u, i, f, S or U
  std::uint32_t size = 1;  ///< bytes of an element (of a U: four for each character)
  bool operator==(const NpyType&) const = default;
};

/// Without the byte order: "f8", "S3".
[[nodiscard]] std::string to_string(NpyType type);

template <class T>
inline constexpr NpyType npy_type = {std::is_floating_point_v<T> ? 'f'
                                     : std::is_signed_v<T>       ? 'i'
                                                                 : 'u',
                                     sizeof(T)};

/// An array in host memory. With fortran_order the first index runs fastest, else the last.
struct NpyArray {
  NpyType type;
  std::vector<std::uint64_t> shape;  ///< empty: a scalar
  bool fortran_order = false;
  std::vector<std::byte> data;  ///< size() · type.size bytes

  [[nodiscard]] std::uint64_t size() const;
  /// The elements. T must have the size of one.
  template <class T>
  [[nodiscard]] const T* as() const {
    return static_cast<const T*>(static_cast<const void*>(data.data()));
  }
};

/// A C-ordered copy of `values`; `shape` must have as many elements. f16 values are given as
/// uint16_t with `type` {'f', 2}, truth values as uint8_t with {'b', 1}.
template <class T>
[[nodiscard]] NpyArray make_npy(std::vector<std::uint64_t> shape, std::span<const T> values,
                                NpyType type = npy_type<T>) {
  NpyArray array{type, std::move(shape), false, std::vector<std::byte>(values.size_bytes())};
  if (!values.empty()) std::memcpy(array.data.data(), values.data(), values.size_bytes());
  return array;
}
/// A scalar of type S, as NumPy stores bytes objects. `text` must not be empty.
[[nodiscard]] NpyArray make_npy_text(std::string_view text);

/// Throws Error(parse) for anything but a whole, well-formed array and no byte more, and
/// Error(unsupported) for big-endian, structured, complex and object arrays.
[[nodiscard]] NpyArray read_npy(const ByteSource& source);
/// The same for a file. Throws Error(io) where it cannot be read.
[[nodiscard]] NpyArray read_npy(const std::string& path);

/// Throws Error(invalid_argument) where data and shape disagree, or there are over 32 dimensions.
void check_npy(const NpyArray& array, const std::string& name);

/// Magic, version and header of `array`, as NumPy writes them.
[[nodiscard]] std::string npy_header(const NpyArray& array);
/// Throws Error(io), and as check_npy() does.
void write_npy(const std::string& path, const NpyArray& array);

/// The same elements with the last index running fastest.
[[nodiscard]] NpyArray to_c_order(NpyArray array);

/// Every element as an integer, from an array of type b, u or i and of any order. Throws
/// Error(parse) for other types, and for values that do not fit.
[[nodiscard]] std::vector<std::int64_t> to_integers(const NpyArray& array, const std::string& name);

}  // namespace spiketune
