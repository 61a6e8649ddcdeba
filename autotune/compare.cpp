#include "spiketune/autotune/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "spiketune/autotune/compare_groups.hpp"
#include "spiketune/autotune/compare_series.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using comparison::Family;
using comparison::Match;
using nlohmann::json;
using report_json::child;
using report_json::number;
using report_json::text;

constexpr std::array<const char*, 3> quantities{"total", "encode", "compute"};
constexpr std::array<const char*, 2> modes{"cold", "hot"};

const json& points_of(const json& report) {
  static const json none = json::array();
  const json& points = child(report, "points");
  return points.is_array() ? points : none;
}

/// The GPU of a report that has one, else its processor.
std::string device_of(const json& report) {
  const json& environment = child(report, "environment");
  std::string gpu = text(environment, "gpu");
  if (!gpu.empty()) return gpu;
  return fmt::format("{}, {:.0f} threads", text(environment, "cpu"),
                     number(environment, "threads").value_or(0));
}

// Which points are the same work.

/// By reason, the points refused for it.
using Refused = std::map<std::string, json>;

std::string point_name(const json& point) {
  const json& problem = child(point, "problem");
  const auto size = [&](const char* key) { return number(problem, key).value_or(0); };
  std::string name = fmt::format("{} {:.0f}×{:.0f}×{:.0f}", text(problem, "workload"),
                                 size("timesteps") * size("rows"), size("k"), size("n"));
  if (const auto density = number(problem, "density")) name += " " + format_density(*density);
  name += " " + format_and_kernel(point);
  const json& config = child(point, "config");
  if (!config.empty()) name += " " + config.dump(-1, ' ', false, json::error_handler_t::replace);
  return name;
}

void refuse(Refused& refused, const char* reason, const json& point, const std::string& detail) {
  refused[reason].push_back({{"name", point_name(point)}, {"detail", detail}});
}

/// What must be equal for two points to be the same work.
std::string key_of(const json& point) {
  return json::array({child(point, "problem"), child(point, "format"), child(point, "kernel"),
                      child(point, "config"), child(point, "backend")})
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The same without what a reader may have changed by mistake.
std::string loose_key_of(json point) {
  point["backend"] = nullptr;
  if (point["problem"].is_object()) {
    point["problem"].erase("pattern");
    point["problem"].erase("pattern_params");
  }
  return key_of(point);
}

/// The seed in the command that measures the point again; empty where there is none.
std::string seed_of(const json& point) {
  const std::string command = text(point, "command");
  const std::string option = " --seed ";
  const std::size_t at = command.rfind(option);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + option.size();
  return command.substr(begin, command.find(' ', begin) - begin);
}

/// Why two points with one key may not be compared: a reason and a detail, or two empty strings.
std::pair<const char*, std::string> why_not_comparable(const json& base, const json& next) {
  const bool base_ok = text(base, "status") == "ok";
  const bool next_ok = text(next, "status") == "ok";
  const auto state = [](const json& point) {
    const std::string reason = text(point, "reason");
    return text(point, "status") + (reason.empty() ? "" : ": " + reason);
  };
  if (!base_ok && !next_ok) return {"not ok in either report", state(next)};
  if (!base_ok) return {"not ok in the base", state(base)};
  if (!next_ok) return {"not ok in the new report", state(next)};
  const std::string base_seed = seed_of(base);
  const std::string next_seed = seed_of(next);
  const bool generated = text(child(base, "problem"), "pattern") != "trace";
  if (generated && !base_seed.empty() && !next_seed.empty() && base_seed != next_seed) {
    return {"other spikes", "seed " + base_seed + " and " + next_seed};
  }
  const auto base_nnz = number(base, "nnz");
  const auto next_nnz = number(next, "nnz");
  if (base_nnz && next_nnz && *base_nnz != *next_nnz) {
    return {"other spikes", fmt::format("{:.0f} and {:.0f} nonzeros", *base_nnz, *next_nnz)};
  }
  return {"", ""};
}

/// Points by key, the first of equals; the others are refused.
std::map<std::string, std::size_t> index_points(const json& points, const char* where,
                                                Refused& refused) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!points[i].is_object()) {
      refuse(refused, "not a point", points[i], where);
    } else if (!index.emplace(key_of(points[i]), i).second) {
      refuse(refused, "measured twice in one report", points[i], where);
    }
  }
  return index;
}

/// Refuses a point without partner; `others` are those of the other report by their loose keys.
void refuse_single(Refused& refused, const json& point, const char* reason,
                   const std::multimap<std::string, const json*>& others) {
  const auto near = others.find(loose_key_of(point));
  if (near == others.end()) return refuse(refused, reason, point, "");
  const json& other = *near->second;
  const auto both = [](const std::string& a, const std::string& b) { return a + " and " + b; };
  if (text(point, "backend") != text(other, "backend")) {
    return refuse(refused, "another backend", point,
                  both(text(point, "backend"), text(other, "backend")));
  }
  const auto pattern = [](const json& one) {
    const json& problem = child(one, "problem");
    const json& params = child(problem, "pattern_params");
    return text(problem, "pattern") +
           (params.empty() ? "" : params.dump(-1, ' ', false, json::error_handler_t::replace));
  };
  refuse(refused, "another pattern of spikes", point, both(pattern(point), pattern(other)));
}

std::vector<Match> match_points(const json& base, const json& next, Refused& refused) {
  const auto base_index = index_points(base, "the base", refused);
  const auto next_index = index_points(next, "the new report", refused);
  const auto by_loose_key = [](const json& points) {
    std::multimap<std::string, const json*> result;
    for (const json& point : points) {
      if (point.is_object()) result.emplace(loose_key_of(point), &point);
    }
    return result;
  };
  const auto base_loose = by_loose_key(base);
  const auto next_loose = by_loose_key(next);
  std::vector<Match> matches;
  for (const auto& [key, i] : base_index) {
    const auto found = next_index.find(key);
    if (found == next_index.end()) {
      refuse_single(refused, base[i], "only in the base", next_loose);
      continue;
    }
    const auto [reason, detail] = why_not_comparable(base[i], next[found->second]);
    if (*reason != '\0') {
      refuse(refused, reason, base[i], detail);
    } else {
      matches.push_back({i, found->second});
    }
  }
  for (const auto& [key, i] : next_index) {
    if (!base_index.contains(key)) {
      refuse_single(refused, next[i], "only in the new report", base_loose);
    }
  }
  std::sort(matches.begin(), matches.end(),
            [](const Match& a, const Match& b) { return a.base < b.base; });
  return matches;
}

// What the reports are.

json describe(const json& report) {
  return {{"created", text(report, "created")},
          {"git", text(report, "git")},
          {"device", device_of(report)},
          {"copy_gbps", child(child(report, "environment"), "copy_gbps")},
          {"points", points_of(report).size()}};
}

/// How much faster or slower the machine itself was: ln of the ratio of the copy bandwidths,
/// without its sign.
double copy_drift(const json& base, const json& next) {
  const auto before = number(child(base, "environment"), "copy_gbps");
  const auto after = number(child(next, "environment"), "copy_gbps");
  if (!before || !after || *before <= 0 || *after <= 0) return 0;
  return std::abs(std::log(*after / *before));
}

json differences_of(const json& base, const json& next) {
  json result = json::array();
  const auto note = [&](const std::string& what, const json& a, const json& b) {
    if (a != b) result.push_back({{"what", what}, {"base", a}, {"new", b}});
  };
  note("git", child(base, "git"), child(next, "git"));
  const json& before = child(base, "environment");
  const json& after = child(next, "environment");
  for (const char* key :
       {"gpu", "compute_capability", "sms", "l2_bytes", "driver", "cuda", "cpu", "threads"}) {
    note(key, child(before, key), child(after, key));
  }
  std::map<std::string, std::pair<json, json>> versions;
  const auto read = [&](const json& environment, auto member) {
    const json& named = child(environment, "versions");
    if (!named.is_object()) return;
    for (const auto& [name, version] : named.items()) versions[name].*member = version;
  };
  read(before, &std::pair<json, json>::first);
  read(after, &std::pair<json, json>::second);
  for (const auto& [name, pair] : versions) note(name, pair.first, pair.second);
  return result;
}

json refused_to_json(const Refused& refused) {
  json result = json::array();
  for (const auto& [reason, points] : refused) {
    result.push_back({{"reason", reason}, {"count", points.size()}, {"points", points}});
  }
  return result;
}

[[noreturn]] void nothing_in_common(const json& base, const json& next, const Refused& refused) {
  std::string why;
  for (const auto& [reason, points] : refused) {
    why += fmt::format("{}{} {}", why.empty() ? "" : ", ", points.size(), reason);
    const std::string detail = text(points.front(), "detail");
    if (!detail.empty()) why += " (" + detail + ")";
  }
  throw Error(ErrorCode::invalid_argument,
              fmt::format("the reports have no point in common that can be compared, of {} and {}",
                          points_of(base).size(), points_of(next).size()) +
                  (why.empty() ? "" : ": " + why));
}

json point_to_json(const json& base, const Match& match) {
  const json& point = points_of(base)[match.base];
  json result = {{"base", match.base}, {"new", match.next}, {"series", json::array()}};
  for (const char* key : {"problem", "format", "kernel", "config", "backend", "baseline"}) {
    result[key] = child(point, key);
  }
  return result;
}

json series_to_json(const Family& family, const comparison::Series& series) {
  json result = {{"quantity", family.quantity}, {"mode", family.mode},
                 {"base_us", series.base_us},   {"new_us", series.next_us},
                 {"p", series.change.p},        {"verdict", series.change.verdict}};
  comparison::put_change(result, series.change);
  if (!series.change.enough) {
    result["why"] = fmt::format("{} and {} samples are too few for a 95 % interval",
                                series.base_samples, series.next_samples);
  }
  return result;
}

/// Points that lost all their series: measured in different modes, or with samples of no time.
void refuse_unmeasured(json& points, Refused& refused) {
  json kept = json::array();
  for (json& point : points) {
    if (point["series"].empty()) {
      refuse(refused, "no samples of the same mode in both", point, "");
    } else {
      kept.push_back(std::move(point));
    }
  }
  points = std::move(kept);
}

}  // namespace

json compare_reports(const json& base, const json& next, const CompareOptions& options) {
  Refused refused;
  const json& before = points_of(base);
  const json& after = points_of(next);
  const std::vector<Match> matches = match_points(before, after, refused);
  const bool same_device = device_of(base) == device_of(next);
  const auto drift_of_copies = same_device ? std::optional(copy_drift(base, next)) : std::nullopt;
  json points = json::array();
  for (const Match& match : matches) points.push_back(point_to_json(base, match));
  json families = json::array();
  for (const char* quantity : quantities) {
    for (const char* mode : modes) {
      Family family = comparison::read_family(before, after, matches, quantity, mode);
      if (family.series.empty()) continue;
      comparison::set_drift(family, before, matches, drift_of_copies, options.drift);
      comparison::judge_family(family, options.min_effect);
      for (const comparison::Series& series : family.series) {
        points[series.match]["series"].push_back(series_to_json(family, series));
      }
      families.push_back(comparison::family_to_json(family, before, matches, options.min_effect));
    }
  }
  refuse_unmeasured(points, refused);
  if (points.empty()) nothing_in_common(base, next, refused);
  return {{"schema", "spiketune.comparison/1"},
          {"base", describe(base)},
          {"new", describe(next)},
          {"differences", differences_of(base, next)},
          {"same_device", same_device},
          {"min_effect", options.min_effect},
          {"points", std::move(points)},
          {"families", std::move(families)},
          {"refused", refused_to_json(refused)}};
}

bool kernel_slower(const json& comparison) {
  for (const json& family : child(comparison, "families")) {
    for (const json& kernel : child(family, "kernels")) {
      if (text(kernel, "verdict") == "slower") return true;
    }
  }
  return false;
}

bool total_slower(const json& comparison) {
  for (const json& family : child(comparison, "families")) {
    const bool total = text(family, "quantity") == "total";
    if (total && number(child(family, "counts"), "slower").value_or(0) > 0) return true;
  }
  return false;
}

bool all_slower(const json& comparison) {
  for (const json& family : child(comparison, "families")) {
    const bool total = text(family, "quantity") == "total";
    if (total && text(child(family, "all"), "verdict") == "slower") return true;
  }
  return false;
}

}  // namespace spiketune
