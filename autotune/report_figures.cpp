#include "spiketune/autotune/report_figures.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/report_page_data.hpp"
#include "spiketune/autotune/run_program.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kPngScale = 3;

/// A directory of its own, removed at the end.
class TemporaryDirectory {
 public:
  /// \param beside   where to make it: Chromium as a snap may not read /tmp
  explicit TemporaryDirectory(const fs::path& beside) {
    std::string pattern = (beside / ".figures-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw Error(ErrorCode::io, "cannot make a directory in " + beside.string());
    }
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] fs::path file(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string chromium() {
  return find_program({"chromium", "chromium-browser", "google-chrome"});
}

std::vector<std::string> chromium_command(const TemporaryDirectory& scratch) {
  return {chromium(),
          "--headless",
          "--no-sandbox",
          "--disable-gpu",
          "--no-first-run",
          "--disable-dev-shm-usage",
          "--user-data-dir=" + scratch.file("profile").string()};
}

/// Everything up to a function `makeFigures`, as one script. Its only document is the report.
std::string program(const json& report) {
  const ReportPageData data = report_page_data(report);
  const auto quoted = [](const json& text) { return script_json(text); };
  std::string script;
  script += "globalThis.reportParts = {\"report-data\": " + quoted(data.data.dump()) +
            ", \"report-samples\": \"[]\", style: " + quoted(std::string(embedded::page_style())) +
            "};\n";
  // The page's parts of the model are not there, and not asked for.
  script +=
      "var figureDocument = { documentElement: { dataset: {} },\n"
      "  getElementById: (id) => ({ textContent: reportParts[id] }) };\n";
  script += std::string(embedded::chart_script()) + std::string(embedded::bar_script()) +
            std::string(embedded::map_script());
  script += "const model = ((document) => {\n" + std::string(embedded::model_script()) +
            "return model;\n})(figureDocument);\n";
  script += std::string(embedded::view_script()) + std::string(embedded::figure_script()) + "\n";
  return script;
}

/// Runs the program in Node; [{"name", "svg"}].
std::string run_in_node(const std::string& node, const std::string& script,
                        const TemporaryDirectory& scratch) {
  write_file(scratch.file("vega.js").string(), embedded::vega_script());
  write_file(scratch.file("figures.js").string(),
             script +
                 "makeFigures(reportParts.style).then((list) =>\n"
                 "  process.stdout.write(JSON.stringify(list)));\n");
  const auto output = scratch.file("figures.json");
  const std::string run =
      "const { readFileSync } = require('fs'); const vm = require('vm');"
      "for (const file of process.argv.slice(1)) vm.runInThisContext(readFileSync(file, 'utf8'));";
  const int status = run_program({node, "-e", "globalThis.process = process;" + run,
                                  scratch.file("vega.js"), scratch.file("figures.js")},
                                 output);
  return status == 0 ? read_file(output) : "";
}

/// Runs it in Chromium, which prints the document; the result is in it as base64.
std::string run_in_chromium(const std::string& script, const TemporaryDirectory& scratch) {
  const auto page = scratch.file("figures.html");
  const auto closed = [](std::string_view code) {
    return "<script>\n" + close_scripts(code) + "\n</script>\n";
  };
  write_file(page.string(),
             "<!DOCTYPE html><meta charset=\"utf-8\"><body>\n" + closed(embedded::vega_script()) +
                 closed(script + "makeFigures(reportParts.style).then((list) => {\n"
                                 "  const json = encodeURIComponent(JSON.stringify(list));\n"
                                 "  document.body.replaceChildren('figures:' + json + ':end');\n"
                                 "});\n"));
  auto command = chromium_command(scratch);
  command.insert(command.end(),
                 {"--virtual-time-budget=60000", "--dump-dom", "file://" + page.string()});
  const auto output = scratch.file("dom.html");
  if (run_program(command, output) != 0) return "";
  const std::string dom = read_file(output);
  const auto begin = dom.find("figures:");
  const auto end = dom.find(":end", begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return "";
  std::string text;
  for (std::size_t i = begin + 8; i < end; ++i) {
    if (dom[i] != '%' || i + 2 >= end) {
      text += dom[i];
      continue;
    }
    text += static_cast<char>(std::strtol(dom.substr(i + 1, 2).c_str(), nullptr, 16));
    i += 2;
  }
  return text;
}

json make_figures(const json& report, const TemporaryDirectory& scratch) {
  const std::string node = find_program({"node", "nodejs"});
  if (node.empty() && chromium().empty()) {
    throw Error(ErrorCode::unsupported,
                "figures need Node.js or Chromium to run Vega; install nodejs or chromium");
  }
  const std::string script = program(report);
  json figures;
  if (!node.empty()) figures = json::parse(run_in_node(node, script, scratch), nullptr, false);
  if (!figures.is_array() && !chromium().empty()) {
    figures = json::parse(run_in_chromium(script, scratch), nullptr, false);
  }
  if (!figures.is_array()) {
    throw Error(ErrorCode::internal,
                "neither Node.js nor Chromium could run Vega; an older or newer one may");
  }
  return figures;
}

/// An attribute of the <svg> element, as a whole number.
int svg_size(const std::string& svg, const std::string& name) {
  const auto at = svg.find(" " + name + "=\"");
  return at == std::string::npos ? 0 : std::atoi(svg.c_str() + at + name.size() + 3);
}

bool write_png(const fs::path& svg_file, const std::string& svg, const fs::path& png,
               const TemporaryDirectory& scratch) {
  const std::string rsvg = find_program({"rsvg-convert"});
  std::vector<std::string> command;
  if (!rsvg.empty()) {
    command = {rsvg,       "--zoom",     std::to_string(kPngScale), "--background-color", "white",
               "--output", png.string(), svg_file.string()};
  } else {
    command = chromium_command(scratch);
    command.insert(
        command.end(),
        {"--hide-scrollbars", fmt::format("--force-device-scale-factor={}", kPngScale),
         fmt::format("--window-size={},{}", svg_size(svg, "width"), svg_size(svg, "height")),
         "--screenshot=" + png.string(), "file://" + svg_file.string()});
  }
  return run_program(command, scratch.file("log")) == 0 && fs::exists(png);
}

}  // namespace

FiguresWritten write_figures(const json& report, const fs::path& directory) {
  require_vega();
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (!fs::is_directory(directory)) {
    throw Error(ErrorCode::io, "cannot make the directory " + directory.string());
  }
  const fs::path absolute = fs::absolute(directory);
  const TemporaryDirectory scratch(absolute);
  const bool can_png = !find_program({"rsvg-convert"}).empty() || !chromium().empty();
  FiguresWritten written;
  for (const json& figure : make_figures(report, scratch)) {
    const auto name = figure.at("name").get<std::string>();
    const auto svg = figure.at("svg").get<std::string>();
    const fs::path file = absolute / (name + ".svg");
    write_file(file.string(), svg);
    ++written.svg;
    if (can_png && write_png(file, svg, absolute / (name + ".png"), scratch)) ++written.png;
  }
  if (!can_png) {
    written.note = "no PNG: install rsvg-convert (librsvg2-bin) or Chromium, and run again";
  } else if (written.png < written.svg) {
    written.note = fmt::format("{} of {} figures could not be turned into PNG",
                               written.svg - written.png, written.svg);
  }
  return written;
}

}  // namespace spiketune
