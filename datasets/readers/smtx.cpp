#include "spiketune/datasets/readers/smtx.hpp"

#include <fmt/format.h>

#include <vector>

#include "spiketune/datasets/readers/text_cursor.hpp"

namespace spiketune {

Recording read_smtx(const ByteSource& source) {
  const std::string content = read_rest(source);
  TextCursor text(content, source.name);
  const auto rows = text.number<std::uint64_t>("number of rows");
  text.accept_comma();
  const auto columns = text.number<std::uint64_t>("number of columns");
  text.accept_comma();
  const auto nonzeros = text.number<std::uint64_t>("number of nonzeros");
  // Every offset and index takes two characters.
  if (rows > content.size() / 2 || nonzeros > content.size() / 2) {
    text.fail(fmt::format("{} rows and {} nonzeros do not fit a file of {} bytes", rows, nonzeros,
                          content.size()));
  }
  NpyArray array{{'u', 1}, {rows, columns}, false, {}};
  check_elements(array.shape, content.size(), source.name);
  array.data.resize(rows * columns);
  std::vector<std::uint64_t> offsets(rows + 1);
  for (std::uint64_t row = 0; row <= rows; ++row) {
    offsets[row] = text.number<std::uint64_t>("row offset");
    const std::uint64_t least = row == 0 ? 0 : offsets[row - 1];
    const std::uint64_t most = row == 0 ? 0 : nonzeros;
    if (offsets[row] < least || offsets[row] > most) {
      text.fail(
          fmt::format("offset {} of row {} is not in {} to {}", offsets[row], row, least, most));
    }
  }
  if (offsets[rows] != nonzeros) {
    text.fail(fmt::format("the last row ends at {}, not at {} nonzeros", offsets[rows], nonzeros));
  }
  for (std::uint64_t row = 0; row < rows; ++row) {
    for (std::uint64_t i = offsets[row]; i < offsets[row + 1]; ++i) {
      const auto column = text.number<std::uint64_t>("column index");
      if (column >= columns) {
        text.fail(fmt::format("column {} of a matrix of {} columns", column, columns));
      }
      std::byte& element = array.data[row * columns + column];
      if (element != std::byte{0}) {
        text.fail(fmt::format("column {} is in row {} a second time", column, row));
      }
      element = std::byte{1};
    }
  }
  if (!text.at_end()) text.fail("there is text after the last column index");
  return {source.name, std::move(array)};
}

}  // namespace spiketune
