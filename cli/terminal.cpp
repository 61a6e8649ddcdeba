#include "spiketune/cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace spiketune::cli {
namespace {

std::string styled(std::string_view style, std::string_view text, int file) {
  if (!use_color(file)) return std::string(text);
  return "\033[" + std::string(style) + "m" + std::string(text) + "\033[0m";
}

}  // namespace

bool is_terminal(int file) {
  const char* term = std::getenv("TERM");
  return isatty(file) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

bool use_color(int file) {
  const char* no_color = std::getenv("NO_COLOR");
  return is_terminal(file) && (no_color == nullptr || *no_color == '\0');
}

int terminal_width(int file, int otherwise) {
  winsize size{};
  const bool known = ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : otherwise;
}

int terminal_width() {
  return terminal_width(STDOUT_FILENO, 100);
}

std::string bold(std::string_view text, int file) {
  return styled("1", text, file);
}

std::string alarming(std::string_view text, int file) {
  return styled("1;31", text, file);
}

std::string with_bold_head(const std::string& table) {
  const auto end = table.find('\n');
  if (end == std::string::npos || end + 1 == table.size()) return table;  // a sentence
  return bold(table.substr(0, end), STDOUT_FILENO) + table.substr(end);
}

}  // namespace spiketune::cli
