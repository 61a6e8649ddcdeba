#include "spiketune/autotune/report_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/combine.hpp"
#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::number;
using report_json::text;

std::string replace_all(std::string_view input, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(input.size());
  while (true) {
    const auto at = input.find(from);
    result += input.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += to;
    input.remove_prefix(at + from.size());
  }
}

std::string escape_html(std::string_view input) {
  std::string result;
  result.reserve(input.size());
  for (const char c : input) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

/// JSON that may stand in a <script> element: in JSON "<" occurs inside strings only, where \u003c
/// means the same and can end no element.
std::string script_json(const json& value) {
  return replace_all(value.dump(-1, ' ', false, json::error_handler_t::replace), "<", "\\u003c");
}

/// Six significant digits: what a page can show, at a third of the bytes.
json rounded(const std::optional<double>& value) {
  if (!value) return nullptr;
  return std::strtod(fmt::format("{:.6g}", *value).c_str(), nullptr);
}

/// [median, p05, p95, number of samples], or null.
json packed_measurement(const json& measurement) {
  const auto median = number(measurement, "median");
  if (!median) return nullptr;
  const json& samples = child(measurement, "samples");
  return {rounded(median), rounded(number(measurement, "p05").value_or(*median)),
          rounded(number(measurement, "p95").value_or(*median)),
          samples.is_array() ? samples.size() : 0};
}

/// What the page needs of a point, under short names: a page may hold ten thousand.
json packed_point(const json& point, std::size_t curve) {
  json result = {{"d", rounded(number(child(point, "problem"), "density"))},
                 {"f", text(point, "format")},
                 {"k", text(point, "kernel")},
                 {"s", text(point, "status")}};
  result["c"] = curve == ReportCurves::kNone ? json(nullptr) : json(curve);
  const auto add = [&](const char* name, const json& value) {
    const bool empty = value.is_null() || (value.is_structured() && value.empty()) ||
                       (value.is_string() && value.get_ref<const std::string&>().empty());
    if (!empty) result[name] = value;
  };
  if (flag(point, "baseline")) result["baseline"] = true;
  if (flag(point, "lossy")) result["lossy"] = true;
  if (number(point, "source").value_or(0) > 0) result["src"] = child(point, "source");
  add("config", child(point, "config"));
  add("reason", child(point, "reason"));
  add("lost_share", child(point, "lost_share"));
  add("bytes", child(point, "bytes"));
  add("floor", child(point, "floor_us"));
  add("nnz", child(point, "nnz"));
  add("features", child(point, "features"));
  add("max_error", child(point, "max_error"));
  add("notes", child(point, "notes"));
  add("clocks", child(point, "clocks"));
  add("command", child(point, "command"));
  return result;
}

/// Samples that a page carries along for one measurement, at most.
constexpr std::size_t kSamples = 48;

/// The first samples, to four digits; null where there are none.
json packed_samples(const json& measurement) {
  const json& samples = child(measurement, "samples");
  if (!samples.is_array() || samples.empty()) return nullptr;
  json result = json::array();
  for (std::size_t i = 0; i < std::min(samples.size(), kSamples); ++i) {
    if (!samples[i].is_number()) continue;
    result.push_back(std::strtod(fmt::format("{:.4g}", samples[i].get<double>()).c_str(), nullptr));
  }
  return result;
}

json packed_parts(const json& point, json (*pack)(const json&)) {
  json parts = json::array();
  for (const char* key : {"encode_us", "compute_us", "total_us"}) {
    parts.push_back(pack(child(point, key)));
  }
  const bool none = parts[0].is_null() && parts[1].is_null() && parts[2].is_null();
  return none ? json(nullptr) : parts;
}

json packed_curves(const ReportCurves& curves) {
  json result = json::array();
  for (const auto& curve : curves.curves) {
    result.push_back({{"workload", text(curve.problem, "workload")},
                      {"shape", curve.shape},
                      {"label", curve.label},
                      {"detail", curve.detail},
                      {"backend", curve.backend},
                      {"amortise", number(curve.problem, "amortise").value_or(1)}});
  }
  return result;
}

json packed_winners(const json& points) {
  json result = json::array();
  for (const auto& winner : compute_winners(points)) {
    result.push_back({{"point", winner["point"]},
                      {"over_dense", rounded(number(winner, "speedup_over_dense"))},
                      {"over_baseline", rounded(number(winner, "speedup_over_best_baseline"))},
                      {"ties", winner["ties"]}});
  }
  return result;
}

json packed_crossovers(const json& points, const ReportCurves& curves) {
  json result = json::array();
  for (const auto& crossover : compute_crossovers(points)) {
    json packed = {{"c", curves.find(crossover)}};
    for (const char* key : {"a", "b", "low_open", "high_open", "faster_below"}) {
      packed[key] = crossover[key];
    }
    for (const char* key : {"density", "low", "high", "total_us"}) {
      packed[key] = rounded(number(crossover, key));
    }
    result.push_back(std::move(packed));
  }
  return result;
}

/// Escaped, and with no line break between a number and its unit.
std::string sentence_html(const std::string& sentence) {
  std::string html = escape_html(sentence);
  for (const char* unit : {"%", "µs", "ms"}) {
    html = replace_all(html, std::string(" ") + unit, std::string("&nbsp;") + unit);
  }
  return html;
}

std::string summary_html(const Summary& summary, std::string_view mode, bool shown) {
  std::string html = fmt::format("<div data-mode=\"{}\"{}>\n", mode, shown ? "" : " hidden");
  html += "<p class=\"asked\">" + sentence_html(summary.asked) + "</p>\n";
  html += "<p class=\"answer\">" + sentence_html(summary.answer) + "</p>\n";
  html += "<ul class=\"by-workload\">\n";
  for (const auto& [label, words] : summary.curves) {
    html += "<li><b>" + escape_html(label) + "</b>: " + sentence_html(words) + "</li>\n";
  }
  html += "</ul>\n<ul class=\"remarks\">\n";
  for (const auto& remark : summary.remarks) {
    html += "<li>" + sentence_html(remark) + "</li>\n";
  }
  return html + "</ul>\n</div>\n";
}

/// All that the page works on.
struct PageContent {
  json data;
  json samples = json::array();  ///< for each point the samples of each mode
  std::string summary;
};

PageContent page_content(const json& report) {
  const json& points = child(report, "points");
  const ReportCurves curves = report_curves(points);
  const std::string primary = primary_mode(points);
  json packed = json::array();
  if (points.is_array()) {
    for (std::size_t i = 0; i < points.size(); ++i) {
      packed.push_back(packed_point(points[i], curves.of_point[i]));
      packed.back()["t"] = json::object();
    }
  }
  PageContent content;
  for (std::size_t i = 0; i < packed.size(); ++i) content.samples.push_back(json::object());
  json views = json::object();
  for (const char* mode : {"cold", "hot"}) {
    const json in_mode = points_in_mode(points, mode);
    bool measured = false;
    for (std::size_t i = 0; i < in_mode.size(); ++i) {
      json times = packed_parts(in_mode[i], packed_measurement);
      if (times.is_null()) continue;
      packed[i]["t"][mode] = std::move(times);
      content.samples[i][mode] = packed_parts(in_mode[i], packed_samples);
      measured = true;
    }
    if (!measured && mode != primary) continue;
    views[mode] = {{"winners", packed_winners(in_mode)},
                   {"crossovers", packed_crossovers(in_mode, curves)}};
    content.summary +=
        summary_html(summarise(report, in_mode, curves, mode), mode, mode == primary);
  }
  content.data = {{"mode", primary},
                  {"curves", packed_curves(curves)},
                  {"points", std::move(packed)},
                  {"views", std::move(views)},
                  {"sources", report_sources(report)}};
  return content;
}

/// Replaces each {{name}} of the template, once: what is put in is not looked at again.
std::string fill(std::string_view page,
                 const std::vector<std::pair<std::string_view, std::string>>& parts) {
  std::string result;
  while (true) {
    const auto open = page.find("{{");
    result += page.substr(0, open);
    if (open == std::string_view::npos) return result;
    const auto close = page.find("}}", open);
    require(close != std::string_view::npos, ErrorCode::internal, "report template: open {{");
    const auto name = page.substr(open + 2, close - open - 2);
    for (const auto& [key, value] : parts) {
      if (key == name) result += value;
    }
    page.remove_prefix(close + 2);
  }
}

}  // namespace

std::string render_html(const json& report) {
  const auto vega = embedded::vega_script();
  if (vega.empty()) {
    throw Error(ErrorCode::unsupported,
                "this build has no Vega library, which the HTML page needs; install libjs-vega, or "
                "configure with -DSPIKETUNE_VEGA_JS=<path of vega.min.js>, and build again");
  }
  const auto content = page_content(report);
  return fill(embedded::page_template(), {{"style", std::string(embedded::page_style())},
                                          {"summary", content.summary},
                                          {"data", script_json(content.data)},
                                          {"samples", script_json(content.samples)},
                                          {"vega", replace_all(vega, "</script", "<\\/script")},
                                          {"charts", std::string(embedded::chart_script())},
                                          {"bars", std::string(embedded::bar_script())},
                                          {"map", std::string(embedded::map_script())},
                                          {"model", std::string(embedded::model_script())},
                                          {"tables", std::string(embedded::table_script())},
                                          {"finder", std::string(embedded::finder_script())},
                                          {"page", std::string(embedded::page_script())}});
}

}  // namespace spiketune
