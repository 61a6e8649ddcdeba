#pragma once
/// \file
/// Two reports of the same work: which points became faster or slower. Pure functions on the JSON
/// of results/schema/report.schema.json; docs/comparing.md explains the method to users.
///
/// **Which points.** Points match by problem, format, kernel, configuration and backend. What has
/// no partner, is not `ok` in both or was not the same work (other spikes) is refused, counted and
/// listed with the reason.
///
/// **A series** is one quantity (total, encode, compute) in one mode (cold, hot) of a point. With x
/// the samples' Hodges–Lehmann shift of ln(µs), the ratio new / base is e^x, and h is the
/// half-width of its 95 % interval (Mann–Whitney's, rank_statistics.hpp), which drift widens to
/// sqrt(h² + 1.96² (d² + c²)).
///
/// **Drift.** Samples of one run share its clocks, temperature and neighbours, so they tell how
/// exactly a run is known, not how exactly it can be repeated. For each quantity and mode
///   d   the standard deviation of ln(time) from run to run, is the distance from the median of its
///       kernel that 90 % of the x keep, over 1.645: a change of a whole kernel does not count, a
///       tenth of the points may change in any way, and neighbours that disturb few points but much
///       do count. It includes h, which errs on the side of caution;
///   c   the drift of the run as a whole, is the median of the kernels' medians, or ln of the ratio
///       of the copy bandwidths, whichever is farther from 0. A change of all kernels alike cannot
///       be told from a busier machine, so no point or kernel is blamed for it.
/// Where the machines differ or there are fewer than 20 residuals, d is assumed to be 1 %, and c 0.
///
/// **Verdicts.** With p the larger of the Mann–Whitney test's p-value and that of x by a normal
/// distribution of the widened interval, adjusted by Holm's method over all points of the quantity
/// and mode, and m the least effect worth reporting:
///   slower     p < 5 %, x >= ln(1 + m), and the interval lies above 1
///   faster     p < 5 %, x <= -ln(1 + m), and the interval lies below 1
///   same       the interval lies within 1 / (1 + m) .. 1 + m
///   undecided  all else, and too few samples for a 95 % interval (3 of each are)
///
/// **Groups** (kernels, formats, workloads, all): the geometric mean of the points' ratios with a
/// 95 % bootstrap interval (2000 resamples; no narrower than d allows), widened by c. Problems are
/// drawn, each with all of its points, which were measured side by side and drift together; below 8
/// problems a draw of their error is added to each, without which a single problem would have no
/// interval. Kernels, and all points together (c from the copies alone), have a verdict by the rule
/// above.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace spiketune {

struct CompareOptions {
  /// Least effect worth reporting, as a share. 2 % is above what a clock step or two (15 MHz of
  /// 1980) or another layout of the same code costs.
  double min_effect = 0.02;
  /// d, instead of an estimate; c is then 0.
  std::optional<double> drift;
};

/// The comparison of two reports with the schema spiketune.report/1:
///   base, new        created, git, device, points
///   differences      list of {what, base, new}: of git and the environment
///   same_device, min_effect
///   points           those compared: problem, format, kernel, config, backend, base and new (their
///                    indices), and series: quantity, mode, base_us and new_us (medians), ratio,
///                    low, high, p, verdict, and why where they are too few samples
///   families         for each quantity and mode: quantity, mode, drift (d), common_drift (c),
///                    drift_from (`estimate`, `assumed` or `given`), counts by verdict, and the
///                    groups all, kernels, formats, workloads, which have name, points, ratio, low,
///                    high and counts
///   refused          list of {reason, count, points}, points being {name, detail}
/// Throws Error(invalid_argument) where there is no point to compare, with what stood in the way.
[[nodiscard]] nlohmann::json compare_reports(const nlohmann::json& base, const nlohmann::json& next,
                                             const CompareOptions& options = {});

/// Whether any kernel is slower; the total of any point; all totals together, by the machine or by
/// the build.
[[nodiscard]] bool kernel_slower(const nlohmann::json& comparison);
[[nodiscard]] bool total_slower(const nlohmann::json& comparison);
[[nodiscard]] bool all_slower(const nlohmann::json& comparison);

/// Plain text of at most `width` columns (never fewer than 60).
/// \param all   every point, not only those that became faster or slower
[[nodiscard]] std::string render_comparison_text(const nlohmann::json& comparison, int width,
                                                 bool all);
/// GitHub-flavoured Markdown.
[[nodiscard]] std::string render_comparison_markdown(const nlohmann::json& comparison, bool all);

}  // namespace spiketune
