#include "spiketune/autotune/analysis.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "spiketune/autotune/report_json.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::flag;
using report_json::number;
using report_json::text;

struct Interval {
  double median = 0;
  double low = 0;
  double high = 0;
};

/// A point that may win, with what the comparison needs of it.
struct Candidate {
  std::size_t point = 0;
  std::string format;
  bool baseline = false;
  std::string mode;
  Interval total;
};

/// All candidates of one problem on one backend.
struct ProblemGroup {
  json problem;
  std::string backend;
  std::vector<Candidate> candidates;
};

std::optional<Interval> interval_of(const json& measurement) {
  const auto median = number(measurement, "median");
  if (!median || !(*median > 0)) return std::nullopt;
  // Limits on the wrong side of the median would turn intervals inside out.
  const double low = std::min(number(measurement, "p05").value_or(*median), *median);
  const double high = std::max(number(measurement, "p95").value_or(*median), *median);
  // A sample of zero is below the clock's resolution; its logarithm must still be finite.
  constexpr double kLeastMicroseconds = 1e-6;
  return Interval{*median, std::max(low, std::min(*median, kLeastMicroseconds)), high};
}

std::optional<Candidate> candidate_of(const json& point, std::size_t index) {
  if (text(point, "status") != "ok" || flag(point, "lossy")) return std::nullopt;
  const json& total = report_json::child(point, "total_us");
  const auto interval = interval_of(total);
  const std::string format = text(point, "format");
  if (!interval || format.empty()) return std::nullopt;
  const char* mode = text(total, "mode") == "hot" ? "hot" : "cold";
  return Candidate{index, format, flag(point, "baseline"), mode, *interval};
}

/// Where cold and hot totals meet under one key, the hot ones go.
void keep_one_mode(std::vector<Candidate>& candidates) {
  const auto is_cold = [](const Candidate& c) { return c.mode != "hot"; };
  if (std::any_of(candidates.begin(), candidates.end(), is_cold)) {
    std::erase_if(candidates, [&](const Candidate& c) { return !is_cold(c); });
  }
}

std::vector<ProblemGroup> group_by_problem(const json& points) {
  std::vector<ProblemGroup> groups;
  std::map<std::string, std::size_t> index_of;
  if (!points.is_array()) return groups;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const json& problem = report_json::child(points[i], "problem");
    auto candidate = candidate_of(points[i], i);
    if (!candidate || !problem.is_object()) continue;
    const std::string backend = text(points[i], "backend");
    const auto [found, is_new] = index_of.try_emplace(
        backend + problem.dump(-1, ' ', false, json::error_handler_t::replace), groups.size());
    if (is_new) groups.push_back({problem, backend, {}});
    groups[found->second].candidates.push_back(std::move(*candidate));
  }
  for (auto& group : groups) keep_one_mode(group.candidates);
  return groups;
}

template <class Predicate>
const Candidate* best(const std::vector<Candidate>& candidates, Predicate&& predicate) {
  const Candidate* result = nullptr;
  for (const auto& candidate : candidates) {
    if (!predicate(candidate)) continue;
    if (result == nullptr || candidate.total.median < result->total.median) result = &candidate;
  }
  return result;
}

bool overlap(const Interval& a, const Interval& b) {
  return a.low <= b.high && b.low <= a.high;
}

/// A format's best candidate at one density.
using BestByFormat = std::map<std::string, Candidate>;

BestByFormat best_by_format(const std::vector<Candidate>& candidates) {
  BestByFormat result;
  for (const auto& candidate : candidates) {
    const auto [found, is_new] = result.try_emplace(candidate.format, candidate);
    if (!is_new && candidate.total.median < found->second.total.median) found->second = candidate;
  }
  return result;
}

json ratio(const Candidate* slower, const Candidate& faster) {
  if (slower == nullptr) return nullptr;
  return slower->total.median / faster.total.median;
}

json winner_of(const ProblemGroup& group, const json& points) {
  const auto& candidates = group.candidates;
  const Candidate& winner = *best(candidates, [](const Candidate&) { return true; });
  const Candidate* dense = best(candidates, [](const Candidate& c) { return c.format == "dense"; });
  const Candidate* baseline = best(candidates, [](const Candidate& c) { return c.baseline; });
  json ties = json::array();
  for (const auto& [format, candidate] : best_by_format(candidates)) {
    if (format != winner.format && overlap(candidate.total, winner.total)) ties.push_back(format);
  }
  return {{"problem", group.problem},
          {"backend", group.backend},
          {"format", winner.format},
          {"kernel", text(points[winner.point], "kernel")},
          {"baseline", winner.baseline},
          {"mode", winner.mode},
          {"total_us", winner.total.median},
          {"speedup_over_dense", ratio(dense, winner)},
          {"speedup_over_best_baseline", ratio(baseline, winner)},
          {"ties", ties},
          {"point", winner.point}};
}

/// The measured densities of one problem without its density, ascending in x = ln(density).
struct Curve {
  json problem;
  std::string backend;
  std::string mode;
  std::map<double, BestByFormat> at;
};

std::vector<Curve> curves_of(const std::vector<ProblemGroup>& groups) {
  std::vector<Curve> curves;
  std::map<std::string, std::size_t> index_of;
  for (const auto& group : groups) {
    const auto density = number(group.problem, "density");
    if (!density || !(*density > 0)) continue;
    json problem = group.problem;
    problem.erase("density");
    const std::string& mode = group.candidates.front().mode;
    const auto [found, is_new] = index_of.try_emplace(
        group.backend + mode + problem.dump(-1, ' ', false, json::error_handler_t::replace),
        curves.size());
    if (is_new) curves.push_back({std::move(problem), group.backend, mode, {}});
    curves[found->second].at.emplace(std::log(*density), best_by_format(group.candidates));
  }
  return curves;
}

/// The logarithms of two formats' totals at one density, and the limits of their difference.
struct Gap {
  double x = 0;
  double log_a = 0;
  double g = 0;
  double low = 0;
  double high = 0;
};

std::vector<Gap> gaps_between(const Curve& curve, const std::string& a, const std::string& b) {
  std::vector<Gap> gaps;
  for (const auto& [x, formats] : curve.at) {
    const auto found_a = formats.find(a);
    const auto found_b = formats.find(b);
    if (found_a == formats.end() || found_b == formats.end()) continue;
    const Interval& ta = found_a->second.total;
    const Interval& tb = found_b->second.total;
    gaps.push_back({x, std::log(ta.median), std::log(ta.median) - std::log(tb.median),
                    std::log(ta.low) - std::log(tb.high), std::log(ta.high) - std::log(tb.low)});
  }
  return gaps;
}

double between(double from, double to, double share) {
  return from + (to - from) * share;
}

/// The end, from `inside` towards `outside`, of the stretch on which the line from `value_inside`
/// to `value_outside` keeps the sign it has inside.
double zero_between(double inside, double outside, double value_inside, double value_outside) {
  const double share = value_inside / (value_inside - value_outside);
  return between(inside, outside, std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0);
}

/// Walks from x* (between gaps[left] and gaps[left + 1]) in `step` (-1 or +1) and returns where
/// zero leaves [low, high]; `open` is set where it has not left at the last density measured.
double noise_limit(const std::vector<Gap>& gaps, std::size_t start, double x_star, double low,
                   double high, int step, bool& open) {
  double x = x_star;
  for (auto i = static_cast<std::ptrdiff_t>(start);
       i >= 0 && i < static_cast<std::ptrdiff_t>(gaps.size()); i += step) {
    const Gap& next = gaps[static_cast<std::size_t>(i)];
    if (next.low > 0) return zero_between(x, next.x, low, next.low);
    if (next.high < 0) return zero_between(x, next.x, high, next.high);
    x = next.x;
    low = next.low;
    high = next.high;
  }
  open = true;
  return x;
}

/// A zero of g: before it lies gaps[before] with one sign, after it gaps[after] with the other.
struct SignChange {
  std::size_t before = 0;
  std::size_t after = 0;
};

std::vector<SignChange> sign_changes(const std::vector<Gap>& gaps) {
  std::vector<SignChange> changes;
  std::optional<std::size_t> last;  // the last gap that is not zero
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    if (gaps[i].g == 0) continue;
    if (last && (gaps[*last].g > 0) != (gaps[i].g > 0)) changes.push_back({*last, i});
    last = i;
  }
  return changes;
}

json crossing(const Curve& curve, const std::string& a, const std::string& b,
              const std::vector<Gap>& gaps, SignChange change) {
  // With zeros in between, g is zero on all of them: take their middle. Without, interpolate.
  const Gap& p = gaps[change.before];
  const Gap& q = gaps[change.after];
  double x_star = 0;
  double log_total = 0;
  double low = 0;
  double high = 0;
  std::size_t left = change.before;
  if (change.after == change.before + 1) {
    const double share = p.g / (p.g - q.g);
    x_star = between(p.x, q.x, share);
    log_total = between(p.log_a, q.log_a, share);
    low = between(p.low, q.low, share);
    high = between(p.high, q.high, share);
  } else {
    x_star = (gaps[change.before + 1].x + gaps[change.after - 1].x) / 2;
    while (left + 1 < change.after - 1 && gaps[left + 1].x <= x_star) ++left;
    const Gap& l = gaps[left];
    const Gap& r = gaps[left + 1];
    const double share = (x_star - l.x) / (r.x - l.x);
    log_total = between(l.log_a, r.log_a, share);
    low = between(l.low, r.low, share);
    high = between(l.high, r.high, share);
  }
  bool low_open = false;
  bool high_open = false;
  const double x_low = noise_limit(gaps, left, x_star, low, high, -1, low_open);
  const double x_high = noise_limit(gaps, left + 1, x_star, low, high, +1, high_open);
  return {{"problem", curve.problem},
          {"backend", curve.backend},
          {"mode", curve.mode},
          {"a", a},
          {"b", b},
          {"density", std::exp(x_star)},
          {"low", std::exp(x_low)},
          {"high", std::exp(x_high)},
          {"low_open", low_open},
          {"high_open", high_open},
          {"total_us", std::exp(log_total)},
          {"faster_below", p.g < 0 ? a : b}};
}

void add_crossings(json& result, const Curve& curve, const std::string& a, const std::string& b) {
  const auto gaps = gaps_between(curve, a, b);
  for (const auto change : sign_changes(gaps)) {
    result.push_back(crossing(curve, a, b, gaps, change));
  }
}

void add_crossings_with_dense(json& result, const Curve& curve) {
  std::set<std::string> formats;
  for (const auto& [x, at] : curve.at) {
    for (const auto& [format, candidate] : at) formats.insert(format);
  }
  formats.erase("dense");
  for (const auto& format : formats) add_crossings(result, curve, format, "dense");
}

std::string fastest(const BestByFormat& formats) {
  return std::min_element(formats.begin(), formats.end(),
                          [](const auto& l, const auto& r) {
                            return l.second.total.median < r.second.total.median;
                          })
      ->first;
}

void add_crossings_of_winners(json& result, const Curve& curve) {
  std::set<std::pair<std::string, std::string>> done;
  std::string before;
  for (const auto& [x, formats] : curve.at) {
    const std::string now = fastest(formats);
    const auto pair = std::minmax(before, now);
    if (!before.empty() && before != now && before != "dense" && now != "dense" &&
        done.insert(pair).second) {
      add_crossings(result, curve, before, now);
    }
    before = now;
  }
}

json measurement_in_mode(const json& point, const char* key, const char* hot_key,
                         std::string_view mode) {
  for (const char* name : {key, hot_key}) {
    const json& measurement = report_json::child(point, name);
    if (text(measurement, "mode") == mode) return measurement;
  }
  return nullptr;
}

}  // namespace

json points_in_mode(const json& points, std::string_view mode) {
  json result = json::array();
  if (!points.is_array()) return result;
  for (const auto& point : points) {
    json copy = point;
    if (copy.is_object()) {
      copy["encode_us"] = measurement_in_mode(point, "encode_us", "encode_hot_us", mode);
      copy["compute_us"] = measurement_in_mode(point, "compute_us", "compute_hot_us", mode);
      copy["total_us"] = measurement_in_mode(point, "total_us", "total_hot_us", mode);
    }
    result.push_back(std::move(copy));
  }
  return result;
}

std::string primary_mode(const json& points) {
  if (!points.is_array()) return "cold";
  // Encoders have no total: where there are only those, their own time decides.
  for (const char* key : {"total_us", "encode_us"}) {
    bool hot = false;
    for (const auto& point : points) {
      std::string mode = text(report_json::child(point, key), "mode");
      if (mode == "cold") return mode;
      hot = hot || mode == "hot";
    }
    if (hot) return "hot";
  }
  return "cold";
}

json compute_winners(const json& points) {
  json winners = json::array();
  for (const auto& group : group_by_problem(points)) winners.push_back(winner_of(group, points));
  return winners;
}

json compute_crossovers(const json& points) {
  json crossovers = json::array();
  for (const auto& curve : curves_of(group_by_problem(points))) {
    add_crossings_with_dense(crossovers, curve);
    add_crossings_of_winners(crossovers, curve);
  }
  return crossovers;
}

void add_analysis(json& report) {
  const json& points = report_json::child(report, "points");
  json winners = compute_winners(points);
  json crossovers = compute_crossovers(points);
  report["winners"] = std::move(winners);
  report["crossovers"] = std::move(crossovers);
}

}  // namespace spiketune
