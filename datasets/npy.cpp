#include "spiketune/datasets/npy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read without swapping");

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t longest_header = 65536;  // NumPy's own limit is 10,000
constexpr std::size_t most_dimensions = 32;
/// First allocation for an array's data; it then doubles as data arrives.
constexpr std::size_t first_piece = std::size_t{16} << 20;

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// a · b, or nothing where that exceeds 64 bits.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// Reads the Python dictionary of a header: three known keys, literals only.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NpyArray parse() {
    NpyArray array;
    bool seen_type = false;
    bool seen_order = false;
    bool seen_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      bool* seen = nullptr;
      if (key == "descr") {
        array.type = type();
        seen = &seen_type;
      } else if (key == "fortran_order") {
        array.fortran_order = truth();
        seen = &seen_order;
      } else if (key == "shape") {
        array.shape = shape();
        seen = &seen_shape;
      } else {
        malformed("an unknown key");
      }
      if (*seen) malformed("a key twice");
      *seen = true;
      if (!accept(',') && peek() != '}') malformed("no ',' between its entries");
    }
    if (peek() != '\0') malformed("text after its '}'");
    if (!seen_type || !seen_order || !seen_shape) {
      malformed("not all of descr, fortran_order and shape");
    }
    return array;
  }

 private:
  [[noreturn]] void malformed(std::string_view has) const {
    fail(name_, fmt::format("the .npy header has {} (at byte {} of it)", has, at_));
  }

  /// The next character that is no white space; '\0' at the end.
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != text_.npos) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char wanted) {
    if (peek() != wanted || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) malformed(fmt::format("no '{}' where one must be", wanted));
  }

  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed("no string where one must be");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos) malformed("a string without end");
    const std::string_view result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }

  bool truth() {
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      const std::string_view expected = word;
      static_cast<void>(peek());
      if (text_.substr(at_, expected.size()) != expected) continue;
      at_ += expected.size();
      return value;
    }
    malformed("neither True nor False where one must be");
  }

  std::uint64_t number() {
    static_cast<void>(peek());
    std::uint64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, status] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (status != std::errc{}) malformed("no dimension that fits 64 bits where one must be");
    at_ += static_cast<std::size_t>(end - begin);
    static_cast<void>(accept('L'));  // as Python 2 printed long integers
    return value;
  }

  std::vector<std::uint64_t> shape() {
    std::vector<std::uint64_t> result;
    expect('(');
    while (!accept(')')) {
      result.push_back(number());
      if (result.size() > most_dimensions) malformed("more than 32 dimensions");
      if (!accept(',') && peek() != ')') malformed("no ',' between dimensions");
    }
    return result;
  }

  NpyType type() {
    if (peek() == '[') {
      fail(name_, "a structured array; save one plain array instead", ErrorCode::unsupported);
    }
    const std::string_view text = quoted();
    const auto unsupported = [&] {
      fail(name_,
           fmt::format("element type '{}' is not one of b1 u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8 "
                       "S U, little-endian",
                       text),
           ErrorCode::unsupported);
    };
    const bool order_given = !text.empty() && std::string_view("<>|=").find(text[0]) != text.npos;
    const std::string_view code = text.substr(order_given ? 1 : 0);
    if (code.size() < 2) malformed(fmt::format("element type '{}'", text));
    NpyType result{code[0], 0};
    const auto [end, status] =
        std::from_chars(code.data() + 1, code.data() + code.size(), result.size);
    if (status != std::errc{} || end != code.data() + code.size()) unsupported();
    if (text[0] == '>' && result.size > 1) unsupported();
    const auto one_of = [&](std::initializer_list<std::uint32_t> sizes) {
      if (std::find(sizes.begin(), sizes.end(), result.size) == sizes.end()) unsupported();
    };
    switch (result.kind) {
      case 'b':
        one_of({1});
        break;
      case 'u':
      case 'i':
        one_of({1, 2, 4, 8});
        break;
      case 'f':
        one_of({2, 4, 8});
        break;
      case 'U':
        if (result.size > longest_header) unsupported();
        result.size *= 4;
        break;
      case 'S':
        break;
      default:
        unsupported();
    }
    if (result.size == 0) unsupported();
    return result;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

/// Bytes of the data that a header promises.
std::uint64_t data_bytes(const NpyArray& array, const std::string& name) {
  std::optional<std::uint64_t> bytes = array.type.size;
  // Zeros last: a dimension of zero must not hide an overflow of the others.
  for (const std::uint64_t length : array.shape) {
    if (length != 0 && bytes) bytes = product(*bytes, length);
  }
  if (!bytes) {
    fail(name,
         fmt::format("the shape ({}) has more than 2^64 bytes", fmt::join(array.shape, ", ")));
  }
  const bool empty = std::find(array.shape.begin(), array.shape.end(), 0u) != array.shape.end();
  return empty ? 0 : *bytes;
}

}  // namespace

std::string to_string(NpyType type) {
  return fmt::format("{}{}", type.kind, type.kind == 'U' ? type.size / 4 : type.size);
}

std::uint64_t NpyArray::size() const {
  return data.size() / type.size;
}

NpyArray make_npy_text(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {{'S', static_cast<std::uint32_t>(text.size())}, {}, false, {bytes.begin(), bytes.end()}};
}

NpyArray read_npy(const ByteSource& source) {
  std::array<unsigned char, 12> start{};
  const auto start_bytes = std::as_writable_bytes(std::span(start));
  read_exactly(source, start_bytes.first(10));
  if (!std::equal(magic.begin(), magic.end(), start.begin(),
                  [](char a, unsigned char b) { return static_cast<unsigned char>(a) == b; })) {
    fail(source.name, "is no .npy file (it does not start with \\x93NUMPY)");
  }
  const unsigned version = start[6];
  if (version < 1 || version > 3)
    fail(source.name, fmt::format("unknown .npy version {}", version));
  std::size_t offset = 10;
  std::size_t header_bytes = start[8] | std::size_t{start[9]} << 8;
  if (version >= 2) {
    read_exactly(source, start_bytes.subspan(10, 2));
    header_bytes |= std::size_t{start[10]} << 16 | std::size_t{start[11]} << 24;
    offset = 12;
  }
  if (header_bytes > longest_header) {
    fail(source.name,
         fmt::format("the .npy header has {} bytes, more than {}", header_bytes, longest_header));
  }
  std::string header(header_bytes, '\0');
  read_exactly(source, std::as_writable_bytes(std::span(header)));
  NpyArray array = HeaderParser(header, source.name).parse();
  offset += header_bytes;

  const std::uint64_t bytes = data_bytes(array, source.name);
  const std::uint64_t present = source.size < offset ? 0 : source.size - offset;
  if (bytes != present) {
    fail(source.name,
         fmt::format("shape ({}) of {} needs {} bytes of data, but there are {}",
                     fmt::join(array.shape, ", "), to_string(array.type), bytes, present));
  }
  while (array.data.size() < bytes) {
    const std::size_t have = array.data.size();
    array.data.resize(std::min<std::uint64_t>(bytes, std::max(first_piece, 2 * have)));
    read_exactly(source, std::span(array.data).subspan(have));
  }
  std::byte more{};
  if (source.read(std::span(&more, 1)) != 0) fail(source.name, "has bytes after its array");
  return array;
}

NpyArray read_npy(const std::string& path) {
  return read_npy(open_file(path));
}

void check_npy(const NpyArray& array, const std::string& name) {
  if (array.shape.size() > most_dimensions || data_bytes(array, name) != array.data.size()) {
    fail(name, "the array has more or less data than its shape says", ErrorCode::invalid_argument);
  }
}

std::string npy_header(const NpyArray& array) {
  const std::string_view order = array.type.size == 1 || array.type.kind == 'S' ? "|" : "<";
  const std::string dictionary =
      fmt::format("{{'descr': '{}{}', 'fortran_order': {}, 'shape': ({}{}), }}", order,
                  to_string(array.type), array.fortran_order ? "True" : "False",
                  fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  // Padded with blanks and a newline, so that the data is aligned to 64 bytes. At most 32
  // dimensions of 20 digits: version 1 always holds it.
  const std::size_t total = (10 + dictionary.size() + 1 + 63) / 64 * 64;
  const std::size_t length = total - 10;
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  header += dictionary;
  header.resize(total - 1, ' ');
  return header + '\n';
}

void write_npy(const std::string& path, const NpyArray& array) {
  check_npy(array, path);
  std::ofstream file(path, std::ios::binary);
  const std::string header = npy_header(array);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(reinterpret_cast<const char*>(array.data.data()),
             static_cast<std::streamsize>(array.data.size()));
  file.close();
  if (!file) fail(path, "cannot be written", ErrorCode::io);
}

NpyArray to_c_order(NpyArray array) {
  if (!array.fortran_order) return array;
  array.fortran_order = false;
  const std::size_t rank = array.shape.size();
  if (rank < 2 || array.data.empty()) return array;
  const std::size_t item = array.type.size;
  std::vector<std::byte> ordered(array.data.size());
  std::vector<std::uint64_t> stride(rank, item);
  for (std::size_t axis = 1; axis < rank; ++axis) {
    stride[axis] = stride[axis - 1] * array.shape[axis - 1];
  }
  std::vector<std::uint64_t> index(rank, 0);
  std::uint64_t from = 0;
  for (std::size_t to = 0; to < ordered.size(); to += item) {
    std::memcpy(ordered.data() + to, array.data.data() + from, item);
    for (std::size_t axis = rank; axis-- > 0;) {  // an odometer, last axis fastest
      from += stride[axis];
      if (++index[axis] < array.shape[axis]) break;
      from -= stride[axis] * array.shape[axis];
      index[axis] = 0;
    }
  }
  array.data = std::move(ordered);
  return array;
}

std::vector<std::int64_t> to_integers(const NpyArray& original, const std::string& name) {
  const NpyArray array = to_c_order(original);
  std::vector<std::int64_t> result(array.size());
  const auto convert = [&]<class T>(const T* values) {
    for (std::size_t i = 0; i < result.size(); ++i) {
      if constexpr (std::is_same_v<T, std::uint64_t>) {
        if (values[i] > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
          fail(name, fmt::format("element {} is {}, too large", i, values[i]));
        }
      }
      result[i] = static_cast<std::int64_t>(+values[i]);
    }
  };
  const bool is_signed = array.type.kind == 'i';
  if (!is_signed && array.type.kind != 'u' && array.type.kind != 'b') {
    fail(name, fmt::format("elements are {}, not integers", to_string(array.type)));
  }
  switch (array.type.size) {
    case 1:
      is_signed ? convert(array.as<std::int8_t>()) : convert(array.as<std::uint8_t>());
      break;
    case 2:
      is_signed ? convert(array.as<std::int16_t>()) : convert(array.as<std::uint16_t>());
      break;
    case 4:
      is_signed ? convert(array.as<std::int32_t>()) : convert(array.as<std::uint32_t>());
      break;
    default:
      is_signed ? convert(array.as<std::int64_t>()) : convert(array.as<std::uint64_t>());
  }
  return result;
}

}  // namespace spiketune
