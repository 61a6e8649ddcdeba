#include <memory>
#include <string>
#include <vector>

#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/sweep_flags.hpp"
#include "spiketune/cli/validators.hpp"

namespace spiketune::cli {
namespace {

constexpr const char* footer =
    "Tries all formats, kernels and configs and finds the fastest encode + compute of each "
    "problem.\n"
    "One candidate of each encoding is tried first; encodings that memory alone makes too slow "
    "are\n"
    "given up; of the rest the fastest third stays, again and again, and a few are measured in "
    "full.\n"
    "The report says for each candidate how far it came and why it left.\n"
    "Exit codes: 0 done; 1 error; 2 wrong usage; 3 a result was wrong or a candidate failed; "
    "130 interrupted.\n"
    "Examples:\n"
    "  spiketune tune --shape 4096x1024x1024 --density 0.05 --weights f16 --out tuned.json\n"
    "  spiketune tune --suite datasets/suites/quick.json --points 20 --budget 600\n"
    "  spiketune tune --replay results/h200/foundation.json --no-baselines";

}  // namespace

void add_tune(CLI::App& app, const std::vector<std::string>& argv, int& exit_code) {
  CLI::App* command = app.add_subcommand("tune", "find the fastest format, kernel and config");
  auto flags = std::make_shared<SweepFlags>();
  auto search = std::make_shared<SearchOptions>();
  flags->options.argv = argv;
  flags->configs = "all";
  add_source_flags(*command, *flags);
  add_problem_flags(*command, *flags);
  add_candidate_flags(*command, *flags);
  const auto in_group = [](CLI::Option* option) { return option->group("Search"); };
  in_group(
      command->add_flag("--exhaustive", search->exhaustive, "measure every candidate in full"));
  in_group(command->add_option("--points", search->points,
                               "candidates tried on each problem at most (0: all)"))
      ->capture_default_str();
  in_group(command->add_option("--finalists", search->finalists, "measured in full at least"))
      ->check(positive())
      ->capture_default_str();
  in_group(command->add_option("--first-samples", search->first_samples, "in the first round"))
      ->check(positive())
      ->capture_default_str();
  add_measuring_flags(*command, *flags);
  add_running_flags(*command, *flags);
  add_output_flags(*command, *flags);
  command->footer(footer);
  command->callback([flags, search, command, &exit_code] {
    exit_code = run_sweep(*flags, options_of(*flags, *command), search.get());
  });
}

}  // namespace spiketune::cli
