#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/plan_cache.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/setup.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/tuned.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {
namespace {

using nlohmann::json;

struct CacheFlags {
  std::vector<std::string> files;
  std::string from;
  std::string device;
  std::string out;
  bool as_json = false;
  double older_than = 0;
  bool other_devices = false;
  bool other_builds = false;
  bool corrupt = false;
};

/// `days` ago, as reports write it.
std::string days_ago(double days) {
  constexpr double seconds_per_day = 86'400;
  const auto then =
      static_cast<std::time_t>(static_cast<double>(std::time(nullptr)) - days * seconds_per_day);
  std::tm parts{};
  gmtime_r(&then, &parts);
  std::string text(32, '\0');
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text;
}

PlanKey this_build() {
  return {"", 0, build_version(), build_source_hash()};
}

int show(const CacheFlags& flags) {
  json all = json::array();
  const auto add = [&](const json& document, const std::string& origin) {
    const PlanKey key = document_key(document);
    const std::size_t points = document.at("points").size();
    const bool usable = key.same_build(this_build());
    all.push_back({{"origin", origin},
                   {"device", key.device},
                   {"units", key.units},
                   {"version", key.version},
                   {"source", key.source},
                   {"points", points},
                   {"this_build", usable}});
    if (flags.as_json) return;
    fmt::print("{} points of {}{}\n    {}\n", points, to_string(key),
               usable ? "" : ", another build", origin);
  };
  for (const PlanCache::Entry& entry : open_plan_cache().list()) add(entry.document, entry.path);
  for (const json& document : shipped_plans()) add(document, "shipped with spiketune");
  if (flags.as_json) {
    fmt::print("{}\n", all.dump(2));
  } else {
    fmt::print("folder {}\n", plan_cache_folder());
  }
  return exit_ok;
}

int import_files(const CacheFlags& flags) {
  PlanCache cache = open_plan_cache();
  for (const std::string& path : flags.files) {
    const json document = read_tuned(path);
    const PlanKey key = document_key(document);
    if (!key.same_build(this_build())) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{} was measured by another build, of {}; this is spiketune {} of "
                              "sources {} (plan --from uses it all the same)",
                              path, to_string(key), build_version(), build_source_hash()));
    }
    const std::size_t points = cache.add(document);
    fmt::print("{}: {} points; {} of {} now\n", path, document.at("points").size(), points,
               key.device);
  }
  return exit_ok;
}

int export_file(const CacheFlags& flags) {
  const json document =
      flags.from.empty() ? find_tuned(flags.device).document : read_tuned(flags.from);
  write_file(flags.out, report_text(document));
  fmt::print("wrote {}: {} points\n", flags.out, document.at("points").size());
  return exit_ok;
}

int prune(const CacheFlags& flags) {
  if (flags.older_than <= 0 && !flags.other_devices && !flags.other_builds && !flags.corrupt) {
    throw CLI::ValidationError(
        "say what goes: --older-than DAYS, --other-devices, --other-builds or --corrupt");
  }
  PlanCache::Keep keep;
  if (flags.older_than > 0) keep.since = days_ago(flags.older_than);
  if (flags.other_devices) keep.device = plan_key(open_backend("auto", 0, 0)->environment());
  if (flags.other_builds) keep.build = this_build();
  keep.corrupt = !flags.corrupt;
  fmt::print("removed {} points\n", open_plan_cache().prune(keep));
  return exit_ok;
}

}  // namespace

void add_cache(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("cache", "keep tuned points for later plans");
  auto flags = std::make_shared<CacheFlags>();
  command->require_subcommand(1);
  CLI::App* shown = command->add_subcommand("show", "what there is");
  shown->add_flag("--json", flags->as_json, "print JSON");
  shown->footer("Example: spiketune cache show");
  shown->callback([flags, &exit_code] { exit_code = show(*flags); });

  CLI::App* imported = command->add_subcommand("import", "add the points of reports or exports");
  imported->add_option("files", flags->files, "reports of sweep or tune, or exported points")
      ->required();
  imported->footer("Example: spiketune cache import tuned.json");
  imported->callback([flags, &exit_code] { exit_code = import_files(*flags); });

  CLI::App* exported = command->add_subcommand("export", "write the points of a device to a file");
  exported->add_option("--out", flags->out, "file to write")->required();
  CLI::Option* from = exported->add_option("--from", flags->from, "a report, instead of the cache");
  exported->add_option("--for", flags->device, "device whose name has this (default: this one)")
      ->excludes(from);
  exported->footer("Example: spiketune cache export --for H200 --out h200.json");
  exported->callback([flags, &exit_code] { exit_code = export_file(*flags); });

  CLI::App* pruned = command->add_subcommand("prune", "remove points");
  pruned->add_option("--older-than", flags->older_than, "measured more than so many days ago")
      ->check(CLI::Range(0.0, 36'500.0));
  pruned->add_flag("--other-devices", flags->other_devices, "of devices that are not this one");
  pruned->add_flag("--other-builds", flags->other_builds, "of other builds of spiketune");
  pruned->add_flag("--corrupt", flags->corrupt, "files that were set aside");
  pruned->footer("Example: spiketune cache prune --older-than 90 --other-builds");
  pruned->callback([flags, &exit_code] { exit_code = prune(*flags); });

  command->footer(
      "Kept in $XDG_CACHE_HOME/spiketune, else ~/.cache/spiketune, apart for each device and "
      "build.\n"
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Examples:\n"
      "  spiketune cache import tuned.json\n"
      "  spiketune cache show\n"
      "  spiketune cache export --for H200 --out h200.json\n"
      "  spiketune cache prune --other-builds");
}

}  // namespace spiketune::cli
