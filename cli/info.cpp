#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/setup.hpp"
#include "spiketune/cli/commands.hpp"

namespace spiketune::cli {
namespace {

using nlohmann::json;

struct InfoFlags {
  std::vector<std::string> plugins;
  bool as_json = false;
};

std::string text_of(const json& value) {
  if (value.is_null()) return "none";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_format(const json& format) {
  std::string marks;
  if (format.at("baseline").get<bool>()) marks += ", baseline";
  if (format.at("lossy").get<bool>()) marks += ", lossy";
  fmt::print("  {} ({}{})\n", text_of(format.at("name")), text_of(format.at("backend")), marks);
  std::string params;
  for (const json& choice : format.at("params")) {
    if (!choice.empty()) params += " " + choice.dump();
  }
  if (!params.empty()) fmt::print("    parameters{}\n", params);
  for (const json& kernel : format.at("kernels")) {
    std::string configs;
    for (const json& config : kernel.at("configs")) {
      if (!config.empty()) configs += " " + config.dump();
    }
    fmt::print("    {}{}\n", text_of(kernel.at("name")), configs);
  }
}

int run(const InfoFlags& flags) {
  const json installation = describe_installation(make_registry(flags.plugins));
  if (flags.as_json) {
    fmt::print("{}\n", installation.dump(2));
    return exit_ok;
  }
  fmt::print("spiketune {} ({})\n", text_of(installation.at("version")),
             text_of(installation.at("git")));
  const json& environment = installation.at("environment");
  fmt::print("\ndevices\n  CPU  {}, {} threads\n  GPU  {}\n", text_of(environment.at("cpu")),
             text_of(environment.at("threads")), text_of(environment.at("gpu")));
  fmt::print("\nlibraries\n");
  for (const auto& [name, version] : environment.at("versions").items()) {
    fmt::print("  {} {}\n", name, text_of(version));
  }
  fmt::print("\nfiles of spikes that are read\n");
  for (const json& reader : installation.at("readers")) {
    if (!reader.at("unavailable").is_null()) continue;
    fmt::print("  {} ({})\n", text_of(reader.at("name")), text_of(reader.at("endings")));
  }
  fmt::print("\nformats, and their kernels with configs (default first)\n");
  for (const json& format : installation.at("formats")) print_format(format);
  if (installation.at("missing").empty()) return exit_ok;
  fmt::print("\nmissing\n");
  for (const json& missing : installation.at("missing")) {
    fmt::print("  {}: {}\n", text_of(missing.at("what")), text_of(missing.at("why")));
  }
  return exit_ok;
}

}  // namespace

void add_info(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("info", "list devices, file kinds, formats, kernels, and what is missing");
  auto flags = std::make_shared<InfoFlags>();
  command->add_option("--plugin", flags->plugins, "shared library with more formats; repeatable");
  command->add_flag("--json", flags->as_json, "as JSON");
  command->footer(
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Example: spiketune info --plugin ./libmine.so");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
