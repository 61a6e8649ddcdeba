
#include <memory>
#include <string>
#include <vector>

#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/sweep_flags.hpp"

namespace spiketune::cli {
namespace {

constexpr const char* footer =
    "Each candidate runs in a worker process: one that crashes or hangs fails alone. What is\n"
    "finished stays in a journal beside --out, with which --resume goes on after a kill.\n"
    "Problems come from --suite, or from --shape or --file with the flags beside them.\n"
    "Exit codes: 0 all measured; 1 error; 2 wrong usage; 3 a result was wrong or a candidate "
    "failed; "
    "130 interrupted.\n"
    "Examples:\n"
    "  spiketune sweep --suite datasets/suites/quick.json --out report.json --html report.html\n"
    "  spiketune sweep --shape 4096x1024x1024 --timesteps 4 --density 0.01,0.1 --weights f16\n"
    "  spiketune sweep --suite big.json --out part2.json --shard 2/8 --devices all\n"
    "  spiketune sweep --file spikes.npz --n 512 --formats csr,bitmap --configs all";

}  // namespace

void add_sweep(CLI::App& app, const std::vector<std::string>& argv, int& exit_code) {
  CLI::App* command = app.add_subcommand("sweep", "measure formats and kernels on problems");
  auto flags = std::make_shared<SweepFlags>();
  flags->options.argv = argv;
  add_source_flags(*command, *flags);
  add_problem_flags(*command, *flags);
  add_candidate_flags(*command, *flags);
  add_measuring_flags(*command, *flags);
  add_running_flags(*command, *flags);
  add_output_flags(*command, *flags);
  command->footer(footer);
  command->callback([flags, command, &exit_code] {
    exit_code = run_sweep(*flags, options_of(*flags, *command), nullptr);
  });
}

}  // namespace spiketune::cli
