#include "spiketune/autotune/report_page_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/combine.hpp"
#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::number;
using report_json::text;

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
  if (multiplies_zeros(point)) result["zeros"] = true;
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

/// What curves have in common that differ in W's type, and Y's with it.
std::string layer_of(const ReportCurve& curve) {
  json problem = curve.problem;
  problem.erase("weights");
  problem.erase("output");
  return curve.backend + problem.dump(-1, ' ', false, json::error_handler_t::replace);
}

json packed_curves(const ReportCurves& curves) {
  json result = json::array();
  std::map<std::string, std::size_t> layers;
  for (const auto& curve : curves.curves) {
    const std::size_t layer = layers.try_emplace(layer_of(curve), layers.size()).first->second;
    result.push_back({{"workload", text(curve.problem, "workload")},
                      {"shape", curve.shape},
                      {"label", curve.label},
                      {"detail", curve.detail},
                      {"backend", curve.backend},
                      {"layer", layer},
                      {"weights", text(curve.problem, "weights")},
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

}  // namespace

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

std::string script_json(const json& value) {
  return replace_all(value.dump(-1, ' ', false, json::error_handler_t::replace), "<", "\\u003c");
}

std::string close_scripts(std::string_view code) {
  return replace_all(code, "</script", "<\\/script");
}

void require_vega() {
  if (!embedded::vega_script().empty()) return;
  throw Error(ErrorCode::unsupported,
              "this build has no Vega library, which the HTML page needs; install libjs-vega, or "
              "configure with -DSPIKETUNE_VEGA_JS=<path of vega.min.js>, and build again");
}

ReportPageData report_page_data(const json& report) {
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
  ReportPageData content;
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
    content.summaries.emplace_back(mode, summarise(report, in_mode, curves, mode));
  }
  content.data = {{"mode", primary},
                  {"curves", packed_curves(curves)},
                  {"points", std::move(packed)},
                  {"views", std::move(views)},
                  {"sources", report_sources(report)}};
  return content;
}

}  // namespace spiketune
