#include "spiketune/datasets/inspect.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/format_sizes.hpp"
#include "spiketune/autotune/imitating_suite.hpp"
#include "spiketune/autotune/problem.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/setup.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/load_flags.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {
namespace {

using nlohmann::json;

struct InspectFlags {
  LoadFlags load;
  std::string weights = "f16";
  bool as_json = false;
  std::string workload;
  std::uint32_t n = 0;
};

json to_json(const Distribution& values) {
  return {{"min", values.min}, {"mean", values.mean},     {"p05", values.p05},
          {"p25", values.p25}, {"median", values.median}, {"p75", values.p75},
          {"p95", values.p95}, {"max", values.max}};
}

json to_json(const SpikeView& spikes, const std::string& how, const SpikeStatistics& found,
             const std::vector<FormatSize>& sizes) {
  json unions = json::object();
  for (std::size_t i = 0; i < found.union_density.size(); ++i) {
    unions[std::to_string(SpikeStatistics::union_rows[i])] = found.union_density[i];
  }
  json empty = json::object();
  for (std::size_t i = 0; i < found.empty_blocks.size(); ++i) {
    empty[std::to_string(SpikeStatistics::block_sizes[i])] = found.empty_blocks[i];
  }
  json formats = json::array();
  for (const FormatSize& size : sizes) {
    const bool known = size.why_missing.empty();
    formats.push_back({{"format", size.format},
                       {"params", size.params},
                       {"bytes", known ? json(size.bytes) : json(nullptr)},
                       {"reason", known ? json(nullptr) : json(size.why_missing)}});
  }
  return {{"timesteps", spikes.shape.timesteps},
          {"rows", spikes.shape.rows},
          {"k", spikes.shape.k},
          {"row_order", std::string(to_string(spikes.row_order))},
          {"events", how.empty() ? json(nullptr) : json(how)},
          {"nnz", found.nnz},
          {"density", found.density},
          {"row_rates", to_json(found.row_rates)},
          {"channel_rates", to_json(found.channel_rates)},
          {"channel_deviation", found.channel_deviation},
          {"silent_channels", found.silent_channels},
          {"silent_neurons", found.silent_neurons},
          {"persistence", found.persistence ? json(*found.persistence) : json(nullptr)},
          {"union_density", unions},
          {"groups_fit_two_four", found.groups_fit_two_four},
          {"spikes_over_two_four", found.spikes_over_two_four},
          {"empty_blocks", empty},
          {"formats", formats}};
}

void print_rates(const char* name, const Distribution& rates) {
  fmt::print("{:<22}mean {}, median {}, 5 % to 95 % {} to {}, largest {}\n", name,
             percent(rates.mean), percent(rates.median), percent(rates.p05), percent(rates.p95),
             percent(rates.max));
}

void print_text(const SpikeView& spikes, const std::string& how, const SpikeStatistics& found,
                const std::vector<FormatSize>& sizes) {
  const SpikeShape& shape = spikes.shape;
  if (!how.empty()) fmt::print("{:<22}{}\n", "events", how);
  fmt::print("{:<22}T = {}, rows = {}, K = {} ({})\n", "shape", shape.timesteps, shape.rows,
             shape.k, to_string(spikes.row_order));
  fmt::print("{:<22}{}, {} spikes\n", "density", percent(found.density), found.nnz);
  print_rates("rows", found.row_rates);
  print_rates("channels", found.channel_rates);
  fmt::print("{:<22}{} of channels, {} of neurons\n", "silent", percent(found.silent_channels),
             percent(found.silent_neurons));
  if (found.persistence) {
    fmt::print("{:<22}P(spike | spike before) {}, by chance {}\n", "temporal correlation",
               percent(*found.persistence), percent(found.persistence_by_chance));
  }
  std::string unions;
  for (std::size_t i = 0; i < found.union_density.size(); ++i) {
    unions += fmt::format("{}{} rows {}", i == 0 ? "" : ", ", SpikeStatistics::union_rows[i],
                          percent(found.union_density[i]));
  }
  fmt::print("{:<22}{}\n", "density of unions of", unions);
  fmt::print("{:<22}{} of groups of four, {} of spikes do not\n", "fit 2:4",
             percent(found.groups_fit_two_four), percent(found.spikes_over_two_four));
  std::string empty;
  for (std::size_t i = 0; i < found.empty_blocks.size(); ++i) {
    empty += fmt::format("{}{}x{} {}", i == 0 ? "" : ", ", SpikeStatistics::block_sizes[i],
                         SpikeStatistics::block_sizes[i], percent(found.empty_blocks[i]));
  }
  fmt::print("{:<22}{}\n", "empty blocks", empty);
  fmt::print("\nbytes by format (the input: {})\n", spikes.bytes());
  for (const FormatSize& size : sizes) {
    const std::string params = size.params.empty() ? "" : size.params.dump();
    if (size.why_missing.empty()) {
      fmt::print("  {:<12}{:>14}  {}\n", size.format, size.bytes, params);
    } else {
      fmt::print("  {:<12}{:>14}  {} {}\n", size.format, "-", params, size.why_missing);
    }
  }
}

void write_workload(const InspectFlags& flags, const Trace& trace, const SpikeStatistics& found) {
  const std::uint32_t n = flags.n > 0 ? flags.n : trace.n;
  require(n > 0, ErrorCode::invalid_argument,
          "the file has no weights, so --as-workload needs --n, the columns of W");
  write_file(
      flags.workload,
      imitating_suite(trace.spikes.view(), found, n, parse_dtype(flags.weights)).dump(2) + "\n");
}

int run(const InspectFlags& flags) {
  const Trace trace = load(flags.load);
  const SpikeView spikes = trace.spikes.view();
  const SpikeStatistics found = inspect(HostContext{}, spikes);
  if (!flags.workload.empty()) write_workload(flags, trace, found);
  const auto sizes = format_sizes(HostContext{}, make_registry(), spikes, spikes.row_order,
                                  found.density, parse_dtype(flags.weights));
  if (flags.as_json) {
    fmt::print("{}\n", to_json(spikes, trace.how, found, sizes).dump(2));
  } else {
    print_text(spikes, trace.how, found, sizes);
  }
  return exit_ok;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "inspect", "what spikes look like: rates, correlation, unions, 2:4, blocks, bytes by format");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("--weights", flags->weights, "type of W, which dense matrices have")
      ->capture_default_str();
  command->add_flag("--json", flags->as_json, "as JSON");
  command->add_option("--as-workload", flags->workload,
                      "write a suite of generated spikes that look like these");
  command->add_option("--n", flags->n, "columns of W in that suite (default: as recorded)");
  add_load_flags(*command, flags->load);
  command->footer(
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Examples:\n"
      "  spiketune inspect spikes.npz --row-order token-major\n"
      "  spiketune inspect private.npz --as-workload like_private.json --n 512\n"

      "  spiketune inspect recording.aedat4 --steps 16 --downsample 4");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
