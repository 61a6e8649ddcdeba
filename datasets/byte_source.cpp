#include "spiketune/datasets/byte_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <utility>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

constexpr std::uint64_t elements_of_any_file = std::uint64_t{64} << 20;
constexpr std::uint64_t elements_of_a_byte = 4096;

}  // namespace

ByteSource open_file(const std::string& path) {
  const auto file = std::make_shared<std::ifstream>(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = *file ? static_cast<std::streamoff>(file->tellg()) : -1;
  if (size < 0 || size == std::numeric_limits<std::streamoff>::max()) {
    throw Error(ErrorCode::io, path + ": cannot be opened for reading");
  }
  file->seekg(0);
  return {path, static_cast<std::uint64_t>(size), [file](std::span<std::byte> to) {
            file->read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
            return static_cast<std::size_t>(file->gcount());
          }};
}

ByteSource bytes_of(std::string name, std::string_view bytes) {
  return {std::move(name), bytes.size(), [bytes](std::span<std::byte> to) mutable {
            const std::size_t count = std::min(to.size(), bytes.size());
            if (count > 0) std::memcpy(to.data(), bytes.data(), count);
            bytes.remove_prefix(count);
            return count;
          }};
}

void read_exactly(const ByteSource& source, std::span<std::byte> to) {
  if (source.read(to) != to.size()) throw Error(ErrorCode::parse, source.name + ": is truncated");
}

void skip(const ByteSource& source, std::uint64_t count) {
  std::array<std::byte, 65536> unwanted;
  while (count > 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(count, unwanted.size());
    read_exactly(source, std::span(unwanted).first(piece));
    count -= piece;
  }
}

std::string read_rest(const ByteSource& source) {
  constexpr std::size_t first_piece = std::size_t{1} << 16;
  std::string text;
  std::size_t have = 0;
  do {
    text.resize(std::max(first_piece, 2 * have));
    have += source.read(std::as_writable_bytes(std::span(text)).subspan(have));
  } while (have == text.size());
  text.resize(have);
  return text;
}

std::uint64_t most_elements(std::uint64_t file_bytes) {
  constexpr std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max() / 2;
  return elements_of_any_file +
         elements_of_a_byte * std::min(file_bytes, most_bytes / elements_of_a_byte);
}

void check_elements(std::span<const std::uint64_t> shape, std::uint64_t file_bytes,
                    const std::string& name) {
  const std::uint64_t most = most_elements(file_bytes);
  std::uint64_t elements = 1;
  for (const std::uint64_t length : shape) {
    // A dimension of zero must not hide the others: what follows multiplies them in another order.
    const std::uint64_t factor = std::max<std::uint64_t>(length, 1);
    if (elements > most / factor) {
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: {} elements, more than the {} that a file of {} bytes may have",
                              name, fmt::join(shape, " x "), most, file_bytes));
    }
    elements *= factor;
  }
}

}  // namespace spiketune
