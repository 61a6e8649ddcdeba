#include "spiketune/autotune/text_table.hpp"

#include <algorithm>
#include <numeric>

namespace spiketune {
namespace {

/// The text cut to `width` columns, an ellipsis in place of its middle: both ends tell names apart.
std::string shorten(const std::string& input, std::size_t width) {
  const std::size_t length = text_columns(input);
  if (length <= width || width < 2) return input;
  const std::size_t head = (width - 1) / 2;
  const std::size_t tail = width - 1 - head;
  std::string result;
  std::size_t column = 0;
  for (std::size_t i = 0; i < input.size();) {
    std::size_t next = i + 1;
    while (next < input.size() && (static_cast<unsigned char>(input[next]) & 0xC0U) == 0x80U) {
      ++next;
    }
    if (column < head || column >= length - tail) result += input.substr(i, next - i);
    if (column == head) result += "…";
    ++column;
    i = next;
  }
  return result;
}

std::string pad(const std::string& input, std::size_t width, bool right) {
  const std::size_t length = text_columns(input);
  const std::string blanks(width > length ? width - length : 0, ' ');
  return right ? blanks + input : input + blanks;
}

/// Terminals obey control characters, and names come from files.
TableRow printable(TableRow row) {
  for (std::string& cell : row) {
    for (char& c : cell) {
      const auto code = static_cast<unsigned char>(c);
      if (code < 0x20U || code == 0x7fU) c = '?';
    }
  }
  return row;
}

std::vector<std::size_t> uncut_widths(const std::vector<TableRow>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], text_columns(row[i]));
    }
  }
  return widths;
}

std::size_t sum_of(const std::vector<std::size_t>& widths) {
  return std::accumulate(widths.begin(), widths.end(), 2 * (widths.size() - 1));
}

std::vector<std::size_t> column_widths(const std::vector<TableRow>& rows,
                                       const std::set<std::size_t>& left, std::size_t width) {
  std::vector<std::size_t> widths = uncut_widths(rows);
  std::size_t total = sum_of(widths);
  constexpr std::size_t kLeast = 10;
  while (total > width && !left.empty()) {
    const std::size_t widest =
        *std::max_element(left.begin(), left.end(),
                          [&](std::size_t a, std::size_t b) { return widths[a] < widths[b]; });
    if (widths[widest] <= kLeast) break;
    --widths[widest];
    --total;
  }
  return widths;
}

std::string table_line(const TableRow& row, const std::set<std::size_t>& left,
                       const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool is_text = left.contains(i);
    if (i > 0) line += "  ";
    line += pad(is_text ? shorten(row[i], widths[i]) : row[i], widths[i], !is_text);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

std::string rule_line(const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t column = 0; column < sum_of(widths); ++column) line += "─";
  return line + "\n";
}

}  // namespace

std::size_t text_columns(const std::string& utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::size_t uncut_columns(const std::vector<TableRow>& rows) {
  return rows.empty() ? 0 : sum_of(uncut_widths(rows));
}

std::string render_text_table(const std::vector<TableRow>& rows, const std::set<std::size_t>& left,
                              std::size_t width) {
  if (rows.empty()) return "";
  std::vector<TableRow> shown;
  shown.reserve(rows.size());
  for (const TableRow& row : rows) shown.push_back(printable(row));
  const auto widths = column_widths(shown, left, width);
  std::string result = table_line(shown.front(), left, widths) + rule_line(widths);
  for (std::size_t i = 1; i < shown.size(); ++i) {
    result += table_line(shown[i], left, widths);
  }
  return result;
}

std::string escape_markdown(const std::string& input) {
  std::string result;
  for (const char c : input) {
    switch (c) {
      case '\n':
      case '\r':
        result += ' ';
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '\\':
      case '|':
      case '*':
      case '`':
      case '[':
      case ']':
        result += '\\';
        [[fallthrough]];
      default:
        result += c;
    }
  }
  return result;
}

std::string markdown_row(const TableRow& cells) {
  std::string line = "|";
  for (const auto& cell : cells) line += " " + escape_markdown(cell) + " |";
  return line + "\n";
}

}  // namespace spiketune
