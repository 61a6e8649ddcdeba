#include "spiketune/autotune/sweep.hpp"

#include <fmt/format.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/report_page.hpp"
#include "spiketune/autotune/setup.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/interrupt.hpp"
#include "spiketune/cli/progress.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {
namespace {

constexpr const char* footer =
    "Problems come from --suite, or from --shape or --file with the flags beside them.\n"
    "Exit codes: 0 all measured; 1 error; 2 wrong usage; 3 a result was wrong or a candidate "
    "failed; "
    "130 interrupted.\n"
    "Examples:\n"
    "  spiketune sweep --suite datasets/suites/quick.json --out report.json --html report.html\n"
    "  spiketune sweep --shape 4096x1024x1024 --timesteps 4 --density 0.01,0.1 --weights f16\n"
    "  spiketune sweep --file spikes.npz --n 512 --formats csr,bitmap --configs all";

/// The flags as they were given; names are parsed when the sweep starts.
struct SweepFlags {
  std::string suite;
  std::vector<std::string> shapes;
  SuiteEntry entry;
  std::vector<double> densities{0.01, 0.05, 0.2};
  std::string pattern_params;
  std::string input = "u8";
  std::string value = "binary";
  std::vector<std::string> weights{"f32"};
  std::string output = "f32";
  std::string row_order = "time-major";

  std::string backend = "auto";
  int device = 0;
  int threads = 0;
  std::vector<std::string> plugins;
  std::string configs = "default";
  std::string config;
  std::vector<std::string> modes{"cold", "hot"};
  double budget = 0;
  SweepOptions options;

  std::string out;
  std::string html;
  bool quiet = false;
};

void add_source_flags(CLI::App& command, SweepFlags& flags) {
  const auto in_group = [](CLI::Option* option) { return option->group("Problems"); };
  in_group(command.add_option("--suite", flags.suite, "JSON file of problems"));
  in_group(command.add_option("--shape", flags.shapes, "M x K x N as in 4096x1024x512; repeatable"))
      ->delimiter(',');
  in_group(command.add_option("--file", flags.entry.file, "spikes from a .npy or .npz instead"));
  in_group(command.add_option("--n", flags.entry.n, "columns of W, where --file has no weights"))
      ->delimiter(',');
  in_group(command.add_option("--images", flags.entry.images, "of a recorded layer (0: all)"));
  in_group(command.add_option("--tile", flags.entry.tile, "times to repeat the rows of --file"));
}

void add_problem_flags(CLI::App& command, SweepFlags& flags) {
  Problem& base = flags.entry.base;
  const auto own = [](CLI::Option* option) {
    option->group("Problems")->capture_default_str();
    return option;
  };
  own(command.add_option("--density", flags.densities, "shares of nonzeros"))->delimiter(',');
  own(command.add_option("--timesteps", base.timesteps, "T; M = T x rows"));
  own(command.add_option("--pattern", base.pattern,
                         "bernoulli, channel_rates, temporal, silent, block, column_vector or "
                         "power_law_rows"));
  own(command.add_option("--pattern-params", flags.pattern_params,
                         "of the pattern, as JSON: {\"persistence\": 0.8}"));
  own(command.add_option("--workload", base.workload, "a name for the report"));
  own(command.add_option("--input", flags.input, "storage of the spikes: bit u2 u8 f16 bf16 f32"));
  own(command.add_option("--value", flags.value, "binary, graded2 or graded"));
  own(command.add_option("--weights", flags.weights, "types of W: f32 f16 bf16"))->delimiter(',');
  own(command.add_option("--output-type", flags.output, "type of Y: f32, or that of W"));
  own(command.add_option("--row-order", flags.row_order, "time-major or token-major"));
  own(command.add_option("--amortise", base.amortise, "products that reuse one encoding"));
}

void add_candidate_flags(CLI::App& command, SweepFlags& flags) {
  Selection& selection = flags.options.selection;
  const auto in_group = [](CLI::Option* option) { return option->group("Candidates"); };
  in_group(command.add_option("--formats", selection.formats, "only these (wildcards * and ?)"))
      ->delimiter(',');
  in_group(command.add_option("--kernels", selection.kernels, "only these (wildcards * and ?)"))
      ->delimiter(',');
  in_group(command.add_option("--configs", flags.configs, "default: each kernel's first; or all"))
      ->check(CLI::IsMember({"default", "all"}))
      ->capture_default_str();
  in_group(command.add_option("--config", flags.config, "only configs with these JSON fields"));
  in_group(command.add_flag("--baselines,!--no-baselines", selection.baselines,
                            "measure other libraries too (default)"));
  in_group(command.add_flag("--encode-only", selection.encode_only, "no products"));
  in_group(command.add_option("--plugin", flags.plugins, "shared library of formats; repeatable"));
  in_group(command.add_option("--backend", flags.backend, "auto: CUDA where there is a device"))
      ->check(CLI::IsMember({"host", "cuda", "auto"}))
      ->capture_default_str();
  in_group(command.add_option("--device", flags.device, "CUDA device"))->capture_default_str();
  in_group(command.add_option("--threads", flags.threads, "of the host backend (0: all)"))
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_measuring_flags(CLI::App& command, SweepFlags& flags) {
  SweepOptions& options = flags.options;
  const auto in_group = [](CLI::Option* option) { return option->group("Measurement"); };
  in_group(command.add_option("--modes", flags.modes, "cold (caches flushed), hot, or both"))
      ->delimiter(',')
      ->check(CLI::IsMember({"cold", "hot"}))
      ->capture_default_str();
  in_group(command.add_option("--max-samples", options.max_samples, "of one measurement"))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  in_group(command.add_option("--max-seconds-per-candidate", options.max_seconds_per_candidate,
                              "for all measurements of a candidate together"))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  in_group(command.add_option("--budget", flags.budget, "seconds for all candidates together"))
      ->check(CLI::PositiveNumber);
  in_group(command.add_option("--seed", options.seed, "of spikes and weights"))
      ->capture_default_str();
}

void add_output_flags(CLI::App& command, SweepFlags& flags) {
  const auto in_group = [](CLI::Option* option) { return option->group("Output"); };
  in_group(command.add_option("--out", flags.out, "write the report (JSON) here"));
  in_group(command.add_option("--html", flags.html, "write the report's page here"));
  in_group(command.add_flag("--quiet", flags.quiet, "no progress and no table"));
}

nlohmann::json parse_object(const std::string& text, const char* flag) {
  const auto object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) {
    throw CLI::ValidationError(flag, "'" + text + "' is not a JSON object");
  }
  return object;
}

/// A suite, shapes and a file exclude each other, and each has its own flags.
void check_sources(const SweepFlags& flags, const CLI::App& command) {
  const int sources = !flags.suite.empty() + !flags.shapes.empty() + !flags.entry.file.empty();
  if (sources != 1) {
    throw CLI::ValidationError("give one of --suite FILE, --shape MxKxN and --file FILE");
  }
  const auto reject = [&](std::initializer_list<const char*> names, const char* with) {
    for (const char* name : names) {
      if (command.count(name) > 0) {
        throw CLI::ValidationError(std::string(name) + " does not go with " + with);
      }
    }
  };
  if (flags.entry.file.empty()) reject({"--n", "--images", "--tile"}, "--suite or --shape");
  if (!flags.entry.file.empty()) reject({"--density", "--pattern", "--pattern-params"}, "--file");
  if (!flags.suite.empty()) {
    reject({"--density", "--timesteps", "--pattern", "--pattern-params", "--workload", "--input",
            "--value", "--weights", "--output-type", "--row-order", "--amortise"},
           "--suite, which says it itself");
  }
}

/// The one entry that the flags describe.
SuiteEntry entry_of(const SweepFlags& flags) {
  SuiteEntry entry = flags.entry;
  for (const std::string& shape : flags.shapes) entry.shapes.push_back(parse_product_shape(shape));
  if (entry.file.empty()) entry.densities = flags.densities;
  if (!flags.pattern_params.empty()) {
    entry.base.pattern_params = parse_object(flags.pattern_params, "--pattern-params");
  }
  entry.base.input = parse_dtype(flags.input);
  entry.base.value = parse_value_kind(flags.value);
  entry.base.row_order = parse_row_order(flags.row_order);
  entry.base.output = parse_dtype(flags.output);
  for (const std::string& weights : flags.weights) entry.weights.push_back(parse_dtype(weights));
  return entry;
}

/// What the command of each point repeats.
std::string shared_options(const SweepFlags& flags, const std::string& backend) {
  std::string text = "--backend " + backend;
  if (backend == HostContext::name && flags.threads > 0) {
    text += " --threads " + std::to_string(flags.threads);
  }
  if (backend != HostContext::name && flags.device != 0) {
    text += " --device " + std::to_string(flags.device);
  }
  for (const std::string& plugin : flags.plugins) text += " --plugin " + shell_quote(plugin);
  return text;
}

/// Flags over suite over defaults.
SweepOptions options_of(const SweepFlags& flags, const CLI::App& command) {
  check_sources(flags, command);
  SweepOptions options = flags.options;
  if (flags.suite.empty()) {
    options.entries = {entry_of(flags)};
  } else {
    Suite suite = read_suite(flags.suite);
    options.entries = std::move(suite.entries);
    if (suite.max_samples && command.count("--max-samples") == 0) {
      options.max_samples = *suite.max_samples;
    }
    if (suite.max_seconds_per_candidate && command.count("--max-seconds-per-candidate") == 0) {
      options.max_seconds_per_candidate = *suite.max_seconds_per_candidate;
    }
  }
  options.selection.all_configs = flags.configs == "all";
  if (!flags.config.empty()) options.selection.config = parse_object(flags.config, "--config");
  if (flags.budget > 0) options.budget_seconds = flags.budget;
  options.modes.clear();
  for (const TimingMode mode : {TimingMode::cold, TimingMode::hot}) {
    for (const std::string& name : flags.modes) {
      if (name == to_string(mode)) {
        options.modes.push_back(mode);
        break;
      }
    }
  }
  return options;
}

int run(const SweepFlags& flags, SweepOptions options) {
  const Registry registry = make_registry(flags.plugins);
  const auto backend = open_backend(flags.backend, flags.device, flags.threads);
  options.command_options = shared_options(flags, backend->name());
  // A build that cannot make pages should say so before the sweep, not after it.
  if (!flags.html.empty()) static_cast<void>(render_html(empty_report({}, nullptr)));
  catch_interrupts();
  ProgressPrinter printer(flags.quiet);
  SweepCallbacks callbacks;
  callbacks.interrupted = interrupted;
  callbacks.progress = [&](const SweepProgress& progress) { printer.show(progress); };
  callbacks.problem_done = [&](const nlohmann::json& points, const SweepProgress& progress) {
    printer.problem_done(points, progress);
  };
  callbacks.save = [&](const nlohmann::json& report) {
    if (!flags.out.empty()) write_file(flags.out, report_text(report));
  };
  const nlohmann::json report = run_sweep(*backend, registry, options, callbacks);
  printer.clear();
  if (!flags.quiet) fmt::print("{}", render_table(report, terminal_width()));
  if (!flags.html.empty()) write_file(flags.html, render_html(report));
  for (const std::string& path : {flags.out, flags.html}) {
    if (!path.empty() && !flags.quiet) fmt::print("wrote {}\n", path);
  }
  if (interrupted()) return exit_interrupted;
  const bool bad = count_points(report, "wrong") + count_points(report, "failed") > 0;
  return bad ? exit_bad_result : exit_ok;
}

}  // namespace

void add_sweep(CLI::App& app, const std::vector<std::string>& argv, int& exit_code) {
  CLI::App* command = app.add_subcommand("sweep", "measure formats and kernels on problems");
  auto flags = std::make_shared<SweepFlags>();
  flags->options.argv = argv;
  add_source_flags(*command, *flags);
  add_problem_flags(*command, *flags);
  add_candidate_flags(*command, *flags);
  add_measuring_flags(*command, *flags);
  add_output_flags(*command, *flags);
  command->footer(footer);
  command->callback(
      [flags, command, &exit_code] { exit_code = run(*flags, options_of(*flags, *command)); });
}

}  // namespace spiketune::cli
