#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/shard.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/read_report.hpp"

namespace spiketune::cli {
namespace {

struct MergeFlags {
  std::vector<std::string> parts;
  std::string out;
};

int run(const MergeFlags& flags) {
  std::vector<NamedReport> parts;
  for (const std::string& path : flags.parts) parts.push_back({path, read_report(path)});
  const nlohmann::json report = merge_reports(parts);
  write_file(flags.out, report_text(report));
  fmt::print("wrote {}: {} points of {} parts\n", flags.out, report.at("points").size(),
             parts.size());
  return exit_ok;
}

}  // namespace

void add_merge(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("merge", "make one report of the shards of a sweep");
  auto flags = std::make_shared<MergeFlags>();
  command->add_option("parts", flags->parts, "reports of sweep --shard, all of them")->required();
  command->add_option("--out", flags->out, "write the report (JSON) here")->required();
  command->footer(
      "Refuses parts of different sweeps or builds, a part that is there twice, one that is "
      "missing\n"
      "or did not end, and says which.\n"
      "Exit codes: 0 done; 1 refused, or a file cannot be read or written; 2 wrong usage.\n"
      "Example: spiketune merge part-*.json --out report.json");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
