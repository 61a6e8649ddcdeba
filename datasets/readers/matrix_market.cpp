#include "spiketune/datasets/readers/matrix_market.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <limits>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/readers/text_cursor.hpp"

namespace spiketune {
namespace {

enum class Symmetry { general, symmetric, skew };

struct Banner {
  bool coordinates = true;
  bool pattern = false;
  Symmetry symmetry = Symmetry::general;
};

/// The words of a line, in lower case.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    const bool blank = std::isspace(byte) != 0;
    if (!blank && !inside) words.emplace_back();
    if (!blank) words.back() += static_cast<char>(std::tolower(byte));
    inside = !blank;
  }
  return words;
}

Banner read_banner(std::string_view line, const std::string& name) {
  const auto words = words_of(line);
  const auto fail = [&](const std::string& why, ErrorCode code = ErrorCode::parse) {
    throw Error(code, fmt::format("{}, line 1: {}", name, why));
  };
  if (words.size() != 5 || words[0] != "%%matrixmarket" || words[1] != "matrix") {
    fail("is no '%%MatrixMarket matrix <layout> <field> <symmetry>'");
  }
  Banner banner;
  banner.coordinates = words[2] == "coordinate";
  if (!banner.coordinates && words[2] != "array") fail("the layout is no coordinate, no array");
  banner.pattern = words[3] == "pattern";
  if (words[3] == "complex") fail("complex numbers are no spikes", ErrorCode::unsupported);
  if (!banner.pattern && words[3] != "real" && words[3] != "double" && words[3] != "integer") {
    fail("the field is none of pattern, integer, real");
  }
  if (banner.pattern && !banner.coordinates) fail("a pattern needs coordinates");
  if (words[4] == "symmetric") {
    banner.symmetry = Symmetry::symmetric;
  } else if (words[4] == "skew-symmetric") {
    banner.symmetry = Symmetry::skew;
  } else if (words[4] != "general") {
    fail("the symmetry is none of general, symmetric, skew-symmetric");
  }
  return banner;
}

/// The matrix being filled; elements are of T.
template <class T>
class Filler {
 public:
  Filler(NpyArray& array, const Banner& banner)
      : data_(reinterpret_cast<T*>(array.data.data())), columns_(array.shape[1]), banner_(banner) {}

  void set(TextCursor& text, std::uint64_t row, std::uint64_t column, T value) {
    if (value == T{}) return;
    set_one(text, row, column, value);
    if (banner_.symmetry == Symmetry::general || row == column) return;
    if constexpr (std::is_floating_point_v<T>) {
      set_one(text, column, row, banner_.symmetry == Symmetry::skew ? -value : value);
    } else {
      set_one(text, column, row, value);
    }
  }

 private:
  void set_one(const TextCursor& text, std::uint64_t row, std::uint64_t column, T value) {
    T& element = data_[row * columns_ + column];
    if (element != T{}) {
      text.fail(fmt::format("row {}, column {} is there a second time", row + 1, column + 1));
    }
    element = value;
  }

  T* data_;
  std::uint64_t columns_;
  const Banner& banner_;
};

template <class T>
void fill_coordinates(TextCursor& text, const Banner& banner, std::uint64_t entries,
                      NpyArray& array) {
  Filler<T> filler(array, banner);
  const auto index = [&](const char* what, std::uint64_t length) {
    const auto value = text.number<std::uint64_t>(what);
    if (value == 0 || value > length) {
      text.fail(fmt::format("{} {} is not in 1 to {}", what, value, length));
    }
    return value - 1;
  };
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t row = index("row", array.shape[0]);
    const std::uint64_t column = index("column", array.shape[1]);
    if constexpr (std::is_floating_point_v<T>) {
      filler.set(text, row, column, text.number<float>("value"));
    } else {
      filler.set(text, row, column, 1);
    }
  }
}

/// Columns one after the other; of symmetric ones the part from the diagonal on, which a
/// skew-symmetric matrix leaves out.
void fill_array(TextCursor& text, const Banner& banner, NpyArray& array) {
  Filler<float> filler(array, banner);
  for (std::uint64_t column = 0; column < array.shape[1]; ++column) {
    const std::uint64_t first = banner.symmetry == Symmetry::general ? 0
                                : banner.symmetry == Symmetry::skew  ? column + 1
                                                                     : column;
    for (std::uint64_t row = first; row < array.shape[0]; ++row) {
      filler.set(text, row, column, text.number<float>("value"));
    }
  }
}

}  // namespace

Recording read_matrix_market(const ByteSource& source) {
  const std::string content = read_rest(source);
  TextCursor text(content, source.name);
  const Banner banner = read_banner(text.rest_of_line(), source.name);
  while (text.peek() == '%') static_cast<void>(text.rest_of_line());
  NpyArray array;
  array.type = banner.pattern ? NpyType{'u', 1} : NpyType{'f', 4};
  const auto rows = text.number<std::uint64_t>("number of rows");
  const auto columns = text.number<std::uint64_t>("number of columns");
  array.shape = {rows, columns};
  if (banner.symmetry != Symmetry::general && rows != columns) {
    text.fail(fmt::format("a symmetric matrix of {} x {}", rows, columns));
  }
  const auto entries =
      banner.coordinates ? text.number<std::uint64_t>("number of entries") : std::uint64_t{0};
  check_elements(array.shape, content.size(), source.name);
  array.data.resize(rows * columns * array.type.size);
  if (!banner.coordinates) {
    fill_array(text, banner, array);
  } else if (banner.pattern) {
    fill_coordinates<std::uint8_t>(text, banner, entries, array);
  } else {
    fill_coordinates<float>(text, banner, entries, array);
  }
  if (!text.at_end()) text.fail("there is text after the last entry");
  return {source.name, std::move(array)};
}

}  // namespace spiketune
