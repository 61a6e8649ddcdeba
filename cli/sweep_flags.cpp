#include "spiketune/cli/sweep_flags.hpp"
#include "spiketune/cli/load_flags.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <initializer_list>
#include <utility>

#include "spiketune/autotune/replay.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/report_page.hpp"
#include "spiketune/autotune/setup.hpp"
#include "spiketune/autotune/shard.hpp"
#include "spiketune/autotune/worker.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/interrupt.hpp"
#include "spiketune/cli/progress.hpp"
#include "spiketune/cli/read_report.hpp"
#include "spiketune/cli/terminal.hpp"
#include "spiketune/cli/validators.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {
namespace {

nlohmann::json parse_object(const std::string& text, const char* flag) {
  const auto object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) {
    throw CLI::ValidationError(flag, "'" + text + "' is not a JSON object");
  }
  return object;
}

/// A suite, shapes and a file exclude each other, and each has its own flags.
void check_sources(const SweepFlags& flags, const CLI::App& command) {
  const int sources = !flags.suite.empty() + !flags.shapes.empty() + !flags.entry.file.empty() +
                      !flags.replay.empty();
  if (sources != 1) {
    throw CLI::ValidationError(
        "give one of --suite FILE, --shape MxKxN, --file FILE and --replay FILE");
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
  if (!flags.suite.empty() || !flags.replay.empty()) {
    reject({"--density", "--timesteps", "--pattern", "--pattern-params", "--workload", "--input",
            "--value", "--weights", "--output-type", "--row-order", "--amortise"},
           "--suite or --replay, which say it themselves");
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
  if (backend != HostContext::name && flags.devices != std::vector<std::string>{"0"}) {
    text += " --devices " + flags.devices.front();
  }
  for (const std::string& plugin : flags.plugins) text += " --plugin " + shell_quote(plugin);
  return text;
}

}  // namespace

void add_source_flags(CLI::App& command, SweepFlags& flags) {
  const auto in_group = [](CLI::Option* option) { return option->group("Problems"); };
  in_group(command.add_option("--suite", flags.suite, "JSON file of problems"));
  in_group(command.add_option("--shape", flags.shapes, "M x K x N as in 4096x1024x512; repeatable"))
      ->delimiter(',');
  in_group(command.add_option("--replay", flags.replay,
                              "a report: measure what it recorded again, without its device"))
      ->check(CLI::ExistingFile);
  in_group(
      command.add_option("--file", flags.entry.file, "recorded spikes instead (docs/data.md)"));
  in_group(command.add_option("--n", flags.entry.n, "columns of W, where --file has no weights"))
      ->delimiter(',');
  in_group(
      command.add_option("--images", flags.entry.images, "of a recording of several (0: all)"));
  in_group(command.add_option("--tile", flags.entry.tile, "times to repeat the rows of --file"));
  add_event_flags(command, flags.entry.events);
}

void add_problem_flags(CLI::App& command, SweepFlags& flags) {
  Problem& base = flags.entry.base;
  const auto own = [](CLI::Option* option) {
    option->group("Problems")->capture_default_str();
    return option;
  };
  own(command.add_option("--density", flags.densities, "shares of nonzeros"))
      ->delimiter(',')
      ->check(not_negative());
  own(command.add_option("--timesteps", base.timesteps, "T; M = T x rows"));
  own(command.add_option(
      "--pattern", base.pattern,
      "bernoulli, channel_rates, temporal, silent, block, column_vector, layer or "
      "power_law_rows"));
  own(command.add_option("--pattern-params", flags.pattern_params,
                         "of the pattern, as JSON: {\"persistence\": 0.8}"));
  own(command.add_option("--workload", base.workload, "a name for the report"));
  own(command.add_option("--input", flags.input, "storage of the spikes: bit u2 u8 f16 bf16 f32"));
  own(command.add_option("--value", flags.value, "binary, graded2 or graded"));
  own(command.add_option("--weights", flags.weights, "types of W: f32 f16 bf16 s8 s4 e4m3"))
      ->delimiter(',');
  own(command.add_option("--output-type", flags.output,
                         "type of Y: f32, or that of W, or any where W is s8, s4 or e4m3"));
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
  in_group(command.add_option("--devices", flags.devices,
                              "CUDA devices, as 0,1 or all: each measures problems of its own"))
      ->delimiter(',')
      ->capture_default_str();
  in_group(command.add_option("--threads", flags.threads, "of the host backend (0: all)"))
      ->check(not_negative())
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
      ->check(positive())
      ->capture_default_str();
  in_group(command.add_option("--max-seconds-per-candidate", options.max_seconds_per_candidate,
                              "for all measurements of a candidate together"))
      ->check(positive())
      ->capture_default_str();
  in_group(command.add_option("--budget", flags.budget, "seconds for all candidates together"))
      ->check(positive());
  in_group(command.add_option("--seed", options.seed, "of spikes and weights"))
      ->capture_default_str();
}

void add_running_flags(CLI::App& command, SweepFlags& flags) {
  const auto in_group = [](CLI::Option* option) { return option->group("Running"); };
  in_group(command.add_option("--deadline", flags.deadline,
                              "seconds that a candidate may say nothing before it is given up"))
      ->check(positive())
      ->capture_default_str();
  in_group(
      command.add_flag("--in-process", flags.in_process,
                       "no worker processes: for debuggers; what a candidate breaks stays so"));
  in_group(command.add_flag("--resume", flags.options.resume,
                            "go on with the sweep that --out's journal is of"));
  in_group(command.add_option("--shard", flags.shard,
                              "measure part i of n, as 2/8 (see spiketune merge)"));
}

void add_output_flags(CLI::App& command, SweepFlags& flags) {
  const auto in_group = [](CLI::Option* option) { return option->group("Output"); };
  in_group(command.add_option("--out", flags.out, "write the report (JSON) here"));
  in_group(command.add_option("--html", flags.html, "write the report's page here"));
  in_group(command.add_flag("--quiet", flags.quiet, "no progress and no table"));
}

SweepOptions options_of(const SweepFlags& flags, const CLI::App& command) {
  check_sources(flags, command);
  SweepOptions options = flags.options;
  if (!flags.replay.empty()) {
    options.entries.clear();
  } else if (flags.suite.empty()) {
    options.entries = {entry_of(flags)};
  } else {
    Suite suite = read_suite(flags.suite);
    options.entries = std::move(suite.entries);
    const auto given = [&](const char* name) {
      const CLI::Option* option = command.get_option_no_throw(name);  // plan measures nothing
      return option != nullptr && option->count() > 0;
    };
    if (suite.max_samples && !given("--max-samples")) options.max_samples = *suite.max_samples;
    if (suite.max_seconds_per_candidate && !given("--max-seconds-per-candidate")) {
      options.max_seconds_per_candidate = *suite.max_seconds_per_candidate;
    }
  }
  options.selection.all_configs = flags.configs == "all";
  if (!flags.config.empty()) options.selection.config = parse_object(flags.config, "--config");
  if (flags.budget > 0) options.budget_seconds = flags.budget;
  if (!flags.shard.empty()) options.shard = parse_shard(flags.shard);
  if (!flags.out.empty()) options.journal = journal_path(flags.out);
  if (options.resume && flags.out.empty()) {
    throw CLI::ValidationError("--resume needs --out: the journal lies beside the report");
  }
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

namespace {

/// The CUDA devices to measure on, or {0} for the host.
std::vector<int> devices_of(const SweepFlags& flags, const std::string& backend) {
  if (backend == HostContext::name) {
    if (flags.devices != std::vector<std::string>{"0"}) {
      throw CLI::ValidationError("--devices names CUDA devices, and this is the host's backend");
    }
    return {0};
  }
  std::vector<int> devices;
  if (flags.devices == std::vector<std::string>{"all"}) {
    for (int device = 0; why_no_cuda(device).empty(); ++device) devices.push_back(device);
    return devices;
  }
  for (const std::string& text : flags.devices) {
    int device = 0;
    if (!CLI::detail::lexical_cast(text, device) || device < 0) {
      throw CLI::ValidationError("--devices", "'" + text + "' is no number of a device, nor all");
    }
    const std::string why = why_no_cuda(device);
    if (!why.empty()) throw Error(ErrorCode::unsupported, why);
    devices.push_back(device);
  }
  return devices;
}

WorkerOptions worker_options(const SweepFlags& flags, const std::string& backend, int device) {
  WorkerOptions options;
  options.command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                     "worker",
                     "--backend",
                     backend,
                     "--device",
                     std::to_string(device),
                     "--threads",
                     std::to_string(flags.threads)};
  for (const std::string& plugin : flags.plugins) {
    options.command.insert(options.command.end(), {"--plugin", plugin});
  }
  options.deadline_seconds = flags.deadline;
  return options;
}

}  // namespace

Setting open_setting(const SweepFlags& flags, SweepOptions& options) {
  Setting setting;
  if (!flags.replay.empty()) {
    const auto recording =
        std::make_shared<const RecordedReport>(RecordedReport::read(flags.replay));
    ReplayPlan replay = plan_replay(*recording, options);
    setting.plan = std::move(replay.plan);
    setting.executors.push_back(make_replay_executor(recording, std::move(replay.recorded)));
    return setting;
  }
  setting.registry = make_registry(flags.plugins);
  const std::string backend = choose_backend(flags.backend, 0);
  options.command_options = shared_options(flags, backend);
  const std::vector<int> devices = devices_of(flags, backend);
  setting.plan = plan_sweep(setting.registry, backend, options);
  if (flags.in_process) {
    require(devices.size() == 1, ErrorCode::invalid_argument,
            "--in-process measures on one device only");
    setting.backend = open_backend(backend, devices.front(), flags.threads);
    setting.executors.push_back(make_local_executor(*setting.backend));
    return setting;
  }
  for (const int device : devices) {
    setting.executors.push_back(make_worker_executor(worker_options(flags, backend, device)));
  }
  return setting;
}

int run_sweep(const SweepFlags& flags, SweepOptions options, const SearchOptions* search) {
  require_other_file(flags.html, flags.out);
  // A build that cannot make pages should say so before the sweep, not after it.
  if (!flags.html.empty()) static_cast<void>(render_html(empty_report({}, nullptr)));
  if (search != nullptr) options.search = search_to_json(*search);
  Setting setting = open_setting(flags, options);
  if (search != nullptr) {
    for (auto& executor : setting.executors) {
      executor = make_search_executor(std::move(executor), *search);
    }
  }
  catch_interrupts();
  ProgressPrinter printer(flags.quiet);
  // What was finished is not given up for something that is not; the journal keeps that.
  const bool keep_old = !flags.out.empty() && !options.resume && is_finished_report(flags.out);
  SweepCallbacks callbacks;
  callbacks.interrupted = interrupted;
  callbacks.progress = [&](const SweepProgress& progress) { printer.show(progress); };
  callbacks.problem_done = [&](const nlohmann::json& points, const SweepProgress& progress) {
    printer.problem_done(points, progress);
  };
  callbacks.save = [&](SweepRecord& record) {
    const bool finished = record.head().value("complete", false);
    if (!flags.out.empty() && (finished || !keep_old)) record.write(flags.out);
  };
  SweepRecord record = spiketune::run_sweep(setting.plan, setting.executors, options, callbacks);
  printer.clear();
  if (!flags.quiet) {
    record.with_summary([](const nlohmann::json& report) {
      fmt::print("{}", with_bold_head(render_table(report, terminal_width())));
    });
  }
  if (!flags.html.empty()) write_file(flags.html, render_html(record.report()));
  const bool kept = interrupted() && keep_old;
  if (!flags.quiet) {
    if (!flags.out.empty()) fmt::print("{} {}\n", kept ? "kept the finished" : "wrote", flags.out);
    if (!flags.html.empty()) fmt::print("wrote {}\n", flags.html);
  }
  if (interrupted()) {
    if (!flags.out.empty() && !flags.quiet)
      fmt::print("go on with the same command and --resume\n");
    return exit_interrupted;
  }
  record.remove_journal();
  const bool bad = record.count("wrong") + record.count("failed") > 0;
  return bad ? exit_bad_result : exit_ok;
}

}  // namespace spiketune::cli
