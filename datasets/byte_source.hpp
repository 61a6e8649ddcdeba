#pragma once
/// \file
/// Where the bytes of a file come from, read once from front to back, and how much memory a file of
/// that many bytes may ask for.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace spiketune {

/// A file, a member of an archive, or bytes in memory.
struct ByteSource {
  std::string name;        ///< for messages
  std::uint64_t size = 0;  ///< bytes that it claims to have
  /// Fills the span; returns fewer bytes than asked for at the end only.
  std::function<std::size_t(std::span<std::byte>)> read;
};

/// A file from its start. Throws Error(io) where it cannot be read.
[[nodiscard]] ByteSource open_file(const std::string& path);
/// Bytes that outlive the source.
[[nodiscard]] ByteSource bytes_of(std::string name, std::string_view bytes);

/// Fills the span. Throws Error(parse) where the source ends before.
void read_exactly(const ByteSource& source, std::span<std::byte> to);
/// The same for `count` bytes that nobody wants.
void skip(const ByteSource& source, std::uint64_t count);
/// All that is left of the source. Memory grows with what is found.
[[nodiscard]] std::string read_rest(const ByteSource& source);

/// What sparse, compressed and event files may unfold into: 64 Mi elements, and 4,096 more for each
/// byte of the file. Denser than 1 : 30,000 every matrix of coordinates passes; a file of 100 bytes
/// that claims to be a terabyte does not.
[[nodiscard]] std::uint64_t most_elements(std::uint64_t file_bytes);
/// Throws Error(unsupported) where the product of `shape` is over most_elements(file_bytes).
void check_elements(std::span<const std::uint64_t> shape, std::uint64_t file_bytes,
                    const std::string& name);

}  // namespace spiketune
