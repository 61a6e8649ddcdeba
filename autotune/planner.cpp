#include "spiketune/autotune/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;

constexpr std::array<const char*, 11> term_names = {
    "launch",          "input (M·K)",     "output (M·N)",     "weights (K·N)",
    "rows (M)",        "nonzeros",        "gathered (nnz·N)", "dense (M·K·N)",
    "padded rows · N", "8×1 vectors · N", "16×16 blocks · N"};
using Terms = std::array<double, term_names.size()>;

/// What the work of a problem consists of, in units that make rates comparable.
Terms terms_of(const Problem& problem) {
  const double m = std::max<double>(static_cast<double>(problem.m()), 1);
  const double k = std::max(problem.k, 1u);
  const double n = std::max(problem.n, 1u);
  const double products = problem.amortise;
  const double density = problem.density;
  const double nonzeros = m * k * density;
  // The longest of M binomial rows, about.
  const double mean = k * density;
  const double longest =
      std::min(k, mean + std::sqrt(2 * std::log(m + 1) * mean * (1 - density)) + 1);
  const double vectors = 1 - std::pow(1 - density, 8);
  const double blocks = 1 - std::pow(1 - density, 256);
  constexpr double mega = 1e-6;
  return {1,
          mega * m * k,
          mega * m * n * products,
          mega * k * n * products,
          mega * m,
          mega * nonzeros,
          mega * nonzeros * n * products,
          mega * m * k * n * products,
          mega * m * longest * n * products,
          mega * m * k / 8 * vectors * n * products,
          mega * m * k * blocks * n * products};
}

double dot(const Terms& terms, const std::vector<double>& rates) {
  double sum = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) sum += terms[i] * rates[i];
  return sum;
}

/// Nonnegative rates that make the sums come closest to the times, relative to them: coordinate
/// descent, which for a convex problem of a dozen unknowns is enough.
std::vector<double> fit(const std::vector<Terms>& works, const std::vector<double>& times) {
  constexpr std::size_t count = term_names.size();
  // Normal equations of rows divided by their time.
  std::vector<double> square(count * count, 0);
  std::vector<double> right(count, 0);
  for (std::size_t p = 0; p < works.size(); ++p) {
    for (std::size_t i = 0; i < count; ++i) {
      const double a = works[p][i] / times[p];
      right[i] += a;
      for (std::size_t j = 0; j < count; ++j) square[i * count + j] += a * works[p][j] / times[p];
    }
  }
  std::vector<double> rates(count, 0);
  constexpr int sweeps = 4000;
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    double change = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double diagonal = square[i * count + i];
      if (diagonal <= 0) continue;
      double gradient = right[i];
      for (std::size_t j = 0; j < count; ++j) gradient -= square[i * count + j] * rates[j];
      const double next = std::max(0.0, rates[i] + gradient / diagonal);
      change = std::max(change, std::abs(next - rates[i]) * std::sqrt(diagonal));
      rates[i] = next;
    }
    constexpr double converged = 1e-9;
    if (change < converged) break;
  }
  return rates;
}

/// Where a problem lies: logarithms of M, K, N and density.
std::array<double, 4> place_of(const Problem& problem) {
  constexpr double least_density = 1e-5;
  return {std::log(std::max<double>(static_cast<double>(problem.m()), 1)),
          std::log(std::max(problem.k, 1u)), std::log(std::max(problem.n, 1u)),
          std::log(std::max(problem.density, least_density))};
}

double distance(const Problem& a, const Problem& b) {
  const auto at_a = place_of(a);
  const auto at_b = place_of(b);
  double sum = 0;
  for (std::size_t i = 0; i < at_a.size(); ++i) sum += (at_a[i] - at_b[i]) * (at_a[i] - at_b[i]);
  return std::sqrt(sum);
}

/// Types and orders that a candidate's times do not carry over between.
std::string types_of(const Problem& problem) {
  return fmt::format("{} {} {} {} {}", to_string(problem.input), to_string(problem.value),
                     to_string(problem.weights), to_string(problem.output),
                     to_string(problem.row_order));
}

std::string key_of(const TunedPoint& point) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", point.format, point.kernel, point.config.dump(),
                     point.backend, point.baseline, types_of(point.problem));
}

/// Beyond this many e-folds a tuned point says nothing of another's error.
constexpr double reach = 1.0;
/// Error of log(time) that each e-fold from the nearest tuned point adds: a guess.
constexpr double strangeness = 0.1;
/// Farther away than this, only dense is recommended: what a kernel does on problems unlike all
/// that it was tuned on (launches that hide, atomics that collide) the sum of terms cannot know.
constexpr double trusted_distance = 2.0;

/// log of the factor that points nearby suggest. `but`: a point to leave out, or npos.
double correction(const std::vector<TunedPoint>& points, const std::vector<std::size_t>& which,
                  const std::vector<double>& rates, const Problem& problem, std::size_t but) {
  double weighted = 0;
  double weights = 0;
  for (const std::size_t i : which) {
    if (i == but) continue;
    const double away = distance(points[i].problem, problem) / reach;
    const double weight = 1 / (away * away + 1e-6);
    const double predicted = dot(terms_of(points[i].problem), rates);
    if (predicted <= 0) continue;
    weighted += weight * std::log(points[i].total_us / predicted);
    weights += weight;
  }
  // Where all is far away, the sum of terms stands alone.
  return weighted / (weights + 1);
}

/// A quantity carried over from tuned points nearby as its share of the total.
double share_nearby(const std::vector<TunedPoint>& points, const std::vector<std::size_t>& which,
                    const Problem& problem, double TunedPoint::*quantity) {
  double weighted = 0;
  double weights = 0;
  for (const std::size_t i : which) {
    if (points[i].*quantity <= 0) continue;
    const double away = distance(points[i].problem, problem) / reach;
    const double weight = 1 / (away * away + 1e-6);
    weighted += weight * points[i].*quantity / points[i].total_us;
    weights += weight;
  }
  return weights > 0 ? weighted / weights : 0;
}

double median_of(const json& point, const char* key) {
  const auto median = report_json::number(child(point, key), "median");
  return median && std::isfinite(*median) && *median > 0 ? *median : 0;
}

bool is_dense(const std::string& format) {
  return format == "dense";
}

}  // namespace

std::vector<TunedPoint> tuned_points(const json& report) {
  std::vector<TunedPoint> result;
  for (const json& point : child(report, "points")) {
    try {
      if (point.at("status") != "ok") continue;
      TunedPoint tuned{problem_from_json(point.at("problem")),
                       point.at("format"),
                       point.at("kernel"),
                       point.at("config"),
                       point.at("backend"),
                       point.at("baseline"),
                       point.at("lossy"),
                       median_of(point, "encode_us"),
                       median_of(point, "compute_us"),
                       median_of(point, "total_us")};
      if (tuned.total_us > 0) result.push_back(std::move(tuned));
    } catch (const std::exception&) {
      // A point of another version, or a broken one: there are others.
    }
  }
  return result;
}

Planner::Planner(std::vector<TunedPoint> points) : points_(std::move(points)) {
  for (std::size_t i = 0; i < points_.size(); ++i) candidates_[key_of(points_[i])].push_back(i);
  for (const auto& [key, which] : candidates_) {
    std::vector<Terms> works;
    std::vector<double> times;
    for (const std::size_t i : which) {
      works.push_back(terms_of(points_[i].problem));
      times.push_back(points_[i].total_us);
    }
    rates_[key] = fit(works, times);
    // Each point predicted by the others' corrections; the rates have seen it, hence the floor.
    double sum = 0;
    for (const std::size_t i : which) {
      const double predicted = dot(terms_of(points_[i].problem), rates_[key]);
      if (predicted <= 0) continue;
      const double error = std::log(points_[i].total_us / predicted) -
                           correction(points_, which, rates_[key], points_[i].problem, i);
      sum += error * error;
    }
    constexpr double least_spread = 0.02;
    spreads_[key] = std::max(least_spread, std::sqrt(sum / static_cast<double>(which.size())));
  }
}

std::vector<Plan> Planner::plan(const Problem& problem, const PlanOptions& options) const {
  check_problem(problem);
  const Terms terms = terms_of(problem);
  const std::string types = types_of(problem);
  std::vector<Plan> plans;
  for (const auto& [key, which] : candidates_) {
    const TunedPoint& first = points_[which.front()];
    if (types_of(first.problem) != types) continue;
    if (first.lossy && !options.lossy) continue;
    if (first.baseline && !options.baselines && !is_dense(first.format)) continue;
    const std::vector<double>& rates = rates_.at(key);
    Plan plan;
    plan.format = first.format;
    plan.kernel = first.kernel;
    plan.config = first.config;
    plan.backend = first.backend;
    plan.baseline = first.baseline;
    plan.lossy = first.lossy;
    plan.points = which.size();
    plan.distance = std::numeric_limits<double>::infinity();
    for (const std::size_t i : which) {
      plan.distance = std::min(plan.distance, distance(points_[i].problem, problem));
    }
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (terms[i] * rates[i] > 0) plan.terms.push_back({term_names[i], terms[i] * rates[i]});
    }
    plan.correction = std::exp(correction(points_, which, rates, problem, points_.size()));
    plan.total_us = dot(terms, rates) * plan.correction;
    if (plan.total_us <= 0) continue;
    plan.encode_us = plan.total_us * share_nearby(points_, which, problem, &TunedPoint::encode_us);
    plan.compute_us =
        plan.total_us * share_nearby(points_, which, problem, &TunedPoint::compute_us);
    plan.trusted = plan.distance <= trusted_distance || is_dense(first.format);
    constexpr double nine_of_ten = 1.645;
    const double spread = nine_of_ten * std::hypot(spreads_.at(key), strangeness * plan.distance);
    plan.low_us = plan.total_us * std::exp(-spread);
    plan.high_us = plan.total_us * std::exp(spread);
    plans.push_back(std::move(plan));
  }
  const auto rank = [](const Plan& plan) { return std::pair(!plan.trusted, plan.high_us); };
  std::sort(plans.begin(), plans.end(),
            [&](const Plan& a, const Plan& b) { return rank(a) < rank(b); });
  for (std::size_t i = 0; i < plans.size(); ++i) {
    Plan& plan = plans[i];
    const auto largest =
        std::max_element(plan.terms.begin(), plan.terms.end(),
                         [](const PlanTerm& a, const PlanTerm& b) { return a.us < b.us; });
    plan.reason =
        fmt::format("mostly {}; {} tuned point{}, the nearest {:.1f} e-folds away", largest->name,
                    plan.points, plan.points == 1 ? "" : "s", plan.distance);
    if (!plan.trusted) {
      plan.reason += "; too far to be trusted";
    } else if (i > 0 && plan.low_us <= plans.front().high_us) {
      plan.reason += "; may well be the fastest";
    }
  }
  return plans;
}

PlanEvaluation evaluate_planner(const json& report, const PlanOptions& options, HoldOut hold_out) {
  const std::vector<TunedPoint> all = tuned_points(report);
  // Densities of each generated problem, in order: the even ones train.
  std::map<std::string, std::set<double>> densities;
  const auto family = [](Problem problem) {
    problem.density = 0;
    return problem_key(problem);
  };
  for (const TunedPoint& point : all)
    densities[family(point.problem)].insert(point.problem.density);
  const auto shape_of = [](const Problem& problem) {
    const double m = static_cast<double>(problem.m());
    return std::tuple(m * problem.k * problem.n, m, problem.k, problem.n);
  };
  std::set<std::tuple<double, double, std::uint32_t, std::uint32_t>> shapes;
  for (const TunedPoint& point : all) {
    if (point.problem.pattern != "trace") shapes.insert(shape_of(point.problem));
  }
  const auto trains = [&](const Problem& problem) {
    if (problem.pattern == "trace") return false;
    const auto& known = densities.at(family(problem));
    if (std::distance(known.begin(), known.find(problem.density)) % 2 != 0) return false;
    return hold_out == HoldOut::densities ||
           std::distance(shapes.begin(), shapes.find(shape_of(problem))) % 2 == 0;
  };
  std::vector<TunedPoint> training;
  std::map<std::string, std::vector<const TunedPoint*>> judged;
  for (const TunedPoint& point : all) {
    if (trains(point.problem)) {
      training.push_back(point);
    } else {
      judged[problem_key(point.problem)].push_back(&point);
    }
  }
  const Planner planner(std::move(training));
  PlanEvaluation result;
  double sum = 0;
  std::vector<double> regrets;
  for (const auto& [key, points] : judged) {
    const std::vector<Plan> plans = planner.plan(points.front()->problem, options);
    PlanEvaluation::Choice choice;
    choice.problem = points.front()->problem;
    for (const TunedPoint* point : points) {
      if (is_dense(point->format) && (choice.dense_us == 0 || point->total_us < choice.dense_us)) {
        choice.dense_us = point->total_us;
      }
      if (point->lossy && !options.lossy) continue;
      if (point->baseline && !options.baselines && !is_dense(point->format)) continue;
      if (choice.best_us == 0 || point->total_us < choice.best_us) {
        choice.best_us = point->total_us;
        choice.best = point->format + " " + point->kernel;
      }
    }
    // The first plan that was measured here; what could not run was never an option.
    for (const Plan& plan : plans) {
      const auto found = std::find_if(points.begin(), points.end(), [&](const TunedPoint* point) {
        return point->format == plan.format && point->kernel == plan.kernel &&
               point->config == plan.config;
      });
      if (found == points.end()) continue;
      choice.plan = plan;
      choice.chosen_us = (*found)->total_us;
      break;
    }
    if (choice.chosen_us <= 0 || choice.best_us <= 0) continue;
    const double ratio = choice.chosen_us / choice.best_us;
    sum += std::log(ratio);
    regrets.push_back(ratio - 1);
    if (choice.dense_us > 0) {
      result.worst_over_dense =
          std::max(result.worst_over_dense, choice.chosen_us / choice.dense_us - 1);
    }
    result.choices.push_back(std::move(choice));
  }
  require(!regrets.empty(), ErrorCode::invalid_argument,
          "the report has no problems to judge a planner on: it takes several densities");
  std::sort(regrets.begin(), regrets.end());
  result.mean_regret = std::exp(sum / static_cast<double>(regrets.size())) - 1;
  result.p95_regret = percentile(regrets, 0.95);
  return result;
}

}  // namespace spiketune
