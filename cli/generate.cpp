#include "spiketune/datasets/generate.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "spiketune/autotune/inputs.hpp"
#include "spiketune/autotune/suite.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/datasets/load.hpp"

namespace spiketune::cli {
namespace {

struct GenerateFlags {
  std::string out;
  std::string shape;
  Problem problem;
  std::string params;
  std::string value = "binary";
  std::string storage = "u8";
  std::string row_order = "time-major";
  std::uint64_t seed = 1;
};

/// "1024x512" as M and K of the problem.
void set_shape(Problem& problem, const std::string& text) {
  const ProductShape shape = parse_product_shape(text + "x1");
  require(problem.timesteps > 0 && shape.m % problem.timesteps == 0, ErrorCode::invalid_argument,
          "M must be a multiple of the timesteps");
  problem.rows = shape.m / problem.timesteps;
  problem.k = shape.k;
  problem.n = shape.n;
}

int run(GenerateFlags flags) {
  Problem& problem = flags.problem;
  set_shape(problem, flags.shape);
  problem.value = parse_value_kind(flags.value);
  problem.input = parse_dtype(flags.storage);
  problem.row_order = parse_row_order(flags.row_order);
  if (!flags.params.empty()) {
    problem.pattern_params = nlohmann::json::parse(flags.params, nullptr, false);
    require(problem.pattern_params.is_object(), ErrorCode::parse,
            "--pattern-params is not a JSON object");
  }
  check_problem(problem);
  SpikeTensor spikes(HostContext{}, problem.shape(), problem.input, problem.value,
                     problem.row_order);
  generate(HostContext{}, pattern_of(problem, flags.seed), spikes.mutable_view());
  save_spikes(flags.out, spikes.view());
  fmt::print("wrote {}: [{}, {}, {}], {} spikes\n", flags.out, problem.timesteps, problem.rows,
             problem.k, count_nonzeros(spikes.view()));
  return exit_ok;
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("generate", "write synthetic spikes to a .npy or .npz");
  auto flags = std::make_shared<GenerateFlags>();
  flags->problem.density = 0.05;
  const auto shown = [](CLI::Option* option) { option->capture_default_str(); };
  command->add_option("--out", flags->out, "file to write, [T, rows, K]")->required();
  command->add_option("--shape", flags->shape, "M x K as in 4096x1024")->required();
  shown(command->add_option("--timesteps", flags->problem.timesteps, "T; M = T x rows"));
  shown(command->add_option("--density", flags->problem.density, "share of nonzeros"));
  shown(command->add_option("--pattern", flags->problem.pattern,
                            "bernoulli, channel_rates, temporal, silent, block, column_vector, "
                            "power_law_rows or layer"));
  command->add_option("--pattern-params", flags->params,
                      "of the pattern, as JSON: {\"persistence\": 0.8}");
  shown(command->add_option("--value", flags->value, "binary, graded2 or graded"));
  shown(command->add_option("--input", flags->storage, "storage: bit u2 u8 f16 bf16 f32"));
  shown(command->add_option("--row-order", flags->row_order, "time-major or token-major"));
  shown(command->add_option("--seed", flags->seed, "the same seed gives the same spikes anywhere"));
  command->footer(
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Example: spiketune generate --out spikes.npz --shape 4096x1024 --timesteps 4 "
      "--pattern temporal --density 0.05");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
