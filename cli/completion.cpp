#include <fmt/format.h>

#include <memory>
#include <string>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/cli/command_tree.hpp"
#include "spiketune/cli/commands.hpp"

namespace spiketune::cli {

void add_completion(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("completion", "print the script that completes words in a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "An installed spiketune completes by itself; for one that is not:\n"
      "  bash: source <(spiketune completion bash)\n"
      "  zsh:  source <(spiketune completion zsh)\n"
      "  fish: spiketune completion fish | source");
  command->callback([&app, shell, &exit_code] {
    fmt::print("{}", completion_script(describe(app), *shell));
    exit_code = exit_ok;
  });
}

void add_manual(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("manual", "print the manual page, for man(1)");
  command->group("");  // the build's, which installs it
  command->callback([&app, &exit_code] {
    fmt::print("{}", manual_page(describe(app), build_version()));
    exit_code = exit_ok;
  });
}

}  // namespace spiketune::cli
