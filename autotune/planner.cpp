#include "spiketune/autotune/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
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

/// What a time is proportional to, in units that make rates comparable.
struct Work {
  const char* name;
  double amount;
};
constexpr double mega = 1e-6;

double rows_of(const Problem& problem) {
  return std::max<double>(static_cast<double>(problem.m()), 1);
}

/// How well rows of `count` elements are aligned: 0: whole pieces of 16 elements, 1: of 8, 2:
/// neither. What is read in large pieces, and what cuBLASLt offers, changes with it.
int oddness(std::uint32_t count) {
  return count % 16 == 0 ? 0 : count % 8 == 0 ? 1 : 2;
}

std::vector<Work> encode_work(const Problem& problem) {
  const double m = rows_of(problem);
  const double elements = mega * m * std::max(problem.k, 1u);
  return {{"launch of encode", 1},
          {"input (M·K)", elements},
          {"input, K of eights (M·K)", oddness(problem.k) == 1 ? elements : 0},
          {"input, K odd (M·K)", oddness(problem.k) == 2 ? elements : 0},
          {"rows encoded (M)", mega * m},
          {"nonzeros encoded", elements * problem.density}};
}

/// Products that the busiest multiprocessor makes, times their number: tiles that do not fill the
/// last turn cost as much as a whole one. `units`: multiprocessors; 0: not known.
double products_in_turns(double m, double n, double units) {
  struct Tile {
    double rows, columns, slowness;
  };
  if (units == 0) return m * n;
  double least = std::numeric_limits<double>::infinity();
  // Smaller tiles read their operands more often for each product.
  for (const Tile tile : {Tile{256, 128, 1}, Tile{128, 128, 1.1}, Tile{256, 64, 1.1},
                          Tile{128, 64, 1.4}, Tile{64, 128, 1.08}, Tile{64, 64, 1.3}}) {
    const double tiles = std::ceil(m / tile.rows) * std::ceil(n / tile.columns);
    const double turns = std::ceil(tiles / units);
    least = std::min(least, turns * units * tile.rows * tile.columns * tile.slowness);
  }
  return least;
}

/// Columns of a slab of W, all K rows of it, that fit into shared memory: a power of two up to 128.
double slab_columns(double k) {
  constexpr double shared_bytes = 224 << 10;
  double columns = 128;
  while (columns > 8 && 2 * k * columns > shared_bytes) columns /= 2;
  return columns;
}

/// Products of the busiest multiprocessor times their number, where each keeps a slab of W and its
/// warpgroups take strips of 64 rows in turns (`expand_mma` of bytes).
double products_in_strips(double m, double k, double n, double units) {
  const double columns = std::max(slab_columns(k), 64.0);
  const double slabs = std::ceil(n / columns);
  if (units == 0) return m * n;
  const double groups = columns == 64 ? 6 : 3;                    // as many as registers allow
  const double share = std::max(1.0, std::floor(units / slabs));  // multiprocessors of a slab
  const double turns = std::ceil(slabs / units) * std::ceil(std::ceil(m / 64) / (share * groups));
  return turns * groups * 64 * columns * units;
}

/// Of one product.
std::vector<Work> compute_work(const Problem& problem, double units) {
  const double m = rows_of(problem);
  const double k = std::max(problem.k, 1u);
  const double n = std::max(problem.n, 1u);
  const double d = problem.density;
  const double elements = mega * m * k;
  const double slabs = std::ceil(n / slab_columns(k));
  const double turns = mega * products_in_turns(m, n, units) * k;
  const double bits_of_w = bits_of(problem.weights) / 16.0;
  // Of four independent spikes those beyond two.
  const double beyond_two_of_four = 4 * d * d * d * (1 - d) + 2 * d * d * d * d;
  return {{"launch", 1},
          {"S (M·K)", elements},
          {"Y (M·N)", mega * m * n * bits_of(problem.output) / 16},
          {"W (K·N)", mega * k * n * bits_of_w},
          {"rows (M)", mega * m},
          {"steps of K", 1e-3 * k},
          {"nonzeros", elements * d},
          {"gathered (nnz·N)", elements * d * n},
          {"dense (M·K·N)", elements * n},
          {"dense, K or N odd (M·K·N)",
           oddness(problem.k) == 2 || oddness(problem.n) == 2 ? elements * n : 0},
          {"turns of tiles (M·K·N)", turns},
          {"turns of strips (M·K·N)", mega * products_in_strips(m, k, n, units) * k},
          {"turns of tiles of bit-planes", turns * bits_of_w},
          {"S for each slab of W", elements * slabs},
          {"nonzeros for each slab of W", elements * d * slabs},
          {"beyond 2:4 (nnz·N)", elements / 4 * beyond_two_of_four * n}};
}

/// Nonnegative rates that make the sums come closest to the times, relative to them, each a little
/// drawn to zero, so that two kinds of work that grow together share a time instead of one taking
/// it all: ridge regression by coordinate descent.
std::vector<double> fit(const std::vector<std::vector<Work>>& works,
                        const std::vector<double>& times) {
  if (works.empty()) return {};
  const std::size_t count = works.front().size();
  // Normal equations of rows divided by their time, columns of unit length.
  std::vector<double> length(count, 0);
  for (std::size_t p = 0; p < works.size(); ++p) {
    for (std::size_t i = 0; i < count; ++i) {
      length[i] += works[p][i].amount / times[p] * works[p][i].amount / times[p];
    }
  }
  for (double& each : length) each = std::sqrt(each);
  std::vector<double> square(count * count, 0);
  std::vector<double> right(count, 0);
  std::vector<double> row(count, 0);
  for (std::size_t p = 0; p < works.size(); ++p) {
    for (std::size_t i = 0; i < count; ++i) {
      row[i] = length[i] > 0 ? works[p][i].amount / times[p] / length[i] : 0;
    }
    for (std::size_t i = 0; i < count; ++i) {
      right[i] += row[i];
      for (std::size_t j = 0; j < count; ++j) square[i * count + j] += row[i] * row[j];
    }
  }
  const double ridge = 0.02 / static_cast<double>(works.size());
  std::vector<double> rates(count, 0);
  constexpr int sweeps = 4000;
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    double change = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (length[i] <= 0) continue;
      double gradient = right[i] - ridge * rates[i];
      for (std::size_t j = 0; j < count; ++j) gradient -= square[i * count + j] * rates[j];
      const double next = std::max(0.0, rates[i] + gradient / (1 + ridge));
      change = std::max(change, std::abs(next - rates[i]));
      rates[i] = next;
    }
    constexpr double converged = 1e-7;
    if (change < converged) break;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (length[i] > 0) rates[i] /= length[i];
  }
  return rates;
}

/// Where a problem lies: logarithms of what times change with, so that distances are e-folds.
using Place = std::array<double, 8>;

Place place_of(const Problem& problem) {
  constexpr double least_density = 1e-5;
  // What is known of one alignment says nothing of another.
  constexpr double other_alignment = 5;
  return {std::log(rows_of(problem)),           std::log(std::max(problem.k, 1u)),
          std::log(std::max(problem.n, 1u)),    std::log(std::max(problem.density, least_density)),
          std::log(bits_of(problem.weights)),   std::log(bits_of(problem.output)),
          other_alignment * oddness(problem.k), oddness(problem.n) == 2 ? other_alignment : 0};
}

/// The same for an encode, which knows nothing of W and Y.
Place encode_place_of(const Problem& problem) {
  Place place = place_of(problem);
  place[2] = place[4] = place[5] = place[7] = 0;
  return place;
}

double distance(const Place& a, const Place& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

/// Types and orders that times do not carry over between.
std::string input_of(const Problem& problem) {
  return fmt::format("{} {} {}", to_string(problem.input), to_string(problem.value),
                     to_string(problem.row_order));
}

/// Those that a candidate must have been tuned with once to be known to take them.
std::string types_of(const Problem& problem) {
  return fmt::format("{} {}", to_string(problem.weights), to_string(problem.output));
}

std::string key_of(const TunedPoint& point) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", point.format, point.kernel, point.config.dump(),
                     point.backend, point.baseline, input_of(point.problem));
}

/// Solves A·x = b for a symmetric positive definite A of size n × n, in place.
void solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {  // A = L·Lᵀ
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t l = 0; l < j; ++l) sum -= a[i * n + l] * a[j * n + l];
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t l = 0; l < i; ++l) b[i] -= a[i * n + l] * b[l];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t l = i + 1; l < n; ++l) b[i] -= a[l * n + i] * b[l];
    b[i] /= a[i * n + i];
  }
}

double median_of(const json& point, const char* key) {
  const auto median = report_json::number(child(point, key), "median");
  return median && std::isfinite(*median) && *median > 0 ? *median : 0;
}

bool is_dense(const std::string& format) {
  return format == "dense";
}

/// A time as a sum of terms, corrected by what that sum misses nearby.
class Model {
 public:
  struct Estimate {
    double us = 0;
    double spread = 0;  ///< standard deviation of log(us)
  };

  void learn(const Place& place, std::vector<Work> work, double us) {
    const auto [found, fresh] = index_.emplace(place, places_.size());
    if (fresh) {
      places_.push_back(place);
      works_.push_back(std::move(work));
      log_times_.push_back({});
    }
    log_times_[found->second].push_back(std::log(us));
  }

  /// After all that there is to learn.
  void settle() {
    std::vector<double> times;
    for (const std::vector<double>& each : log_times_) {
      double sum = 0;
      for (const double log_time : each) sum += log_time;
      times.push_back(std::exp(sum / static_cast<double>(each.size())));
    }
    rates_ = fit(works_, times);
    double squares = 0;
    std::set<std::tuple<double, double, double>> shapes;
    for (std::size_t i = 0; i < times.size(); ++i) {
      misses_.push_back(std::log(times[i] / sum_of(works_[i])));
      squares += misses_.back() * misses_.back();
      shapes.emplace(places_[i][0], places_[i][1], places_[i][2]);
    }
    // Points of one shape say the same, and rates that were fitted leave fewer shapes to judge by.
    const auto known = static_cast<double>(shapes.size());
    double left = known;
    for (const double rate : rates_) left -= rate > 0;
    const double seen =
        std::sqrt(squares / static_cast<double>(std::max<std::size_t>(times.size(), 1)));
    amplitude_ = left > 0 ? std::max(seen * std::sqrt(known / left), least_amplitude)
                          : std::max(seen, unknown_amplitude);
    works_.clear();
    log_times_.clear();
    index_.clear();
  }

  [[nodiscard]] bool empty() const { return places_.empty(); }

  [[nodiscard]] double nearest(const Place& place) const {
    double least = std::numeric_limits<double>::infinity();
    for (const Place& known : places_) least = std::min(least, distance(known, place));
    return least;
  }

  /// The best linear prediction of what the sum misses, as a Gaussian process of Matérn's
  /// covariance (ν = 3/2) around the sum, from the points that are nearest.
  [[nodiscard]] Estimate at(const Place& place, const std::vector<Work>& work) const {
    if (empty()) return {};
    std::vector<std::pair<double, std::size_t>> by_distance;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      by_distance.emplace_back(distance(places_[i], place), i);
    }
    const std::size_t n = std::min(most_neighbours, by_distance.size());
    std::partial_sort(by_distance.begin(), by_distance.begin() + static_cast<std::ptrdiff_t>(n),
                      by_distance.end());
    std::vector<double> between(n * n);
    std::vector<double> here(n);
    for (std::size_t i = 0; i < n; ++i) {
      const Place& one = places_[by_distance[i].second];
      for (std::size_t j = 0; j <= i; ++j) {
        between[i * n + j] = covariance(distance(one, places_[by_distance[j].second]));
      }
      between[i * n + i] += noise * noise;
      here[i] = covariance(by_distance[i].first);
    }
    std::vector<double> weights = here;
    solve(between, weights);
    double miss = 0;
    double variance = amplitude_ * amplitude_;
    for (std::size_t i = 0; i < n; ++i) {
      miss += weights[i] * misses_[by_distance[i].second];
      variance -= weights[i] * here[i];
    }
    return {sum_of(work) * std::exp(miss), std::sqrt(std::max(variance, 0.0))};
  }

  /// The terms of the sum, `times` over.
  void add_terms(const std::vector<Work>& work, double times, std::vector<PlanTerm>& terms) const {
    if (empty()) return;
    for (std::size_t i = 0; i < work.size(); ++i) {
      const double us = work[i].amount * rates_[i] * times;
      if (us > 0) terms.push_back({work[i].name, us});
    }
  }

 private:
  static constexpr std::size_t most_neighbours = 32;
  /// E-folds after which points have little to do with each other, and what two measurements of one
  /// point differ by.
  static constexpr double reach = 1.0;
  static constexpr double noise = 0.02;
  static constexpr double least_amplitude = 0.05;
  /// Where there are no more shapes than rates: what sums are wrong by at other shapes as a rule.
  static constexpr double unknown_amplitude = 0.1;

  [[nodiscard]] double covariance(double apart) const {
    const double scaled = std::sqrt(3.0) * apart / reach;
    return amplitude_ * amplitude_ * (1 + scaled) * std::exp(-scaled);
  }
  [[nodiscard]] double sum_of(const std::vector<Work>& work) const {
    double sum = 0;
    for (std::size_t i = 0; i < work.size(); ++i) sum += work[i].amount * rates_[i];
    return sum;
  }

  std::map<Place, std::size_t> index_;
  std::vector<std::vector<Work>> works_;
  std::vector<std::vector<double>> log_times_;
  std::vector<Place> places_;
  std::vector<double> rates_;
  std::vector<double> misses_;  ///< log(measured / sum of terms) at each place
  double amplitude_ = 0;        ///< standard deviation of the misses
};

struct Candidate {
  TunedPoint first;             ///< what all have in common
  std::set<std::string> types;  ///< of W and Y
  std::size_t points = 0;
  Model encode;
  Model compute;
  double saved_us = 0;  ///< what encode and compute in a row take less than one by one
};

constexpr double nine_of_ten = 1.645;  // of a normal distribution lie within so many deviations
/// Farther away than this, only dense is recommended.
constexpr double trusted_distance = 4.0;
/// How much slower than dense a plan may turn out, by as many deviations as it is sure of.
constexpr double slower_than_dense = 1.05;
constexpr double sure = 1.0;
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
    return std::log(plan.total_us / to.total_us) +
               sure * std::hypot(spread_of(plan), spread_of(to)) >
           std::log(slower_than_dense);
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
      candidate.types.insert(types_of(point->problem));
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
      candidate.compute.learn(place_of(point->problem), compute_work(point->problem, point->units),
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
  const std::vector<Work> encode = encode_work(problem);
  std::vector<Plan> plans;
  for (const Candidate& candidate : state_->candidates) {
    const TunedPoint& first = candidate.first;
    if (input_of(first.problem) != input || !candidate.types.contains(types)) continue;
    if (first.lossy && !options.lossy) continue;
    if (first.baseline && !options.baselines && !is_dense(first.format)) continue;
    if (candidate.compute.empty()) continue;
    const std::vector<Work> compute = compute_work(problem, first.units);
    const Model::Estimate encoding = candidate.encode.at(encode_place_of(problem), encode);
    const Model::Estimate product = candidate.compute.at(place_of(problem), compute);
    Plan plan;
    plan.format = first.format;
    plan.kernel = first.kernel;
    plan.config = first.config;
    plan.backend = first.backend;
    plan.baseline = first.baseline;
    plan.lossy = first.lossy;
    plan.points = candidate.points;
    plan.distance = candidate.compute.nearest(place_of(problem));
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
  const Planner planner(training);
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
