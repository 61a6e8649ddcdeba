#pragma once
/// \file
/// The program's commands and flags as data, read from its parser: completions and the manual are
/// made from them and cannot disagree with --help.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace spiketune::cli {

struct FlagDescription {
  std::vector<std::string> names;  ///< "--out", "-h"; of a positional its one name without dashes
  std::string description;
  std::string value;                 ///< what follows, for people: "TEXT"; empty for a switch
  std::vector<std::string> choices;  ///< the values there are; empty where any may be given
  std::string default_value;
  bool positional = false;
  bool required = false;
};

struct CommandDescription {
  std::vector<std::string> path;  ///< {"cache", "import"}; empty for the program
  std::string description;
  std::string footer;
  std::vector<FlagDescription> flags;
  std::vector<CommandDescription> commands;

  /// "cache import"
  [[nodiscard]] std::string name() const;
};

/// Hidden commands and flags are left out.
[[nodiscard]] CommandDescription describe(const CLI::App& app);

/// The script that completes the program's words in "bash", "zsh" or "fish".
[[nodiscard]] std::string completion_script(const CommandDescription& program,
                                            const std::string& shell);

/// A page for man(1), in section 1.
[[nodiscard]] std::string manual_page(const CommandDescription& program,
                                      const std::string& version);

}  // namespace spiketune::cli
