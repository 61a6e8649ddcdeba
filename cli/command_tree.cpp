#include "spiketune/cli/command_tree.hpp"

#include <sstream>
#include <utility>

namespace spiketune::cli {
namespace {

/// "TEXT:{cold,hot}" is TEXT and its choices; "[TEXT:{cold,hot}]" and "TEXT:FILE" are as well.
void split_type(std::string type, FlagDescription& flag) {
  const auto open = type.find('{');
  const auto close = type.find('}', open == std::string::npos ? 0 : open);
  if (open != std::string::npos && close != std::string::npos) {
    std::istringstream choices(type.substr(open + 1, close - open - 1));
    for (std::string choice; std::getline(choices, choice, ',');) flag.choices.push_back(choice);
  }
  const auto end = type.find(':');
  if (end == std::string::npos) {
    flag.value = std::move(type);
  } else {
    const bool file = type.compare(end, 5, ":FILE") == 0;
    flag.value = file ? "FILE" : type.substr(0, end);
  }
}

FlagDescription describe_flag(const CLI::Option& option) {
  FlagDescription flag;
  flag.positional = option.nonpositional() ? false : option.get_positional();
  if (flag.positional) {
    flag.names = {option.get_single_name()};
  } else {
    for (const auto& name : option.get_snames()) flag.names.push_back("-" + name);
    for (const auto& name : option.get_lnames()) flag.names.push_back("--" + name);
  }
  flag.description = option.get_description();
  flag.default_value = option.get_default_str();
  flag.required = option.get_required();
  if (option.get_items_expected_max() > 0) split_type(option.get_type_name(), flag);
  return flag;
}

CommandDescription describe_command(const CLI::App& app, std::vector<std::string> path) {
  CommandDescription command;
  command.description = app.get_description();
  command.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) command.flags.push_back(describe_flag(*option));
  }
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (child->get_group().empty()) continue;
    auto child_path = path;
    child_path.push_back(child->get_name());
    command.commands.push_back(describe_command(*child, std::move(child_path)));
  }
  command.path = std::move(path);
  return command;
}

}  // namespace

std::string CommandDescription::name() const {
  std::string result;
  for (const auto& word : path) result += (result.empty() ? "" : " ") + word;
  return result;
}

CommandDescription describe(const CLI::App& app) {
  return describe_command(app, {});
}

}  // namespace spiketune::cli
