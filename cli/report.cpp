#include "spiketune/autotune/report.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "spiketune/autotune/combine.hpp"
#include "spiketune/autotune/report_figures.hpp"
#include "spiketune/autotune/report_page.hpp"
#include "spiketune/autotune/t4.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/read_report.hpp"
#include "spiketune/cli/terminal.hpp"

namespace spiketune::cli {
namespace {

struct ReportFlags {
  std::vector<std::string> inputs;
  std::string format;
  std::string out = "-";
  std::string html;
  std::string markdown;
  std::string t4;
  std::string figures;
};

void write_or_print(const std::string& path, const std::string& text) {
  if (path == "-") {
    fmt::print("{}", text);
  } else {
    write_file(path, text);
  }
}

std::string render(const nlohmann::json& report, const std::string& format, bool to_terminal) {
  if (format == "html") return render_html(report);
  if (format == "md") return render_markdown(report);
  return to_terminal ? with_bold_head(render_table(report, terminal_width()))
                     : render_table(report, 100);
}

int run(const ReportFlags& flags) {
  for (const std::string& path : flags.inputs) {
    for (const std::string& output : {flags.out, flags.html, flags.markdown, flags.t4}) {
      require_other_file(output, path);
    }
  }
  std::vector<NamedReport> parts;
  for (const auto& path : flags.inputs) parts.push_back({path, read_report(path)});
  const nlohmann::json report = combine_reports(std::move(parts));
  if (!flags.format.empty()) {
    write_or_print(flags.out, render(report, flags.format, flags.out == "-"));
  } else if (flags.markdown != "-") {
    write_or_print(flags.out, render(report, "text", flags.out == "-"));
  }
  if (!flags.html.empty()) write_file(flags.html, render_html(report));
  if (!flags.t4.empty()) write_file(flags.t4, t4_results(report).dump(1) + "\n");
  if (!flags.markdown.empty()) write_or_print(flags.markdown, render_markdown(report));
  if (!flags.figures.empty()) {
    const FiguresWritten written = write_figures(report, flags.figures);
    fmt::print(stderr, "wrote {} SVG and {} PNG files to {}\n", written.svg, written.png,
               flags.figures);
    if (!written.note.empty()) fmt::print(stderr, "{}\n", written.note);
  }
  return exit_ok;
}

}  // namespace

void add_report(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("report", "show reports of sweep as a table, a page or Markdown");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("reports", flags->inputs, "reports of sweep or tune, shown as one")
      ->required()
      ->type_name("FILE");
  command->add_option("--format", flags->format, "what goes to --out")
      ->check(CLI::IsMember({"text", "md", "html"}));
  command->add_option("--out", flags->out, "where it goes (-: standard output)")
      ->capture_default_str();
  command->add_option("--html", flags->html, "also write one offline HTML page here");
  command->add_option("--markdown", flags->markdown,
                      "also write Markdown here (-: standard output, and no table)");
  command->add_option("--figures", flags->figures,
                      "write every chart into this directory as SVG and PNG, for print");
  command->add_option("--t4", flags->t4,
                      "write the points here as T4 results, which Kernel Tuner's tools read");
  command->footer(
      "Without --format the winners are printed as a table. Reports of different devices or "
      "builds\n"
      "are never compared with each other.\n"
      "Exit codes: 0 done; 1 a report cannot be read or written; 2 wrong usage.\n"
      "Example: spiketune report compute.json quantised.json --html report.html\n"
      "         spiketune report report.json --format md --out comment.md");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace spiketune::cli
