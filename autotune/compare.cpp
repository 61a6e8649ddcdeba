#include "spiketune/autotune/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "spiketune/autotune/rank_statistics.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/datasets/random.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::number;
using report_json::text;

constexpr double z95 = 1.959964;  // normal quantile of a 95 % interval
constexpr double z90 = 1.644854;  // and of a 90 % interval
constexpr double level = 0.05;
constexpr double assumed_drift = 0.01;
constexpr std::size_t least_residuals = 20;
constexpr std::size_t least_kernels = 5;
constexpr std::size_t few_problems = 8;
constexpr std::uint64_t resamples = 2000;
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

/// A standard normal number, by Box and Muller.
double normal(const RandomStream& random, std::uint64_t index) {
  const double u = static_cast<double>((random.bits(2 * index) >> 11) + 1) * 0x1p-53;
  const double v = static_cast<double>(random.bits(2 * index + 1) >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

double normal_p(double z) {
  return std::erfc(std::abs(z) / std::numbers::sqrt2);
}

// Which points are the same work.

struct Match {
  std::size_t base = 0;
  std::size_t next = 0;
};

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

// What their samples say.

/// A logarithm of a ratio new / base with its 95 % interval.
struct Change {
  double x = 0;
  double low = 0;
  double high = 0;
  double p = 1;
  bool enough = true;
  const char* verdict = "undecided";

  [[nodiscard]] double error() const { return (high - low) / (2 * z95); }
};

struct Series {
  std::size_t match = 0;  ///< index
  Change change;
  double sampling_error = 0;  ///< of the change, without drift
  double base_us = 0;
  double next_us = 0;
  std::size_t base_samples = 0;
  std::size_t next_samples = 0;
};

/// All points' series of one quantity in one mode.
struct Family {
  const char* quantity = "";
  const char* mode = "";
  double drift = 0;       ///< of each problem by itself
  double common = 0;      ///< the whole run's
  double copy_drift = 0;  ///< what a copy shows of that
  const char* drift_from = "";
  std::vector<Series> series;
};

/// ln(µs) of the samples taken in this mode; empty where there are none, or none that makes sense.
std::vector<double> log_samples(const json& point, const std::string& quantity, const char* mode) {
  for (const char* key : {"_us", "_hot_us"}) {
    const json& measured = child(point, (quantity + key).c_str());
    if (text(measured, "mode") != mode) continue;
    std::vector<double> logs;
    for (const json& sample : child(measured, "samples")) {
      const double value = sample.is_number() ? sample.get<double>() : 0;
      if (!(value > 0) || !std::isfinite(value)) return {};
      logs.push_back(std::log(value));
    }
    return logs;
  }
  return {};
}

double median_us(const std::vector<double>& logs) {
  return std::exp(statistics(logs).median);
}

Family read_family(const json& base, const json& next, const std::vector<Match>& matches,
                   const char* quantity, const char* mode) {
  Family family;
  family.quantity = quantity;
  family.mode = mode;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    const auto before = log_samples(base[matches[i].base], quantity, mode);
    const auto after = log_samples(next[matches[i].next], quantity, mode);
    if (before.empty() || after.empty()) continue;
    const Shift found = shift(before, after);
    Series series;
    series.match = i;
    series.change = {found.estimate, found.low,  found.high, mann_whitney_p(before, after),
                     found.enough,   "undecided"};
    series.sampling_error = series.change.error();
    series.base_us = median_us(before);
    series.next_us = median_us(after);
    series.base_samples = before.size();
    series.next_samples = after.size();
    family.series.push_back(series);
  }
  return family;
}

/// Kernel of a product; of an encoding, which kernels share, its format and whose it is.
std::string kernel_name(const json& point, const std::string& quantity) {
  if (quantity != "encode") return format_and_kernel(point);
  const std::string kernel = text(point, "kernel");
  return text(point, "format") +
         (flag(point, "baseline") ? " (" + kernel.substr(0, kernel.find('.')) + ")" : "");
}

/// How much faster or slower the machine itself was: ln of the ratio of the copy bandwidths,
/// without its sign.
double copy_drift(const json& base, const json& next) {
  const auto before = number(child(base, "environment"), "copy_gbps");
  const auto after = number(child(next, "environment"), "copy_gbps");
  if (!before || !after || *before <= 0 || *after <= 0) return 0;
  return std::abs(std::log(*after / *before));
}

/// ln of the ratios of each kernel's points that have enough samples.
std::vector<std::vector<double>> changes_by_kernel(const Family& family, const json& base,
                                                   const std::vector<Match>& matches) {
  std::map<std::string, std::vector<double>> by_kernel;
  for (const Series& series : family.series) {
    if (!series.change.enough) continue;
    const json& point = base[matches[series.match].base];
    by_kernel[text(point, "backend") + kernel_name(point, family.quantity)].push_back(
        series.change.x);
  }
  std::vector<std::vector<double>> result;
  result.reserve(by_kernel.size());
  for (auto& [kernel, changes] : by_kernel) result.push_back(std::move(changes));
  return result;
}

/// The spread around the medians of the kernels; nothing where there are too few residuals.
std::optional<double> estimate_drift(const std::vector<std::vector<double>>& kernels) {
  std::vector<double> residuals;
  for (const auto& changes : kernels) {
    if (changes.size() < 3) continue;  // the median of one or two is too near to them
    const double center = statistics(changes).median;
    for (const double x : changes) residuals.push_back(std::abs(x - center));
  }
  if (residuals.size() < least_residuals) return std::nullopt;
  std::sort(residuals.begin(), residuals.end());
  return percentile(residuals, 0.9) / z90;
}

/// How far the kernels moved together: the median of their medians; 0 for fewer than five kernels,
/// among which one that changed would count too much.
double shift_of_run(const std::vector<std::vector<double>>& kernels) {
  if (kernels.size() < least_kernels) return 0;
  std::vector<double> centers;
  centers.reserve(kernels.size());
  for (const auto& changes : kernels) centers.push_back(statistics(changes).median);
  return statistics(centers).median;
}

/// See "Drift" in compare.hpp.
void set_drift(Family& family, const json& base, const json& next,
               const std::vector<Match>& matches, const std::optional<double>& given) {
  const bool same_device = device_of(base) == device_of(next);
  family.drift_from = given ? "given" : "assumed";
  family.drift = given.value_or(assumed_drift);
  if (!same_device || given) return;
  const auto kernels = changes_by_kernel(family, points_of(base), matches);
  if (const auto estimate = estimate_drift(kernels)) {
    family.drift = *estimate;
    family.drift_from = "estimate";
  }
  family.copy_drift = copy_drift(base, next);
  family.common = std::max(family.copy_drift, std::abs(shift_of_run(kernels)));
}

const char* verdict_of(const Change& change, double adjusted_p, double min_effect) {
  const double effect = std::log1p(min_effect);
  if (!change.enough) return "undecided";
  if (adjusted_p < level && change.x >= effect && change.low > 0) return "slower";
  if (adjusted_p < level && change.x <= -effect && change.high < 0) return "faster";
  return change.low >= -effect && change.high <= effect ? "same" : "undecided";
}

void judge(std::span<Change* const> changes, double min_effect) {
  std::vector<double> p_values;
  for (const Change* change : changes) p_values.push_back(change->p);
  const std::vector<double> adjusted = holm(p_values);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    changes[i]->p = adjusted[i];
    changes[i]->verdict = verdict_of(*changes[i], adjusted[i], min_effect);
  }
}

/// Widens the interval by a standard deviation that it does not cover yet, and sets p accordingly.
void widen(Change& change, double deviation) {
  change.low = change.x - std::hypot(change.x - change.low, z95 * deviation);
  change.high = change.x + std::hypot(change.high - change.x, z95 * deviation);
}

double p_of(const Change& change) {
  return normal_p(change.x / std::max(change.error(), 1e-12));
}

/// Widens the intervals by the drift, and judges.
void judge_family(Family& family, double min_effect) {
  std::vector<Change*> changes;
  for (Series& series : family.series) {
    Change& change = series.change;
    widen(change, std::hypot(family.drift, family.common));
    change.p = std::max(change.p, p_of(change));
    changes.push_back(&change);
  }
  judge(changes, min_effect);
}

// What many points say together.

struct Group {
  std::string name;
  std::vector<const Series*> members;
  Change mean;
};

/// The members' changes of one problem.
struct Cluster {
  double sum = 0;
  double count = 0;
  double error = 0;  ///< standard deviation of their common mean: the drift, and their own
};

std::vector<Cluster> clusters_of(const Group& group, const json& base,
                                 const std::vector<Match>& matches, double drift) {
  std::map<std::string, std::vector<const Series*>> by_problem;
  for (const Series* series : group.members) {
    const json& point = base[matches[series->match].base];
    by_problem[child(point, "problem").dump(-1, ' ', false, json::error_handler_t::replace) +
               text(point, "backend")]
        .push_back(series);
  }
  std::vector<Cluster> clusters;
  for (const auto& [problem, members] : by_problem) {
    Cluster cluster;
    double squares = 0;
    for (const Series* series : members) {
      cluster.sum += series->change.x;
      squares += std::pow(series->sampling_error, 2);
    }
    cluster.count = static_cast<double>(members.size());
    cluster.error = std::hypot(drift, std::sqrt(squares) / cluster.count);
    clusters.push_back(cluster);
  }
  return clusters;
}

/// The mean with its bootstrap interval.
Change bootstrap_mean(const std::vector<Cluster>& clusters) {
  const RandomStream draws{1, 0};
  const RandomStream errors{1, 1};
  const std::size_t size = clusters.size();
  std::vector<double> means;
  for (std::uint64_t i = 0; i < resamples; ++i) {
    double sum = 0;
    double count = 0;
    for (std::uint64_t j = 0; j < size; ++j) {
      const Cluster& cluster = clusters[draws.bits(i * size + j) % size];
      sum += cluster.sum;
      count += cluster.count;
      if (size < few_problems) sum += cluster.count * cluster.error * normal(errors, i * size + j);
    }
    means.push_back(sum / count);
  }
  double sum = 0;
  double count = 0;
  for (const Cluster& cluster : clusters) {
    sum += cluster.sum;
    count += cluster.count;
  }
  std::sort(means.begin(), means.end());
  Change mean{sum / count, percentile(means, 0.025), percentile(means, 0.975), 1, true,
              "undecided"};
  return mean;
}

/// Groups in order of first appearance, by what `name` makes of a point.
template <class Name>
std::vector<Group> group_by(const Family& family, const json& base,
                            const std::vector<Match>& matches, double common, Name&& name) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> index;
  for (const Series& series : family.series) {
    const std::string key = name(base[matches[series.match].base]);
    const auto [found, added] = index.emplace(key, groups.size());
    if (added) groups.push_back({key, {}, {}});
    groups[found->second].members.push_back(&series);
  }
  for (Group& group : groups) {
    const auto clusters = clusters_of(group, base, matches, family.drift);
    group.mean = bootstrap_mean(clusters);
    // Problems that happen to agree do not prove more than the drift allows.
    const double least = z95 * family.drift / std::sqrt(static_cast<double>(clusters.size()));
    group.mean.low = std::min(group.mean.low, group.mean.x - least);
    group.mean.high = std::max(group.mean.high, group.mean.x + least);
    widen(group.mean, common);
    group.mean.p = p_of(group.mean);
  }
  return groups;
}

// As JSON.

json counts_of(const std::vector<const Series*>& members) {
  json counts = {{"faster", 0}, {"slower", 0}, {"same", 0}, {"undecided", 0}};
  for (const Series* series : members) {
    json& count = counts[series->change.verdict];
    count = count.get<int>() + 1;
  }
  return counts;
}

void put_change(json& object, const Change& change) {
  object["ratio"] = std::exp(change.x);
  object["low"] = std::exp(change.low);
  object["high"] = std::exp(change.high);
}

json groups_to_json(const std::vector<Group>& groups, bool judged) {
  json result = json::array();
  for (const Group& group : groups) {
    json entry = {{"name", group.name},
                  {"points", group.members.size()},
                  {"counts", counts_of(group.members)}};
    put_change(entry, group.mean);
    if (judged) {
      entry["p"] = group.mean.p;
      entry["verdict"] = group.mean.verdict;
    }
    result.push_back(std::move(entry));
  }
  return result;
}

json family_to_json(const Family& family, const json& base, const std::vector<Match>& matches,
                    double min_effect) {
  bool several_backends = false;
  for (const Match& match : matches) {
    several_backends |= text(base[match.base], "backend") != text(base[matches[0].base], "backend");
  }
  const auto with_backend = [&](const std::string& name, const json& point) {
    return several_backends ? name + " · " + text(point, "backend") : name;
  };
  const auto grouped = [&](double common, auto&& name) {
    return group_by(family, base, matches, common, name);
  };
  std::vector<Group> kernels = grouped(family.common, [&](const json& point) {
    return with_backend(kernel_name(point, family.quantity), point);
  });
  std::vector<Change*> means;
  means.reserve(kernels.size());
  for (Group& kernel : kernels) means.push_back(&kernel.mean);
  judge(means, min_effect);
  const auto formats = grouped(
      family.common, [&](const json& point) { return with_backend(text(point, "format"), point); });
  const auto workloads = grouped(
      family.common, [](const json& point) { return text(child(point, "problem"), "workload"); });
  // Its own shift is no evidence against itself.
  auto all = grouped(family.copy_drift, [](const json&) { return std::string("all"); });
  Change* const whole = &all.front().mean;
  judge({&whole, 1}, min_effect);
  return {{"quantity", family.quantity},
          {"mode", family.mode},
          {"drift", family.drift},
          {"common_drift", family.common},
          {"drift_from", family.drift_from},
          {"counts", counts_of(all.front().members)},
          {"all", groups_to_json(all, true).front()},
          {"kernels", groups_to_json(kernels, true)},
          {"formats", groups_to_json(formats, false)},
          {"workloads", groups_to_json(workloads, false)}};
}

json series_to_json(const Family& family, const Series& series) {
  json result = {{"quantity", family.quantity}, {"mode", family.mode},
                 {"base_us", series.base_us},   {"new_us", series.next_us},
                 {"p", series.change.p},        {"verdict", series.change.verdict}};
  put_change(result, series.change);
  if (!series.change.enough) {
    result["why"] = fmt::format("{} and {} samples are too few for a 95 % interval",
                                series.base_samples, series.next_samples);
  }
  return result;
}

// What the reports are.

json describe(const json& report) {
  return {{"created", text(report, "created")},
          {"git", text(report, "git")},
          {"device", device_of(report)},
          {"copy_gbps", child(child(report, "environment"), "copy_gbps")},
          {"points", points_of(report).size()}};
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
  json points = json::array();
  for (const Match& match : matches) points.push_back(point_to_json(base, match));
  json families = json::array();
  for (const char* quantity : quantities) {
    for (const char* mode : modes) {
      Family family = read_family(before, after, matches, quantity, mode);
      if (family.series.empty()) continue;
      set_drift(family, base, next, matches, options.drift);
      judge_family(family, options.min_effect);
      for (const Series& series : family.series) {
        points[series.match]["series"].push_back(series_to_json(family, series));
      }
      families.push_back(family_to_json(family, before, matches, options.min_effect));
    }
  }
  refuse_unmeasured(points, refused);
  if (points.empty()) nothing_in_common(base, next, refused);
  return {{"schema", "spiketune.comparison/1"},
          {"base", describe(base)},
          {"new", describe(next)},
          {"differences", differences_of(base, next)},
          {"same_device", device_of(base) == device_of(next)},
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
