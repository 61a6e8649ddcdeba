#pragma once
/// \file
/// What may be written to whoever reads: a terminal or a file.

#include <string>
#include <string_view>

namespace spiketune::cli {

/// True for a terminal that understands more than lines (TERM is not "dumb").
[[nodiscard]] bool is_terminal(int file);

/// True on a terminal, unless NO_COLOR is set and not empty (https://no-color.org).
[[nodiscard]] bool use_color(int file);

/// Columns of the terminal on standard output; 100 where it is none.
[[nodiscard]] int terminal_width();
/// Those of another file, or `otherwise`.
[[nodiscard]] int terminal_width(int file, int otherwise);

/// The text in bold, or in bold red, where use_color(file); the text elsewhere.
[[nodiscard]] std::string bold(std::string_view text, int file);
[[nodiscard]] std::string alarming(std::string_view text, int file);

/// A table of render_text_table() for standard output: its head in bold.
[[nodiscard]] std::string with_bold_head(const std::string& table);

}  // namespace spiketune::cli
