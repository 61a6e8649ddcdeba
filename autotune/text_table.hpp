#pragma once
/// \file
/// Tables of a terminal and of Markdown, shared by what prints reports and comparisons.

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace spiketune {

using TableRow = std::vector<std::string>;

/// Terminal columns of UTF-8 text without wide or combining characters, which is all we print.
[[nodiscard]] std::size_t text_columns(const std::string& utf8);

/// How wide a table is whose cells are not cut.
[[nodiscard]] std::size_t uncut_columns(const std::vector<TableRow>& rows);

/// Plain text: `rows` has the head first, all rows as long as it. The columns named in
/// `left` run left to right, the others are aligned to the right. Where the whole is wider
/// than `width` columns, the widest of those gives way, down to 10: its cells lose their middle.
/// Control characters become question marks. Empty for no rows.
[[nodiscard]] std::string render_text_table(const std::vector<TableRow>& rows,
                                            const std::set<std::size_t>& left, std::size_t width);

/// Text that Markdown shows as it is, on one line, also inside a table.
[[nodiscard]] std::string escape_markdown(const std::string& input);

/// "| a | b |" with escaped cells and a line's end.
[[nodiscard]] std::string markdown_row(const TableRow& cells);

}  // namespace spiketune
