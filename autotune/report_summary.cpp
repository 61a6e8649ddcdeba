#include "spiketune/autotune/report_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/combine.hpp"
#include "spiketune/autotune/report_encoders.hpp"
#include "spiketune/autotune/report_json.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::number;
using report_json::text;

/// Curves named one by one in the summary; the rest is in the table.
constexpr std::size_t kCurvesInWords = 6;

/// Three significant digits, with the zeros that say so.
std::string significant(double value) {
  if (!std::isfinite(value)) return "?";
  if (value == 0) return "0";
  if (std::abs(value) >= 99.95) return fmt::format("{:.0f}", value);
  return fmt::format("{:#.3g}", value);
}

std::string without_trailing_zeros(std::string digits) {
  if (digits.find('.') == std::string::npos || digits.find('e') != std::string::npos) return digits;
  while (digits.back() == '0') digits.pop_back();
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

std::string plural(std::size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// A value of a problem as text, whatever its type.
std::string value_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) {
    std::string members;
    for (const auto& [key, member] : value.items()) {
      members += (members.empty() ? "" : ", ") + key + " " + value_text(member);
    }
    return members;
  }
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string key_of(const json& problem_without_density, const std::string& backend) {
  return backend + problem_without_density.dump(-1, ' ', false, json::error_handler_t::replace);
}

json without_density(const json& problem) {
  json result = problem;
  result.erase("density");
  return result;
}

std::string shape_of(const json& problem) {
  const auto rows = number(problem, "rows");
  const auto k = number(problem, "k");
  const auto n = number(problem, "n");
  if (!rows || !k || !n) return "?";
  return fmt::format("{:.0f}×{:.0f}×{:.0f}", *rows * number(problem, "timesteps").value_or(1), *k,
                     *n);
}

struct Field {
  const char* key;
  const char* name;
};

/// What may tell two problems of one workload and shape apart, in the order shown.
constexpr Field kFields[] = {
    {"timesteps", "T"},     {"pattern", "pattern"}, {"pattern_params", "with"},
    {"row_order", "rows"},  {"input", "input"},     {"value", "spikes"},
    {"weights", "weights"}, {"output", "output"},   {"amortise", "products per encoding"},
    {"device", "on"},       {"revision", "build"}};

void name_curves(std::vector<ReportCurve>& curves) {
  std::set<std::string> backends;
  for (const auto& curve : curves) backends.insert(curve.backend);
  for (auto& curve : curves) {
    curve.shape = shape_of(curve.problem);
    curve.label = text(curve.problem, "workload");
    curve.label += (curve.label.empty() ? "" : " ") + curve.shape;
    curve.detail = fmt::format("M × K × N = {}", curve.shape);
    for (const auto& field : kFields) {
      const json& value = child(curve.problem, field.key);
      if (value.empty()) continue;  // null, or no parameters
      const std::string part = fmt::format(" · {} {}", field.name, value_text(value));
      curve.detail += part;
      const bool varies = std::any_of(curves.begin(), curves.end(), [&](const ReportCurve& other) {
        return child(other.problem, field.key) != value &&
               child(other.problem, "workload") == child(curve.problem, "workload");
      });
      if (varies) curve.label += part;
    }
    curve.detail += " · backend " + curve.backend;
    if (backends.size() > 1) curve.label += " · " + curve.backend;
  }
}

/// What happened on one problem, as the summary tells it.
struct Outcome {
  double density = 0;
  json winner;                     ///< an entry of compute_winners
  std::optional<double> other_us;  ///< least total of a format other than dense
  std::string best_other;
};

bool dense_won(const Outcome& outcome) {
  return text(outcome.winner, "format") == "dense";
}

/// W in few bits, whose product is not that of the weights which a network was trained with.
bool is_quantised(const Outcome& outcome) {
  const std::string weights = text(child(outcome.winner, "problem"), "weights");
  return weights == "s8" || weights == "s4" || weights == "e4m3";
}

/// How many times as long the best other format takes where dense wins.
std::optional<double> other_over_dense(const Outcome& outcome) {
  const auto total = number(outcome.winner, "total_us");
  if (!outcome.other_us || !total) return std::nullopt;
  return *outcome.other_us / *total;
}

std::map<std::size_t, std::vector<Outcome>> outcomes_by_curve(const json& points,
                                                              const ReportCurves& curves) {
  json other_points = points;
  for (auto& point : other_points) {
    if (text(point, "format") == "dense") point["status"] = "skipped";
  }
  std::map<std::string, json> best_other;
  for (const auto& winner : compute_winners(other_points)) {
    best_other[key_of(child(winner, "problem"), text(winner, "backend"))] = winner;
  }
  std::map<std::size_t, std::vector<Outcome>> result;
  for (const auto& winner : compute_winners(points)) {
    Outcome outcome;
    outcome.density = number(child(winner, "problem"), "density")
                          .value_or(std::numeric_limits<double>::quiet_NaN());
    outcome.winner = winner;
    const auto other = best_other.find(key_of(winner["problem"], text(winner, "backend")));
    if (other != best_other.end()) {
      outcome.other_us = number(other->second, "total_us");
      outcome.best_other = text(other->second, "format");
    }
    result[curves.find(winner)].push_back(std::move(outcome));
  }
  for (auto& [curve, outcomes] : result) {
    std::stable_sort(outcomes.begin(), outcomes.end(),
                     [](const Outcome& l, const Outcome& r) { return l.density < r.density; });
  }
  return result;
}

std::string join(const std::vector<std::string>& parts, const char* between = ", ",
                 const char* last = " and ") {
  std::string result;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) result += i + 1 == parts.size() ? last : between;
    result += parts[i];
  }
  return result;
}

std::string density_words(double density) {
  return std::isnan(density) ? "its own density" : format_density(density);
}

/// Neighbouring densities with one winning format, as one clause.
std::string run_words(const std::vector<Outcome>& outcomes, std::size_t first, std::size_t last) {
  const Outcome& from = outcomes[first];
  const Outcome& to = outcomes[last];
  std::string result = format_and_kernel(from.winner) + " wins ";
  if (first == last) {
    result += "at " + density_words(from.density);
  } else {
    result += "from " + density_words(from.density) + " to " + density_words(to.density);
  }
  if (dense_won(from)) {
    // The margin grows with the density: the far end of the run says most.
    const auto margin = other_over_dense(to);
    if (margin) {
      result += fmt::format(" ({}, the best other format, takes {} as long{})", to.best_other,
                            format_ratio(*margin),
                            first == last ? "" : " at " + density_words(to.density));
    }
  } else if (const auto speedup = number(from.winner, "speedup_over_dense")) {
    result += fmt::format(" ({} over dense{})", format_ratio(*speedup),
                          first == last ? "" : " at " + density_words(from.density));
  }
  return result;
}

std::string interval_words(const json& crossover) {
  const auto low = number(crossover, "low");
  const auto high = number(crossover, "high");
  if (!low || !high) return "";
  const bool open_low = flag(crossover, "low_open");
  const bool open_high = flag(crossover, "high_open");
  if (open_low) return " (noise: anything below " + format_density(*high) + ")";
  if (open_high) return " (noise: anything above " + format_density(*low) + ")";
  if (format_density(*low) == format_density(*high)) return "";
  return " (noise: " + format_density(*low) + " to " + format_density(*high) + ")";
}

/// The crossover at which dense takes over from a sparse format (or the other way round) between
/// two neighbouring outcomes; null where there is none, or the noise allows any density measured.
const json* takeover(const Outcome& before, const Outcome& after,
                     const std::vector<json>& crossovers) {
  const std::string sparse = text((dense_won(before) ? after : before).winner, "format");
  for (const auto& crossover : crossovers) {
    const double density = number(crossover, "density").value_or(0);
    if (text(crossover, "a") != sparse || text(crossover, "b") != "dense" ||
        density < before.density || density > after.density ||
        (flag(crossover, "low_open") && flag(crossover, "high_open"))) {
      continue;
    }
    return &crossover;
  }
  return nullptr;
}

std::string takeover_words(const Outcome& before, const Outcome& after,
                           const std::vector<json>& crossovers) {
  const json* crossover = takeover(before, after, crossovers);
  if (crossover == nullptr) return "";
  const std::string sparse = text((dense_won(before) ? after : before).winner, "format");
  return fmt::format(" {} takes over from {} at {}{}.", dense_won(before) ? sparse : "Dense",
                     dense_won(before) ? "dense" : sparse,
                     format_density(number(*crossover, "density").value_or(0)),
                     interval_words(*crossover));
}

std::string curve_words(const std::vector<Outcome>& outcomes, const std::vector<json>& crossovers) {
  std::vector<std::string> clauses;
  std::string takeovers;
  for (std::size_t first = 0, last = 0; first < outcomes.size(); first = last + 1) {
    last = first;
    const std::string format = text(outcomes[first].winner, "format");
    while (last + 1 < outcomes.size() && text(outcomes[last + 1].winner, "format") == format) {
      ++last;
    }
    clauses.push_back(run_words(outcomes, first, last));
    if (first > 0 && dense_won(outcomes[first - 1]) != dense_won(outcomes[first])) {
      takeovers += takeover_words(outcomes[first - 1], outcomes[first], crossovers);
    }
  }
  return join(clauses, "; ", "; ") + "." + takeovers;
}

std::string asked_words(const json& report, const json& points, const ReportCurves& curves,
                        std::string_view mode, bool products) {
  std::set<std::string> formats;
  std::set<std::string> baselines;
  std::set<std::string> devices;
  const json sources = report_sources(report);
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (const auto& point : points) {
    if (!point.is_object()) continue;
    const auto source = static_cast<std::size_t>(number(point, "source").value_or(0));
    devices.insert(
        device_of(sources[std::min(source, sources.size() - 1)], text(point, "backend")));
    if (const auto density = number(child(point, "problem"), "density")) {
      least = std::min(least, *density);
      most = std::max(most, *density);
    }
    if (text(point, "status") != "ok") continue;
    if (flag(point, "baseline")) {
      const std::string kernel = text(point, "kernel");
      baselines.insert(kernel.substr(0, kernel.find('.')));
    } else {
      formats.insert(text(point, "format"));
    }
  }
  std::string result = products ? "Spikes times weights" : "Spikes into formats";
  if (!devices.empty()) result += " on " + join({devices.begin(), devices.end()});
  result += ": ";
  result += plural(curves.curves.size(), "workload");
  if (least <= most) {
    result += " at " + format_density(least);
    if (least < most) result += " to " + format_density(most);
    result += " density";
  }
  if (!formats.empty()) result += ", " + plural(formats.size(), "format");
  if (products && !baselines.empty()) {
    result += " and the baselines " + join({baselines.begin(), baselines.end()});
  }
  result += products ? ". Which is cheapest when the encoding is paid for on every call"
                     : ". How fast is the encoding";
  return result + (mode == "hot" ? ", with caches warm?" : ", from cold caches?");
}

/// An outcome with its curve.
struct Placed {
  const Outcome* outcome = nullptr;
  std::size_t curve = ReportCurves::kNone;
};

std::string place_words(const ReportCurves& curves, const Placed& placed) {
  std::string density = "at " + density_words(placed.outcome->density);
  if (placed.curve >= curves.curves.size()) return density;
  return "on " + curves.curves[placed.curve].label + " " + density;
}

/// Geometric mean of what was noted, and the extremes with their places.
struct Gains {
  std::size_t count = 0;
  double log_sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  Placed least_at;
  Placed most_at;

  void note(double ratio, const Placed& placed) {
    ++count;
    log_sum += std::log(ratio);
    if (ratio < least) std::tie(least, least_at) = std::pair(ratio, placed);
    if (ratio > most) std::tie(most, most_at) = std::pair(ratio, placed);
  }
  [[nodiscard]] std::string mean() const {
    return format_ratio(std::exp(log_sum / static_cast<double>(count)));
  }
};

/// "On 2 workloads dense takes over, between 1.03 % and 1.05 % density."; empty where it never
/// does.
std::string takeovers_words(const std::map<std::size_t, std::vector<Outcome>>& outcomes,
                            const std::map<std::size_t, std::vector<json>>& crossovers) {
  std::size_t workloads = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (const auto& [curve, list] : outcomes) {
    bool found = false;
    const auto own = crossovers.find(curve);
    if (own == crossovers.end()) continue;
    for (std::size_t i = 1; i < list.size(); ++i) {
      if (dense_won(list[i - 1]) || !dense_won(list[i])) continue;
      const json* crossover = takeover(list[i - 1], list[i], own->second);
      if (crossover == nullptr) continue;
      found = true;
      const double density = number(*crossover, "density").value_or(0);
      least = std::min(least, density);
      most = std::max(most, density);
    }
    workloads += found ? 1 : 0;
  }
  if (workloads == 0) return "";
  const std::string range =
      format_density(least) == format_density(most)
          ? "at " + format_density(least)
          : "between " + format_density(least) + " and " + format_density(most);
  return fmt::format("On {} dense takes over as density grows, {}.", plural(workloads, "workload"),
                     range);
}

/// Who wins how often, and by how much, on problems of one kind.
struct Tally {
  std::size_t problems = 0;
  std::size_t with_dense = 0;
  std::size_t dense = 0;
  std::size_t bytes = 0;
  std::size_t skipping = 0;  ///< sparse formats whose kernel skips zeros
  Gains gains;               ///< of what wins over dense
  Gains losses;  ///< times as long as dense that the best other format takes, where dense wins

  void note(const Outcome& outcome, std::size_t curve) {
    ++problems;
    const auto speedup = number(outcome.winner, "speedup_over_dense");
    if (speedup) ++with_dense;
    if (text(outcome.winner, "format") == "bytes") {
      ++bytes;
    } else if (!multiplies_zeros(outcome.winner)) {
      ++skipping;
    }
    if (dense_won(outcome)) {
      ++dense;
      if (const auto loss = other_over_dense(outcome)) losses.note(*loss, {&outcome, curve});
    } else if (speedup) {
      gains.note(*speedup, {&outcome, curve});
    }
  }
  [[nodiscard]] std::size_t sparse() const { return problems - dense - bytes; }
};

/// "All 5 problems", "the one problem".
std::string all_words(std::size_t problems) {
  return problems == 1 ? "the one problem" : fmt::format("all {} problems", problems);
}

/// "a sparse format wins 3 of 9 problems (and skips zeros in 1), bytes (…) 2; dense wins 4." Bytes
/// are no sparse format.
std::string counts_words(const Tally& tally) {
  constexpr const char* bytes = "bytes (the spikes where they lie, not encoded)";
  if (tally.with_dense == 0) return "dense was not measured, so only the other formats are ranked.";
  const std::string all = all_words(tally.problems);
  if (tally.dense == tally.problems) {
    return fmt::format("dense wins {}: no sparse format pays for its encoding here.", all);
  }
  const std::string zeros =
      tally.skipping < tally.sparse()
          ? fmt::format(" (and skips zeros in {})",
                        tally.skipping == 0 ? "none" : std::to_string(tally.skipping))
          : "";
  if (tally.sparse() == tally.problems) {
    return fmt::format("a sparse format wins {}{}.", all, zeros);
  }
  if (tally.bytes == tally.problems) return fmt::format("{} wins {}.", bytes, all);
  const std::string of = plural(tally.problems, "problem");
  std::string result;
  if (tally.sparse() > 0) {
    result = fmt::format("a sparse format wins {} of {}{}", tally.sparse(), of, zeros);
    if (tally.bytes > 0) result += fmt::format(", {} {}", bytes, tally.bytes);
  } else {
    result = fmt::format("{} wins {} of {}", bytes, tally.bytes, of);
  }
  return result + (tally.dense > 0 ? fmt::format("; dense wins {}.", tally.dense) : ".");
}

/// The largest gain and the mean; or, where dense always wins, what comes closest. May be empty.
std::string gains_words(const ReportCurves& curves, const Tally& tally) {
  const Gains& gains = tally.gains;
  if (gains.count > 0) {
    const std::string mean =
        fmt::format("; over the {} it is {} in the geometric mean", gains.count, gains.mean());
    return fmt::format("The largest gain is {} over dense: {} {}{}.", format_ratio(gains.most),
                       format_and_kernel(gains.most_at.outcome->winner),
                       place_words(curves, gains.most_at), gains.count == 1 ? "" : mean);
  }
  if (tally.losses.count == 0) return "";
  return fmt::format("The closest to dense takes {} as long: {} {}.",
                     format_ratio(tally.losses.least), tally.losses.least_at.outcome->best_other,
                     place_words(curves, tally.losses.least_at));
}

/// Where it turns, or what there is to say instead. May be empty.
std::string turning_words(const ReportCurves& curves, const Tally& tally,
                          const std::map<std::size_t, std::vector<Outcome>>& outcomes,
                          const std::map<std::size_t, std::vector<json>>& crossovers) {
  std::string turning = takeovers_words(outcomes, crossovers);
  if (!turning.empty()) return turning;
  if (tally.losses.count > 1) {
    return fmt::format(
        "Where dense wins, the best other format takes {} as long in the geometric mean.",
        tally.losses.mean());
  }
  if (tally.gains.count <= 1) return "";
  return fmt::format("The least gain is {}: {} {}.", format_ratio(tally.gains.least),
                     format_and_kernel(tally.gains.least_at.outcome->winner),
                     place_words(curves, tally.gains.least_at));
}

std::string capitalised(std::string sentence) {
  if (!sentence.starts_with("bytes")) {  // a name
    sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  }
  return sentence;
}

/// Counts and gains of one kind of problems, then `turning`.
std::string tally_words(const ReportCurves& curves, const Tally& tally,
                        const std::string& turning) {
  std::vector<std::string> sentences{counts_words(tally)};
  for (std::string sentence : {gains_words(curves, tally), turning}) {
    if (!sentence.empty()) sentences.push_back(std::move(sentence));
  }
  return join(sentences, " ", " ");
}

/// What dense is where W is quantised: a product in f16, or in 8 bits too where that was measured.
const char* quantised_dense(const json& points) {
  const bool in_eight_bits = std::any_of(points.begin(), points.end(), [](const json& point) {
    return text(point, "format") == "dense" && text(child(point, "config"), "type") == "u8" &&
           text(point, "status") == "ok";
  });
  return in_eight_bits ? "dense in f16 or in 8 bits" : "dense in f16";
}

/// Who wins how often; by how much, and where most; where it turns. What wins with quantised W says
/// nothing about sparsity, so where there are both kinds of problems they are counted apart.
void answer(Summary& summary, const json& points, const ReportCurves& curves,
            const std::map<std::size_t, std::vector<Outcome>>& outcomes,
            const std::map<std::size_t, std::vector<json>>& crossovers) {
  Tally exact;
  Tally quantised;
  for (const auto& [curve, list] : outcomes) {
    for (const auto& outcome : list) {
      (is_quantised(outcome) ? quantised : exact).note(outcome, curve);
    }
  }
  if (exact.problems + quantised.problems == 0) {
    summary.answer = "No point was measured and found correct, so there is no answer.";
  } else if (exact.problems > 0 && quantised.problems > 0) {
    summary.answer = "Exact products: " + tally_words(curves, exact, "");
    summary.quantised = fmt::format("With W quantised ({}): {}", quantised_dense(points),
                                    tally_words(curves, quantised, ""));
  } else {
    const Tally& only = exact.problems > 0 ? exact : quantised;
    summary.answer =
        capitalised(tally_words(curves, only, turning_words(curves, only, outcomes, crossovers)));
  }
}

/// How many of the wins over dense are of kernels that skip zeros, and which are not. May be empty.
std::string zeros_words(const std::map<std::size_t, std::vector<Outcome>>& outcomes) {
  std::size_t wins = 0;
  std::size_t skipping = 0;
  std::set<std::string> others;
  for (const auto& [curve, list] : outcomes) {
    for (const auto& outcome : list) {
      if (dense_won(outcome)) continue;
      ++wins;
      if (multiplies_zeros(outcome.winner)) {
        others.insert(format_and_kernel(outcome.winner));
      } else {
        ++skipping;
      }
    }
  }
  if (others.empty()) return "";
  return fmt::format(
      "In {} of {} zeros are skipped. {} multipl{} them all, as dense does: what is gained is in "
      "fewer bytes, cheaper operations or no encoding.",
      skipping, plural(wins, "win"), join({others.begin(), others.end()}),
      others.size() == 1 ? "ies" : "y");
}

std::vector<std::string> remark_words(const json& report, const json& points,
                                      const std::map<std::size_t, std::vector<Outcome>>& outcomes) {
  std::vector<std::string> remarks;
  const json& complete = child(report, "complete");
  if (complete.is_boolean() && !complete.get<bool>()) {
    remarks.push_back("The sweep was interrupted: this is the part that was done.");
  }
  std::size_t ties = 0;
  std::size_t own = 0;
  std::size_t compared = 0;
  for (const auto& [curve, list] : outcomes) {
    for (const auto& outcome : list) {
      ties += child(outcome.winner, "ties").empty() ? 0 : 1;
      if (child(outcome.winner, "speedup_over_best_baseline").is_null()) continue;
      ++compared;
      own += flag(outcome.winner, "baseline") ? 0 : 1;
    }
  }
  if (compared > 0) {
    remarks.push_back(fmt::format(
        "Against the libraries' own routines, a spiketune kernel is faster in {} of {}.", own,
        plural(compared, "problem")));
  }
  if (ties > 0) {
    remarks.push_back(
        fmt::format("In {} the noise does not separate the winner from the next format.",
                    plural(ties, "problem")));
  }
  const auto counts = count_statuses(points);
  if (counts.skipped + counts.failed + counts.wrong > 0) {
    remarks.push_back(fmt::format(
        "{}: {} ok, {} skipped, {} failed, {} wrong. Each is listed with its reason.",
        plural(points.size(), "point"), counts.ok, counts.skipped, counts.failed, counts.wrong));
  }
  return remarks;
}

}  // namespace

std::string format_time(double microseconds) {
  if (microseconds >= 999.5e3) return significant(microseconds / 1e6) + " s";
  if (microseconds >= 999.5) return significant(microseconds / 1e3) + " ms";
  return significant(microseconds) + " µs";
}

std::string format_density(double density) {
  return without_trailing_zeros(significant(density * 100)) + " %";
}

std::string format_and_kernel(const json& entry) {
  std::string format = text(entry, "format");
  std::string kernel = text(entry, "kernel");
  if (kernel.empty() || kernel == format || kernel == "none") return format;  // none: encode only
  if (kernel.starts_with(format + ".")) return kernel;
  return format + " (" + kernel + ")";
}

bool multiplies_zeros(const json& entry) {
  const std::string kernel = text(entry, "kernel");
  return text(entry, "format") == "dense" || kernel == "expand_mma" || kernel == "expand_imma" ||
         kernel == "bit_planes" || kernel == "byte_mma";
}

std::string format_ratio(double ratio) {
  return significant(ratio) + "×";
}

std::size_t ReportCurves::find(const json& entry) const {
  const json& problem = child(entry, "problem");
  if (!problem.is_object()) return kNone;
  const auto found = index.find(key_of(without_density(problem), text(entry, "backend")));
  return found == index.end() ? kNone : found->second;
}

ReportCurves report_curves(const json& points) {
  ReportCurves result;
  if (!points.is_array()) return result;
  for (const auto& point : points) {
    const json& problem = child(point, "problem");
    if (!problem.is_object()) {
      result.of_point.push_back(ReportCurves::kNone);
      continue;
    }
    json curve = without_density(problem);
    const std::string backend = text(point, "backend");
    const auto [found, is_new] =
        result.index.try_emplace(key_of(curve, backend), result.curves.size());
    if (is_new) result.curves.push_back({std::move(curve), backend, "", "", ""});
    result.of_point.push_back(found->second);
  }
  name_curves(result.curves);
  return result;
}

StatusCounts count_statuses(const json& points) {
  StatusCounts counts;
  for (const auto& point : points) {
    const std::string status = text(point, "status");
    if (status == "ok") ++counts.ok;
    if (status == "skipped") ++counts.skipped;
    if (status == "failed") ++counts.failed;
    if (status == "wrong") ++counts.wrong;
  }
  return counts;
}

Summary summarise(const json& report, const json& points, const ReportCurves& curves,
                  std::string_view mode) {
  const auto outcomes = outcomes_by_curve(points, curves);
  std::map<std::size_t, std::vector<json>> crossovers;
  for (const auto& crossover : compute_crossovers(points)) {
    crossovers[curves.find(crossover)].push_back(crossover);
  }
  const std::string encoders =
      outcomes.empty() ? encoders_answer(encoder_rows(points, curves), curves) : "";
  Summary summary;
  summary.asked = asked_words(report, points, curves, mode, encoders.empty());
  summary.answer = encoders;
  if (encoders.empty()) answer(summary, points, curves, outcomes, crossovers);
  for (const auto& [curve, list] : outcomes) {
    if (curve >= curves.curves.size()) continue;
    if (summary.curves.size() == kCurvesInWords) break;
    summary.curves.emplace_back(curves.curves[curve].label, curve_words(list, crossovers[curve]));
  }
  summary.remarks = remark_words(report, points, outcomes);
  std::vector<std::string> first{zeros_words(outcomes)};
  if (!summary.quantised.empty()) first.push_back(takeovers_words(outcomes, crossovers));
  std::erase(first, "");
  summary.remarks.insert(summary.remarks.begin(), first.begin(), first.end());
  if (outcomes.size() > kCurvesInWords) {
    summary.more_curves = outcomes.size() - kCurvesInWords;
    summary.remarks.push_back(fmt::format("{} are in the table of winners below.",
                                          plural(summary.more_curves, "more workload")));
  }
  return summary;
}

}  // namespace spiketune
