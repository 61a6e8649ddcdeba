// The manual in the language of man(7) (declared in command_tree.hpp).

#include <fmt/format.h>

#include "spiketune/cli/command_tree.hpp"

namespace spiketune::cli {
namespace {

/// Text as roff shows it: no line of it is a request, and dashes can be searched for and copied.
std::string roff(const std::string& text) {
  std::string result;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
    line_begins = c == '\n';
  }
  return result;
}

std::string flag_entry(const FlagDescription& flag) {
  std::string result = ".TP\n";
  for (std::size_t i = 0; i < flag.names.size(); ++i) {
    result += (i > 0 ? ", " : "") + ("\\fB" + roff(flag.names[i]) + "\\fR");
  }
  if (!flag.value.empty()) {
    std::string value = flag.value;
    if (!flag.choices.empty()) {
      value.clear();
      for (const auto& choice : flag.choices) value += (value.empty() ? "" : "|") + choice;
    }
    result += (flag.positional ? " (\\fI" : " \\fI") + roff(value) + "\\fR" +
              (flag.positional ? ")" : "");
  }
  result += "\n" + roff(flag.description.empty() ? "See above." : flag.description);
  if (!flag.default_value.empty()) result += " [default: " + roff(flag.default_value) + "]";
  if (flag.required) result += " (required)";
  return result + "\n";
}

std::string command_section(const CommandDescription& command) {
  std::string result;
  if (command.commands.empty() || command.path.size() > 1) {
    result += ".SS \"" + roff(command.name()) + "\"\n" + roff(command.description) + ".\n";
    for (const auto& flag : command.flags) {
      if (flag.names.front() != "-h") result += flag_entry(flag);
    }
    if (!command.footer.empty()) result += ".PP\n.nf\n" + roff(command.footer) + "\n.fi\n";
  }
  for (const auto& child : command.commands) result += command_section(child);
  return result;
}

}  // namespace

std::string manual_page(const CommandDescription& program, const std::string& version) {
  std::string page = fmt::format(
      ".TH SPIKETUNE 1 \"\" \"spiketune {}\" \"User Commands\"\n.SH NAME\nspiketune \\- find the "
      "fastest representation of sparse spike tensors\n.SH SYNOPSIS\n"
      "\\fBspiketune\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n{}\n",
      roff(version), roff(program.description));
  page += ".SH OPTIONS\n";
  for (const auto& flag : program.flags) page += flag_entry(flag);
  page += ".SH COMMANDS\n";
  for (const auto& command : program.commands) page += command_section(command);
  page +=
      ".SH EXIT STATUS\n.nf\n" + roff(program.footer) +
      "\n.fi\n.SH ENVIRONMENT\n.TP\n\\fBNO_COLOR\\fR\nWhere it is set and not empty, nothing is "
      "written in colour; a file or pipe never is.\n.TP\n\\fBXDG_CACHE_HOME\\fR\nWhere the plan "
      "cache is kept, in the directory spiketune; without it in \\fI~/.cache\\fR.\n";
  return page;
}

}  // namespace spiketune::cli
