#pragma once
/// \file
/// What the points of a report add up to: who wins each problem, and at which density the order
/// of two formats changes. Pure functions on the JSON of results/schema/report.schema.json; what a
/// point lacks (a null, a missing key, a value of another type) only keeps that point out.
///
/// **Which points count.** A point is a candidate when its status is `ok`, it is not lossy and its
/// `total_us` holds a positive median. Only candidates of one backend and one mode are compared.
/// Where a problem has cold and hot totals under `total_us`, the cold ones are used.
///
/// **The total** is the measured `total_us`: encode and product(s) chained, one encoding for
/// `amortise` products. It is not the sum of `encode_us` and `compute_us`.
///
/// **Crossovers** are sought per problem without its density (workload, shape, types, structure,
/// amortise) between two curves: at each density a format's best candidate, over its kernels,
/// configurations and baselines. The pairs are
///   - each format against `dense`, over all densities that both were measured at, and
///   - the winners of two neighbouring densities where the winner changes and neither is `dense`.
///
/// With x = ln(density) and g(x) = ln(total of a) - ln(total of b), g is taken as linear between
/// neighbouring densities, that is, each time follows a power law there. A crossing is a zero of
/// g with different signs on its two sides:
///
///     x* = x_i + (x_j - x_i) * g_i / (g_i - g_j)
///
/// Where g is exactly zero on one or several neighbouring densities, the crossing is the middle of
/// them in x. A curve that only touches the other does not cross it. There is one entry per sign
/// change.
///
/// **[low, high]** is the interval that the noise leaves. At each density g lies between
/// ln(p05 of a) - ln(p95 of b) and ln(p95 of a) - ln(p05 of b), linear in between as g is;
/// [low, high] is the stretch around x* on which these limits have zero between them. Where the
/// stretch reaches the first or last density measured it ends there, and `low_open` or `high_open`
/// says that the crossing may lie beyond. A point without p05 or p95 counts as noiseless.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace spiketune {

/// Points with `encode_us`, `compute_us` and `total_us` replaced by the measurements in `mode`
/// ("cold" or "hot"), which a report keeps under those names or under `encode_hot_us` and so on;
/// null where there is none. The result has the same length and order.
[[nodiscard]] nlohmann::json points_in_mode(const nlohmann::json& points, std::string_view mode);

/// The mode in which a report compares: "cold" where any point has a cold total, else "hot".
/// Of a report without totals the encode times decide; "cold" where there are none either.
[[nodiscard]] std::string primary_mode(const nlohmann::json& points);

/// One entry per problem that has a candidate, in order of first appearance:
/// problem, backend, format, kernel, baseline, mode, total_us (median, microseconds),
/// speedup_over_dense and speedup_over_best_baseline (best dense total, own or baseline, and best
/// baseline total, each over the winner's; 1 where the winner is it, null where there is none),
/// ties (formats whose best total overlaps the winner's within p05..p95) and point (the winner's
/// index in `points`). Equal medians: the earlier point wins.
[[nodiscard]] nlohmann::json compute_winners(const nlohmann::json& points);

/// One entry per crossing: problem (without density), backend, mode, a, b, density, low, high,
/// low_open, high_open, total_us (of both, at the crossing) and faster_below (a or b).
[[nodiscard]] nlohmann::json compute_crossovers(const nlohmann::json& points);

/// Fills `winners` and `crossovers` of a report from its `points`.
void add_analysis(nlohmann::json& report);

}  // namespace spiketune
