#include "spiketune/autotune/compare.hpp"

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/read_report.hpp"
#include "spiketune/cli/terminal.hpp"

namespace spiketune::cli {
namespace {

struct CompareFlags {
  std::vector<std::string> reports;
  std::string min_effect = "2%";
  std::string drift;
  std::string format = "text";
  std::string fail_on;
  bool all = false;
};

/// "2%" or "0.02" as a share of 1.
double parse_share(const std::string& text, const char* flag) {
  const bool percent = text.ends_with('%');
  const char* const end = text.data() + text.size() - (percent ? 1 : 0);
  double value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (percent) value /= 100;
  if (error != std::errc{} || stopped != end || !(value >= 0 && value <= 1)) {
    throw CLI::ValidationError(flag, "'" + text + "' is not a share; write 2% or 0.02");
  }
  return value;
}

std::string render(const nlohmann::json& comparison, const CompareFlags& flags) {
  if (flags.format == "json") {
    return comparison.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  if (flags.format == "md") return render_comparison_markdown(comparison, flags.all);
  return render_comparison_text(comparison, terminal_width(), flags.all);
}

/// Each level includes those before it.
bool fails(const nlohmann::json& comparison, const std::string& level) {
  if (level.empty()) return false;
  if (kernel_slower(comparison)) return true;
  if (level == "kernel-slower") return false;
  if (total_slower(comparison)) return true;
  return level == "all-slower" && all_slower(comparison);
}

int run(const CompareFlags& flags) {
  CompareOptions options;
  options.min_effect = parse_share(flags.min_effect, "--min-effect");
  if (!flags.drift.empty()) options.drift = parse_share(flags.drift, "--drift");
  const nlohmann::json base = read_report(flags.reports.front());
  // Of several new reports JSON is a list, so that the output stays one document.
  nlohmann::json comparisons = nlohmann::json::array();
  for (std::size_t i = 1; i < flags.reports.size(); ++i) {
    const nlohmann::json next = read_report(flags.reports[i]);
    comparisons.push_back(compare_reports(base, next, options));
    comparisons.back()["base"]["file"] = flags.reports.front();
    comparisons.back()["new"]["file"] = flags.reports[i];
  }
  bool failed = false;
  for (const nlohmann::json& comparison : comparisons) {
    failed |= fails(comparison, flags.fail_on);
  }
  if (flags.format == "json" && comparisons.size() > 1) {
    fmt::print("{}", render(comparisons, flags));
    return failed ? exit_bad_result : exit_ok;
  }
  const char* between = "";
  for (const nlohmann::json& comparison : comparisons) {
    fmt::print("{}{}", between, render(comparison, flags));
    between = "\n";
  }
  return failed ? exit_bad_result : exit_ok;
}

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "compare", "which points of a report are faster or slower than those of another");
  auto flags = std::make_shared<CompareFlags>();
  command
      ->add_option("reports", flags->reports,
                   "report.json of sweeps: the base, then those to compare with it")
      ->required()
      ->expected(2, 1000);
  command->add_option("--min-effect", flags->min_effect, "least change worth reporting")
      ->capture_default_str();
  command->add_option("--drift", flags->drift,
                      "standard deviation between runs of one build, as in 0.5% (default: "
                      "estimated from the reports)");
  command->add_option("--format", flags->format, "text, md or json")
      ->check(CLI::IsMember({"text", "md", "json"}))
      ->capture_default_str();
  command
      ->add_option(
          "--fail-on", flags->fail_on,
          "exit with 3 where a kernel is slower (kernel-slower), or also a point (slower), "
          "or also all of them together (all-slower), which a busier machine causes too")
      ->check(CLI::IsMember({"kernel-slower", "slower", "all-slower"}));
  command->add_flag("--all", flags->all, "list every point, not only the faster and slower");
  command->footer(
      "Exit codes: 0 compared; 1 error, or nothing in common; 2 wrong usage; 3 something is slower "
      "(with --fail-on).\n"
      "Example: spiketune compare main.json branch.json --fail-on slower");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
