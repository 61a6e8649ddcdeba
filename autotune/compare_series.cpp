#include "spiketune/autotune/compare_series.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <utility>

#include "spiketune/autotune/rank_statistics.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/autotune/statistics.hpp"

namespace spiketune::comparison {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::text;

constexpr double z90 = 1.644854;  // normal quantile of a 90 % interval
constexpr double level = 0.05;
constexpr double assumed_drift = 0.01;
constexpr std::size_t least_residuals = 20;
constexpr std::size_t least_kernels = 5;

double normal_p(double z) {
  return std::erfc(std::abs(z) / std::numbers::sqrt2);
}

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

const char* verdict_of(const Change& change, double adjusted_p, double min_effect) {
  const double effect = std::log1p(min_effect);
  if (!change.enough) return "undecided";
  if (adjusted_p < level && change.x >= effect && change.low > 0) return "slower";
  if (adjusted_p < level && change.x <= -effect && change.high < 0) return "faster";
  return change.low >= -effect && change.high <= effect ? "same" : "undecided";
}

}  // namespace

double Change::error() const {
  return (high - low) / (2 * z95);
}

std::string kernel_name(const json& point, const std::string& quantity) {
  if (quantity != "encode") return format_and_kernel(point);
  const std::string kernel = text(point, "kernel");
  return text(point, "format") +
         (flag(point, "baseline") ? " (" + kernel.substr(0, kernel.find('.')) + ")" : "");
}

Family read_family(const json& base_points, const json& next_points,
                   const std::vector<Match>& matches, const char* quantity, const char* mode) {
  Family family;
  family.quantity = quantity;
  family.mode = mode;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    const auto before = log_samples(base_points[matches[i].base], quantity, mode);
    const auto after = log_samples(next_points[matches[i].next], quantity, mode);
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

void set_drift(Family& family, const json& base_points, const std::vector<Match>& matches,
               const std::optional<double>& copy_drift, const std::optional<double>& given) {
  family.drift_from = given ? "given" : "assumed";
  family.drift = given.value_or(assumed_drift);
  if (!copy_drift || given) return;
  const auto kernels = changes_by_kernel(family, base_points, matches);
  if (const auto estimate = estimate_drift(kernels)) {
    family.drift = *estimate;
    family.drift_from = "estimate";
  }
  family.copy_drift = *copy_drift;
  family.common = std::max(family.copy_drift, std::abs(shift_of_run(kernels)));
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

void widen(Change& change, double deviation) {
  change.low = change.x - std::hypot(change.x - change.low, z95 * deviation);
  change.high = change.x + std::hypot(change.high - change.x, z95 * deviation);
}

double p_of(const Change& change) {
  return normal_p(change.x / std::max(change.error(), 1e-12));
}

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

void put_change(json& object, const Change& change) {
  object["ratio"] = std::exp(change.x);
  object["low"] = std::exp(change.low);
  object["high"] = std::exp(change.high);
}

}  // namespace spiketune::comparison
