#include "spiketune/autotune/report.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "spiketune/autotune/report_page.hpp"
#include "spiketune/autotune/t4.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/progress.hpp"
#include "spiketune/cli/read_report.hpp"

namespace spiketune::cli {
namespace {

struct ReportFlags {
  std::string input;
  std::string html;
  std::string markdown;
  std::string t4;
};

int run(const ReportFlags& flags) {
  const nlohmann::json report = read_report(flags.input);
  if (flags.markdown != "-") fmt::print("{}", render_table(report, terminal_width()));
  if (!flags.html.empty()) write_file(flags.html, render_html(report));
  if (!flags.t4.empty()) write_file(flags.t4, t4_results(report).dump(1) + "\n");
  if (flags.markdown == "-") {
    fmt::print("{}", render_markdown(report));
  } else if (!flags.markdown.empty()) {
    write_file(flags.markdown, render_markdown(report));
  }
  return exit_ok;
}

}  // namespace

void add_report(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("report", "show a report of sweep as a table, a page or Markdown");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("report", flags->input, "report.json of a sweep")->required();
  command->add_option("--html", flags->html, "write one offline HTML page here");
  command->add_option("--markdown", flags->markdown, "write Markdown here (-: standard output)");
  command->add_option("--t4", flags->t4,
                      "write the points here as T4 results, which Kernel Tuner's tools read");
  command->footer(
      "The winners are printed as a table, unless Markdown is.\n"
      "Exit codes: 0 done; 1 the report cannot be read or written; 2 wrong usage.\n"
      "Example: spiketune report report.json --html report.html --markdown report.md");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
