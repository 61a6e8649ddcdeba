// A comparison as plain text and as Markdown (declared in compare.hpp).

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "spiketune/autotune/compare.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/autotune/text_table.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::number;
using report_json::text;

constexpr std::size_t most_names = 5;

std::string plain(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "none";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// "1.052 [1.041, 1.063]".
std::string ratio_words(const json& entry) {
  const auto value = [&](const char* key) { return number(entry, key).value_or(0); };
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", value("ratio"), value("low"), value("high"));
}

std::string count_words(const json& counts) {
  std::string words;
  for (const char* verdict : {"slower", "faster", "same", "undecided"}) {
    words += fmt::format("{}{:.0f} {}", words.empty() ? "" : ", ",
                         number(counts, verdict).value_or(0), verdict);
  }
  return words;
}

/// What the reports are, what differs, and what was refused; one sentence each.
std::vector<std::string> heading(const json& comparison) {
  std::vector<std::string> lines;
  for (const char* which : {"base", "new"}) {
    const json& report = child(comparison, which);
    const std::string git = text(report, "git");
    std::string line = fmt::format("{:<5} {}, {}, {}", which, git.empty() ? "no revision" : git,
                                   text(report, "device"), text(report, "created"));
    if (const auto gbps = number(report, "copy_gbps")) {
      line += fmt::format(", copies {:.4g} GB/s", *gbps);
    }
    lines.push_back(line);
  }
  std::string differs;
  for (const json& difference : child(comparison, "differences")) {
    differs += fmt::format("{}{} {} → {}", differs.empty() ? "" : ", ", text(difference, "what"),
                           plain(child(difference, "base")), plain(child(difference, "new")));
  }
  lines.push_back("differs: " + (differs.empty() ? "nothing that is recorded" : differs));
  if (!flag(comparison, "same_device")) {
    lines.emplace_back("The devices differ: ratios compare them as much as the builds.");
  }
  return lines;
}

std::string family_words(const json& family) {
  const json& all = child(family, "all");
  const std::string from = text(family, "drift_from");
  return fmt::format(
      "{} ({}): {}; all together {}, {}; drift {:.2g} % a point, {:.2g} % a run ({})",
      text(family, "quantity"), text(family, "mode"), count_words(child(family, "counts")),
      ratio_words(all), text(all, "verdict"), 100 * number(family, "drift").value_or(0),
      100 * number(family, "common_drift").value_or(0), from == "estimate" ? "estimated" : from);
}

std::vector<std::string> refused_words(const json& comparison) {
  std::vector<std::string> lines;
  for (const json& refused : child(comparison, "refused")) {
    std::string line = fmt::format(
        "{:.0f} not compared, {}: ", number(refused, "count").value_or(0), text(refused, "reason"));
    const json& points = child(refused, "points");
    for (std::size_t i = 0; i < std::min(points.size(), most_names); ++i) {
      const std::string detail = text(points[i], "detail");
      line += (i == 0 ? "" : "; ") + text(points[i], "name");
      if (!detail.empty()) line += " (" + detail + ")";
    }
    if (points.size() > most_names) {
      line += fmt::format("; and {} more (--format json names all)", points.size() - most_names);
    }
    lines.push_back(line);
  }
  return lines;
}

/// Groups of a family with whatever is not `same` or undecided, or all of them; head first.
std::vector<TableRow> group_rows(const json& family, const char* kind, bool all) {
  std::vector<TableRow> rows{{kind, "new / base", "verdict", "points", "slower", "faster", "same"}};
  const bool judged = std::string_view(kind) == "kernels";
  if (!judged) rows[0].erase(rows[0].begin() + 2);
  for (const json& group : child(family, kind)) {
    const std::string verdict = text(group, "verdict");
    if (judged && !all && verdict != "slower" && verdict != "faster") continue;
    const auto count = [&](const char* key) {
      return fmt::format("{:.0f}", number(child(group, "counts"), key).value_or(0));
    };
    TableRow row{text(group, "name"), ratio_words(group)};
    if (judged) row.push_back(verdict);
    row.push_back(fmt::format("{:.0f}", number(group, "points").value_or(0)));
    for (const char* key : {"slower", "faster", "same"}) row.push_back(count(key));
    rows.push_back(std::move(row));
  }
  return rows;
}

/// Workload, shape and density of each point, and its kernel, with the configuration where one
/// problem has that kernel with several.
std::vector<std::pair<std::string, std::string>> point_names(const json& points) {
  const ReportCurves curves = report_curves(points);
  std::vector<std::pair<std::string, std::string>> names;
  std::map<std::pair<std::string, std::string>, int> times;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t curve = curves.of_point[i];
    const auto density = number(child(points[i], "problem"), "density");
    std::string problem = curve == ReportCurves::kNone ? "?" : curves.curves[curve].label;
    if (density) problem += " " + format_density(*density);
    names.emplace_back(problem, format_and_kernel(points[i]));
    ++times[names.back()];
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (times[names[i]] > 1) names[i].second += " " + plain(child(points[i], "config"));
  }
  return names;
}

/// Points with the verdicts of each of their series that is faster or slower, or all of them.
std::vector<TableRow> point_rows(const json& comparison, bool all) {
  std::vector<TableRow> rows{{"point", "kernel", "time", "base", "new", "new / base", "verdict"}};
  const json& points = child(comparison, "points");
  const auto names = point_names(points);
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (const json& series : child(points[i], "series")) {
      const std::string verdict = text(series, "verdict");
      if (!all && verdict != "slower" && verdict != "faster") continue;
      rows.push_back(
          {names[i].first, names[i].second, text(series, "quantity") + " " + text(series, "mode"),
           format_time(number(series, "base_us").value_or(0)),
           format_time(number(series, "new_us").value_or(0)), ratio_words(series), verdict});
    }
  }
  return rows;
}

std::string markdown_table(const std::vector<TableRow>& rows) {
  std::string result = markdown_row(rows.front()) + "|";
  for (std::size_t i = 0; i < rows.front().size(); ++i) result += "---|";
  result += "\n";
  for (std::size_t i = 1; i < rows.size(); ++i) result += markdown_row(rows[i]);
  return result;
}

/// Words wrapped at blanks to `width` columns, lines after the first indented.
std::string wrapped(const std::string& words, std::size_t width) {
  std::string result;
  std::size_t column = 0;
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    const std::string word = words.substr(begin, end - begin);
    const std::size_t length = text_columns(word);
    if (column > 0 && column + 1 + length > width) {
      result += "\n  ";
      column = 2;
    } else if (begin > 0) {
      result += ' ';
      ++column;
    }
    result += word;
    column += length;
    begin = end + 1;
  }
  return result + "\n";
}

const char* kernels_title(bool all) {
  return all ? "Kernels" : "Kernels that became slower or faster";
}

const char* points_title(bool all) {
  return all ? "Points" : "Points that became slower or faster";
}

std::string legend(const json& comparison) {
  return fmt::format(
      "new / base: ratio of times with its 95 % interval, drift included; above 1 is slower. "
      "Effects below {:.3g} % are not reported. same: the interval lies within that; undecided: "
      "it does not, and no change is proven.",
      100 * number(comparison, "min_effect").value_or(0));
}

}  // namespace

std::string render_comparison_text(const json& comparison, int width, bool all) {
  const auto columns = static_cast<std::size_t>(std::max(width, 60));
  std::string result;
  for (const std::string& line : heading(comparison)) result += wrapped(line, columns);
  result += "\n";
  for (const json& family : child(comparison, "families")) {
    result += wrapped(family_words(family), columns);
  }
  const auto refused = refused_words(comparison);
  if (!refused.empty()) result += "\n";
  for (const std::string& line : refused) result += wrapped(line, columns);
  for (const json& family : child(comparison, "families")) {
    const std::string of = text(family, "quantity") + ", " + text(family, "mode");
    const auto kernels = group_rows(family, "kernels", all);
    if (kernels.size() > 1) {
      result += fmt::format("\n{} ({})\n", kernels_title(all), of) +
                render_text_table(kernels, {0, 2}, columns);
    }
    if (text(family, "quantity") != "total") continue;
    for (const char* kind : {"formats", "workloads"}) {
      result += fmt::format("\nBy {} ({})\n", kind, of) +
                render_text_table(group_rows(family, kind, all), {0}, columns);
    }
  }
  const auto points = point_rows(comparison, all);
  if (points.size() > 1) {
    result += fmt::format("\n{}\n", points_title(all)) + render_text_table(points, {0, 1}, columns);
  }
  return result + "\n" + wrapped(legend(comparison), columns);
}

std::string render_comparison_markdown(const json& comparison, bool all) {
  std::string result = "# spiketune comparison\n\n";
  for (const std::string& line : heading(comparison)) result += "- " + escape_markdown(line) + "\n";
  result += "\n";
  for (const json& family : child(comparison, "families")) {
    result += "- " + escape_markdown(family_words(family)) + "\n";
  }
  for (const std::string& line : refused_words(comparison)) {
    result += "- " + escape_markdown(line) + "\n";
  }
  for (const json& family : child(comparison, "families")) {
    const std::string of = text(family, "quantity") + ", " + text(family, "mode");
    const auto kernels = group_rows(family, "kernels", all);
    if (kernels.size() > 1) {
      result += fmt::format("\n## {} ({})\n\n", kernels_title(all), of) + markdown_table(kernels);
    }
    if (text(family, "quantity") != "total") continue;
    for (const char* kind : {"formats", "workloads"}) {
      result += fmt::format("\n## By {} ({})\n\n", kind, of) +
                markdown_table(group_rows(family, kind, all));
    }
  }
  const auto points = point_rows(comparison, all);
  if (points.size() > 1) {
    result += fmt::format("\n## {}\n\n", points_title(all)) + markdown_table(points);
  }
  return result + "\n" + escape_markdown(legend(comparison)) + "\n";
}

}  // namespace spiketune
