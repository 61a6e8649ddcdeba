#include "spiketune/autotune/plan_model.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "spiketune/autotune/planner.hpp"

namespace spiketune {
namespace {

/// E-folds of M, K, N, density and widths after which the misses of two points have little to do
/// with each other.
constexpr double reach = 8.0;
/// What two measurements of one point differ by.
constexpr double noise = 0.02;
/// What is usual of aligned shapes and of others, and how many shapes that is worth beside those
/// that were tuned.
constexpr std::array<PlanModel::Doubt, 2> usual_doubts = {{{0.12, 0.15}, {0.2, 0.15}}};
constexpr double usual_shapes = 2;
constexpr double least_amplitude = 0.03;
constexpr double usual_amplitude = usual_doubts[0].amplitude;
constexpr std::size_t most_neighbours = 32;

constexpr std::size_t density_at = 3;
constexpr std::size_t alignment_at = 6;  // of K, and then of N

double squared_distance(const Place& a, const Place& b, bool of_density = true) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (i == density_at && !of_density) continue;
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sum;
}

/// Matérn's, ν = 3/2.
double correlation(const Place& a, const Place& b) {
  const double scaled = std::sqrt(3 * squared_distance(a, b)) / reach;
  return (1 + scaled) * std::exp(-scaled);
}

/// Nonnegative rates that make the sums come closest to the times, relative to them, each a little
/// drawn to zero, so that two kinds of work that grow together share a time instead of one taking
/// it all: ridge regression by coordinate descent.
class Regression {
 public:
  explicit Regression(std::size_t count)
      : square_(Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(count),
                                      static_cast<Eigen::Index>(count))),
        right_(Eigen::VectorXd::Zero(square_.rows())) {}

  void add(const std::vector<WorkTerm>& work, double time) {
    Eigen::VectorXd row(right_.size());
    for (Eigen::Index i = 0; i < row.size(); ++i) {
      row[i] = work[static_cast<std::size_t>(i)].amount / time;
    }
    square_.selfadjointView<Eigen::Lower>().rankUpdate(row);
    right_ += row;
    ++points_;
  }

  [[nodiscard]] std::vector<double> rates() const {
    constexpr double least_length = 1e-9;
    constexpr int sweeps = 2000;
    constexpr double converged = 1e-6;
    // Columns of unit length; those of work that no point has stay out.
    const Eigen::VectorXd length = square_.diagonal().cwiseMax(0).cwiseSqrt();
    const Eigen::VectorXd scale =
        (length.array() < least_length).select(0, length.cwiseMax(least_length).cwiseInverse());
    const Eigen::MatrixXd square = scale.asDiagonal() *
                                   Eigen::MatrixXd(square_.selfadjointView<Eigen::Lower>()) *
                                   scale.asDiagonal();
    const Eigen::VectorXd right = right_.cwiseProduct(scale);
    const double ridge = 0.02 / std::max(points_, 1.0);
    Eigen::VectorXd rates = Eigen::VectorXd::Zero(right.size());
    for (int sweep = 0; sweep < sweeps; ++sweep) {
      double change = 0;
      for (Eigen::Index i = 0; i < rates.size(); ++i) {
        if (scale[i] == 0) continue;
        const double gradient = right[i] - ridge * rates[i] - square.row(i).dot(rates);
        const double next = std::max(0.0, rates[i] + gradient / (1 + ridge));
        change = std::max(change, std::abs(next - rates[i]));
        rates[i] = next;
      }
      if (change < converged) break;
    }
    rates = rates.cwiseProduct(scale);
    return {rates.begin(), rates.end()};
  }

 private:
  Eigen::MatrixXd square_;  ///< the lower half
  Eigen::VectorXd right_;
  double points_ = 0;
};

double sum_of(const std::vector<WorkTerm>& work, const std::vector<double>& rates) {
  double sum = 0;
  for (std::size_t i = 0; i < work.size(); ++i) sum += work[i].amount * rates[i];
  return sum;
}

struct Correction {
  double miss = 0;
  double unknown = 1;  ///< variance, of that of what sums miss at other shapes
  double nearest = 0;  ///< e-folds to the nearest shape
};

/// The best linear prediction of what the sum misses at a place, as a Gaussian process around the
/// sum, from the nearest of the places `known`.
Correction correct(const std::vector<Place>& places, const std::vector<double>& misses,
                   const std::vector<std::size_t>& known, const Place& place, double amplitude) {
  std::vector<std::pair<double, std::size_t>> by_distance;
  by_distance.reserve(known.size());
  double nearest = std::numeric_limits<double>::infinity();
  for (const std::size_t i : known) {
    by_distance.emplace_back(squared_distance(places[i], place), i);
    nearest = std::min(nearest, squared_distance(places[i], place, false));
  }
  const std::size_t n = std::min(most_neighbours, by_distance.size());
  std::partial_sort(by_distance.begin(), by_distance.begin() + static_cast<std::ptrdiff_t>(n),
                    by_distance.end());
  const auto size = static_cast<Eigen::Index>(n);
  Eigen::MatrixXd between(size, size);  // the lower half
  Eigen::VectorXd here(size);
  Eigen::VectorXd missed(size);
  for (Eigen::Index i = 0; i < size; ++i) {
    const std::size_t of = by_distance[static_cast<std::size_t>(i)].second;
    for (Eigen::Index j = 0; j <= i; ++j) {
      between(i, j) =
          correlation(places[of], places[by_distance[static_cast<std::size_t>(j)].second]);
    }
    between(i, i) += noise * noise / (amplitude * amplitude);
    here[i] = correlation(places[of], place);
    missed[i] = misses[of];
  }
  const Eigen::VectorXd weights = between.llt().solve(here);
  Correction result;
  result.miss = weights.dot(missed);
  result.unknown -= weights.dot(here);
  result.unknown = std::max(result.unknown, 0.0);
  result.nearest = std::sqrt(nearest);
  return result;
}

/// 0: rows of S and W are whole pieces of 16 bytes, 1: not.
std::size_t class_of(const Place& place) {
  return place[alignment_at] != 0 || place[alignment_at + 1] != 0 ? 1 : 0;
}

double log_rows(const Problem& problem) {
  return std::log(std::max<double>(static_cast<double>(problem.m()), 1));
}

}  // namespace

Place product_place_of(const std::string& format, const Problem& problem) {
  constexpr double least_density = 1e-5;
  const int bits = bits_of(problem.weights);
  // What is known of one alignment says little of another.
  constexpr double other_alignment = 5;
  return {log_rows(problem),
          std::log(std::max(problem.k, 1u)),
          std::log(std::max(problem.n, 1u)),
          std::log(std::max(problem.density, least_density)),
          std::log(format == "dense" ? std::max(bits, 16) : bits),
          std::log(bits_of(problem.output)),
          other_alignment * oddness(problem.k),
          oddness(problem.n) == 2 ? other_alignment : 0};
}

Place encode_place_of(const Problem& problem) {
  Place place = product_place_of("", problem);
  place[2] = place[4] = place[5] = place[7] = 0;
  return place;
}

void PlanModel::learn(const Place& place, std::vector<WorkTerm> work, double us) {
  const auto [found, fresh] = index_.emplace(place, places_.size());
  if (fresh) {
    places_.push_back(place);
    works_.push_back(std::move(work));
    log_times_.push_back({});
  }
  log_times_[found->second].push_back(std::log(us));
}

void PlanModel::settle() {
  if (empty()) return;
  std::vector<double> times;
  for (const std::vector<double>& each : log_times_) {
    double sum = 0;
    for (const double log_time : each) sum += log_time;
    times.push_back(std::exp(sum / static_cast<double>(each.size())));
  }
  known_.assign(works_.front().size(), false);
  for (const std::vector<WorkTerm>& work : works_) {
    for (std::size_t i = 0; i < work.size(); ++i) known_[i] = known_[i] || work[i].amount > 0;
  }
  Regression all(works_.front().size());
  for (std::size_t i = 0; i < times.size(); ++i) all.add(works_[i], times[i]);
  rates_ = all.rates();
  for (std::size_t i = 0; i < times.size(); ++i) {
    misses_.push_back(std::log(times[i] / sum_of(works_[i], rates_)));
  }
  judge(times);
  works_.clear();
  log_times_.clear();
  index_.clear();
}

/// How wrong the model is at shapes that it has not seen, from models that have not seen some of
/// its own: every eighth shape, and the third with the largest and smallest M, K or N.
void PlanModel::judge(const std::vector<double>& times) {
  std::map<std::array<double, 3>, std::vector<std::size_t>> by_shape;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    by_shape[{places_[i][0], places_[i][1], places_[i][2]}].push_back(i);
  }
  std::vector<std::vector<std::size_t>> shapes;
  shapes.reserve(by_shape.size());
  for (auto& [shape, points] : by_shape) shapes.push_back(std::move(points));
  const auto volume = [&](const std::vector<std::size_t>& points) {
    const Place& place = places_[points.front()];
    return place[0] + place[1] + place[2];
  };
  std::stable_sort(shapes.begin(), shapes.end(),
                   [&](const auto& a, const auto& b) { return volume(a) < volume(b); });

  struct Score {
    double squares = 0;  ///< of misses, over the variance that the process gives them
    double shapes = 0;
    double beyond = 0;  ///< squares of misses beyond that
    double away = 0;    ///< squares of e-folds
  };
  std::array<Score, 2> scores;
  constexpr std::size_t judged_points = 3;  // of a shape
  const auto judge_without = [&](const std::function<bool(std::size_t)>& is_out, auto&& take) {
    Regression regression(works_.front().size());
    std::vector<std::size_t> known;
    for (std::size_t s = 0; s < shapes.size(); ++s) {
      if (is_out(s)) continue;
      for (const std::size_t i : shapes[s]) {
        regression.add(works_[i], times[i]);
        known.push_back(i);
      }
    }
    if (known.empty()) return;
    const std::vector<double> rates = regression.rates();
    std::vector<double> misses(times.size());
    for (const std::size_t i : known) misses[i] = std::log(times[i] / sum_of(works_[i], rates));
    for (std::size_t s = 0; s < shapes.size(); ++s) {
      if (!is_out(s)) continue;
      const std::size_t count = std::min(judged_points, shapes[s].size());
      for (std::size_t p = 0; p < count; ++p) {
        const std::size_t i = shapes[s][count == 1 ? 0 : p * (shapes[s].size() - 1) / (count - 1)];
        const double sum = sum_of(works_[i], rates);
        if (!(sum > 0)) continue;
        const Correction correction = correct(places_, misses, known, places_[i], usual_amplitude);
        take(class_of(places_[i]), std::log(times[i] / sum) - correction.miss, correction,
             1.0 / static_cast<double>(count));
      }
    }
  };
  const std::size_t folds = std::min<std::size_t>(8, shapes.size());
  for (std::size_t fold = 0; shapes.size() > 1 && fold < folds; ++fold) {
    judge_without([&](std::size_t s) { return s % folds == fold; },
                  [&](std::size_t of, double wrong, const Correction& correction, double weight) {
                    scores[of].squares +=
                        weight * wrong * wrong / std::max(correction.unknown, 0.05);
                    scores[of].shapes += weight;
                  });
  }
  for (std::size_t of = 0; of < scores.size(); ++of) {
    const Doubt& usual = usual_doubts[of];
    doubts_[of].amplitude =
        std::max(least_amplitude,
                 std::sqrt((scores[of].squares + usual_shapes * usual.amplitude * usual.amplitude) /
                           (scores[of].shapes + usual_shapes)));
  }
  for (std::size_t side = 0; shapes.size() > 5 && side < 6; ++side) {
    std::vector<double> values;
    values.reserve(shapes.size());
    for (const auto& points : shapes) values.push_back(places_[points.front()][side / 2]);
    std::sort(values.begin(), values.end());
    const double low = values[values.size() / 3];
    const double high = values[values.size() - 1 - values.size() / 3];
    if (low == high) continue;
    judge_without(
        [&](std::size_t s) {
          const double value = places_[shapes[s].front()][side / 2];
          return side % 2 == 0 ? value < low : value > high;
        },
        [&](std::size_t of, double wrong, const Correction& correction, double weight) {
          const double amplitude = doubts_[of].amplitude;
          scores[of].beyond +=
              weight * std::max(0.0, wrong * wrong - amplitude * amplitude * correction.unknown);
          scores[of].away += weight * correction.nearest * correction.nearest;
        });
  }
  for (std::size_t of = 0; of < scores.size(); ++of) {
    const Doubt& usual = usual_doubts[of];
    doubts_[of].drift = std::sqrt((scores[of].beyond + usual_shapes * usual.drift * usual.drift) /
                                  (scores[of].away + usual_shapes));
  }
}

double PlanModel::nearest(const Place& place) const {
  double least = std::numeric_limits<double>::infinity();
  for (const Place& known : places_) least = std::min(least, squared_distance(known, place));
  return std::sqrt(least);
}

const char* PlanModel::unknown_work(const std::vector<WorkTerm>& work) const {
  for (std::size_t i = 0; i < known_.size(); ++i) {
    if (work[i].amount > 0 && !known_[i]) return work[i].name;
  }
  return nullptr;
}

PlanModel::Estimate PlanModel::at(const Place& place, const std::vector<WorkTerm>& work) const {
  if (empty()) return {};
  std::vector<std::size_t> known(places_.size());
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = i;
  const Doubt& doubt = doubts_[class_of(place)];
  const Correction correction = correct(places_, misses_, known, place, doubt.amplitude);
  const double variance = doubt.amplitude * doubt.amplitude * correction.unknown +
                          doubt.drift * doubt.drift * correction.nearest * correction.nearest;
  return {sum_of(work, rates_) * std::exp(correction.miss), std::sqrt(variance)};
}

void PlanModel::add_terms(const std::vector<WorkTerm>& work, double times,
                          std::vector<PlanTerm>& terms) const {
  if (empty()) return;
  for (std::size_t i = 0; i < work.size(); ++i) {
    const double us = work[i].amount * rates_[i] * times;
    if (us > 0) terms.push_back({work[i].name, us});
  }
}

}  // namespace spiketune
