#include "spiketune/autotune/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include "spiketune/autotune/plan_model.hpp"
#include "spiketune/autotune/plan_work.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;

/// Types and orders that times do not carry over between.
std::string input_of(const Problem& problem) {
  return fmt::format("{} {} {}", to_string(problem.input), to_string(problem.value),
                     to_string(problem.row_order));
}

/// Those that a candidate must have been tuned with once to be known to take them.
std::string types_of(const Problem& problem) {
  return fmt::format("{} {}", to_string(problem.weights), to_string(problem.output));
}

/// f16 and bf16 are as fast: a config that only says which it is belongs to the same candidate.
std::string key_of(const TunedPoint& point) {
  json config = point.config;
  if (config.is_object()) config.erase("type");
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", point.format, point.kernel, config.dump(),
                     point.backend, point.baseline, input_of(point.problem));
}

double median_of(const json& point, const char* key) {
  const auto median = report_json::number(child(point, key), "median");
  return median && std::isfinite(*median) && *median > 0 ? *median : 0;
}

bool is_dense(const std::string& format) {
  return format == "dense";
}

struct Candidate {
  TunedPoint first;                     ///< what all have in common
  std::map<std::string, json> configs;  ///< by the types of W and Y
  std::size_t points = 0;
  PlanModel encode;
  PlanModel compute;
  double saved_us = 0;  ///< what encode and compute in a row take less than one by one
};

constexpr double nine_of_ten = 1.645;  // of a normal distribution lie within so many deviations
/// Farther away than this, only dense is recommended.
constexpr double trusted_distance = 4.0;
/// A plan is preferred to dense where the gain predicted is more than so many deviations of both.
constexpr double sure = 0.6;
/// Of log(total): of two measurements of one total.
constexpr double least_spread = 0.01;

double spread_of(const Plan& plan) {
  return std::log(plan.high_us / plan.total_us) / nine_of_ten;
}

/// In order, those that can be recommended first, with reasons.
std::vector<Plan> ranked(std::vector<Plan> plans) {
  const auto by_time = [](const Plan& a, const Plan& b) { return a.total_us < b.total_us; };
  std::sort(plans.begin(), plans.end(), by_time);
  const auto dense = std::find_if(plans.begin(), plans.end(),
                                  [](const Plan& plan) { return is_dense(plan.format); });
  const auto may_lose = [](const Plan& plan, const Plan& to) {
    return std::log(to.total_us / plan.total_us) <
           sure * std::hypot(spread_of(plan), spread_of(to));
  };
  for (Plan& plan : plans) {
    const auto largest =
        std::max_element(plan.terms.begin(), plan.terms.end(),
                         [](const PlanTerm& a, const PlanTerm& b) { return a.us < b.us; });
    plan.reason =
        fmt::format("mostly {}; {} tuned point{}, the nearest {:.1f} e-folds away", largest->name,
                    plan.points, plan.points == 1 ? "" : "s", plan.distance);
    if (is_dense(plan.format)) continue;
    if (plan.distance > trusted_distance) {
      plan.trusted = false;
      plan.reason += "; too far to be trusted";
    } else if (!plan.unknown.empty()) {
      plan.trusted = false;
      plan.reason += fmt::format("; none of them with {}, so not to be trusted", plan.unknown);
    } else if (dense != plans.end() && may_lose(plan, *dense)) {
      plan.trusted = false;
      plan.reason += "; may well be slower than dense";
    }
  }
  std::stable_partition(plans.begin(), plans.end(), [](const Plan& plan) { return plan.trusted; });
  for (std::size_t i = 1; i < plans.size() && plans[i].trusted; ++i) {
    if (plans[i].low_us <= plans.front().high_us) plans[i].reason += "; may well be the fastest";
  }
  return plans;
}

}  // namespace

std::vector<TunedPoint> tuned_points(const json& report) {
  // Of a report and of kept plans.
  const json& environment = child(report, "environment");
  const double units = report_json::number(environment, "sms")
                           .value_or(report_json::number(report, "units").value_or(0));
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
                       median_of(point, "total_us"),
                       units};
      if (tuned.total_us > 0) result.push_back(std::move(tuned));
    } catch (const std::exception&) {
      // A point of another version, or a broken one: there are others.
    }
  }
  return result;
}

struct Planner::State {
  std::vector<Candidate> candidates;
};

Planner::Planner(const std::vector<TunedPoint>& points) {
  auto state = std::make_shared<State>();
  std::map<std::string, std::vector<const TunedPoint*>> by_key;
  for (const TunedPoint& point : points) by_key[key_of(point)].push_back(&point);
  for (const auto& [key, same] : by_key) {
    Candidate candidate;
    candidate.first = *same.front();
    candidate.points = same.size();
    std::vector<double> saved;
    for (const TunedPoint* point : same) {
      candidate.configs.emplace(types_of(point->problem), point->config);
      if (point->encode_us <= 0 || point->compute_us <= 0) continue;
      candidate.encode.learn(encode_place_of(point->problem), encode_work(point->problem),
                             point->encode_us);
      saved.push_back(point->encode_us + point->compute_us - point->total_us);
    }
    candidate.encode.settle();
    if (!saved.empty()) {
      std::sort(saved.begin(), saved.end());
      candidate.saved_us = percentile(saved, 0.5);
    }
    for (const TunedPoint* point : same) {
      double compute_us = point->compute_us;
      if (point->encode_us <= 0 || compute_us <= 0) {  // the search left it early
        const Problem& problem = point->problem;
        compute_us = point->total_us + candidate.saved_us -
                     candidate.encode.at(encode_place_of(problem), encode_work(problem)).us;
      }
      if (compute_us <= 0) continue;
      candidate.compute.learn(
          product_place_of(point->format, point->problem),
          product_work(point->format, point->kernel, point->config, point->problem, point->units),
          compute_us / point->problem.amortise);
    }
    candidate.compute.settle();
    state->candidates.push_back(std::move(candidate));
  }
  state_ = std::move(state);
}

std::vector<Plan> Planner::plan(const Problem& problem, const PlanOptions& options) const {
  check_problem(problem);
  const std::string input = input_of(problem);
  const std::string types = types_of(problem);
  const std::vector<WorkTerm> encode = encode_work(problem);
  std::vector<Plan> plans;
  for (const Candidate& candidate : state_->candidates) {
    const TunedPoint& first = candidate.first;
    const auto config = candidate.configs.find(types);
    if (input_of(first.problem) != input || config == candidate.configs.end()) continue;
    if (first.lossy && !options.lossy) continue;
    if (first.baseline && !options.baselines && !is_dense(first.format)) continue;
    if (candidate.compute.empty()) continue;
    if (!can_run(first.format, first.kernel, first.config, problem)) continue;
    const Place place = product_place_of(first.format, problem);
    const std::vector<WorkTerm> compute =
        product_work(first.format, first.kernel, first.config, problem, first.units);
    const PlanModel::Estimate encoding = candidate.encode.at(encode_place_of(problem), encode);
    const PlanModel::Estimate product = candidate.compute.at(place, compute);
    Plan plan;
    plan.format = first.format;
    plan.kernel = first.kernel;
    plan.config = config->second;
    plan.backend = first.backend;
    plan.baseline = first.baseline;
    plan.lossy = first.lossy;
    plan.points = candidate.points;
    plan.distance = candidate.compute.nearest(place);
    for (const char* name :
         {candidate.encode.unknown_work(encode), candidate.compute.unknown_work(compute)}) {
      if (name != nullptr) plan.unknown = name;
    }
    plan.encode_us = encoding.us;
    plan.compute_us = product.us * problem.amortise;
    const double both = plan.encode_us + plan.compute_us;
    constexpr double least_share = 0.8;  // of what is saved little is known where times are small
    plan.total_us = std::max(both - candidate.saved_us, least_share * both);
    if (!(plan.total_us > 0)) continue;
    candidate.encode.add_terms(encode, 1, plan.terms);
    candidate.compute.add_terms(compute, problem.amortise, plan.terms);
    double sum = 0;
    for (const PlanTerm& term : plan.terms) sum += term.us;
    plan.correction = plan.total_us / sum;
    const double spread =
        std::hypot(plan.encode_us * encoding.spread / plan.total_us,
                   plan.compute_us * product.spread / plan.total_us, least_spread);
    plan.low_us = plan.total_us * std::exp(-nine_of_ten * spread);
    plan.high_us = plan.total_us * std::exp(nine_of_ten * spread);
    plans.push_back(std::move(plan));
  }
  return ranked(std::move(plans));
}

PlanVerdict verdict_of(const std::vector<PlanChoice>& choices) {
  require(!choices.empty(), ErrorCode::invalid_argument, "there are no choices to judge");
  PlanVerdict result;
  result.count = choices.size();
  std::vector<double> regrets;
  double sum = 0;
  for (const PlanChoice& choice : choices) {
    const double ratio = choice.chosen_us / choice.best_us;
    sum += std::log(ratio);
    regrets.push_back(ratio - 1);
    if (choice.dense_us > 0) {
      result.worst_over_dense =
          std::max(result.worst_over_dense, choice.chosen_us / choice.dense_us - 1);
    }
  }
  std::sort(regrets.begin(), regrets.end());
  result.mean_regret = std::exp(sum / static_cast<double>(regrets.size())) - 1;
  result.p95_regret = percentile(regrets, 0.95);
  return result;
}

std::vector<PlanChoice> evaluate_planner(const std::vector<TunedPoint>& all,
                                         const PlanOptions& options, HoldOut hold_out,
                                         std::uint64_t seed) {
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
  using Shape = std::tuple<double, double, std::uint32_t, std::uint32_t>;
  std::set<Shape> shapes;
  for (const TunedPoint& point : all) {
    if (point.problem.pattern != "trace") shapes.insert(shape_of(point.problem));
  }
  std::vector<Shape> in_order(shapes.begin(), shapes.end());
  if (seed != 0) {
    std::mt19937_64 generator(seed);
    for (std::size_t i = in_order.size(); i > 1; --i) {
      std::swap(in_order[i - 1], in_order[generator() % i]);
    }
  }
  std::set<Shape> held_out;
  for (std::size_t i = 1; i < in_order.size(); i += 2) held_out.insert(in_order[i]);
  const auto trains = [&](const Problem& problem) {
    if (problem.pattern == "trace") return false;
    const auto& known = densities.at(family(problem));
    if (std::distance(known.begin(), known.find(problem.density)) % 2 != 0) return false;
    return hold_out == HoldOut::densities || !held_out.contains(shape_of(problem));
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
  const Planner planner(training);
  std::vector<PlanChoice> choices;
  for (const auto& [key, points] : judged) {
    const std::vector<Plan> plans = planner.plan(points.front()->problem, options);
    PlanChoice choice;
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
    if (choice.chosen_us > 0 && choice.best_us > 0) choices.push_back(std::move(choice));
  }
  require(!choices.empty(), ErrorCode::invalid_argument,
          "the report has no problems to judge a planner on: it takes several densities");
  return choices;
}

}  // namespace spiketune
