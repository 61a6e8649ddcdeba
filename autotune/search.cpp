#include "spiketune/autotune/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// What is known of a candidate.
struct Racer {
  std::size_t index = 0;
  std::size_t encoding = 0;  ///< of the job
  json point;                ///< the last; null: not run
  std::string gone;          ///< why it left; empty: still there

  [[nodiscard]] bool ok() const {
    return point.is_object() && point.at("status") == to_string(PointStatus::ok);
  }
  [[nodiscard]] double time(const char* which) const {
    for (const char* key : {"total_us", "total_hot_us", "encode_us"}) {
      const auto found = point.find(key);
      if (found != point.end() && found->is_object()) return found->at(which).get<double>();
    }
    return 0;
  }
};

/// The search on one problem.
class Race {
 public:
  Race(Executor& inner, const SearchOptions& search, const Job& job, const RunOptions& options,
       const JobCallbacks& callbacks)
      : inner_(inner), search_(search), job_(job), options_(options), callbacks_(callbacks) {
    for (std::size_t i = 0; i < job.choices.size(); ++i) {
      for (const KernelChoice& kernel : job.choices[i].kernels) {
        racers_.push_back({kernel.index, i, nullptr, ""});
      }
    }
  }

  void run();

 private:
  [[nodiscard]] std::vector<Racer*> alive();
  [[nodiscard]] bool measure(const std::vector<Racer*>& racers, const RunOptions& options);
  void keep_within_budget();
  void give_up_by_floor();
  void thin_out(std::size_t samples);
  void emit();

  Executor& inner_;
  const SearchOptions& search_;
  const Job& job_;
  const RunOptions& options_;
  const JobCallbacks& callbacks_;
  std::vector<Racer> racers_;
  double share_ = 0;  // of the work, about
};

std::vector<Racer*> Race::alive() {
  std::vector<Racer*> result;
  for (Racer& racer : racers_) {
    if (racer.gone.empty() && (racer.point.is_null() || racer.ok())) result.push_back(&racer);
  }
  return result;
}

/// False after an interrupt.
bool Race::measure(const std::vector<Racer*>& racers, const RunOptions& options) {
  std::map<std::size_t, Racer*> by_index;
  std::set<std::size_t> indices;
  for (Racer* racer : racers) {
    by_index[racer->index] = racer;
    indices.insert(racer->index);
  }
  JobCallbacks inner;
  inner.interrupted = callbacks_.interrupted;
  inner.progress = [&](const std::string& what, double share) {
    callbacks_.progress(what, share_ + (1 - share_) * share / 2);
  };
  inner.done = [&](json point) {
    Racer* racer = by_index.at(point.at("index").get<std::size_t>());
    racer->point = std::move(point);
  };
  const Job some = with_candidates(job_, [&](const EncodingChoice&, const KernelChoice& kernel) {
    return indices.contains(kernel.index);
  });
  inner_.run(some, options, inner);
  share_ += (1 - share_) / 2;
  return !callbacks_.interrupted();
}

/// The first kernel of each encoding stays; of the others as many as there is room for, drawn.
void Race::keep_within_budget() {
  if (search_.points == 0 || racers_.size() <= search_.points) return;
  std::vector<Racer*> order;
  std::vector<Racer*> others;
  std::size_t last = job_.choices.size();
  for (Racer& racer : racers_) {
    (racer.encoding != last ? order : others).push_back(&racer);
    last = racer.encoding;
  }
  std::mt19937_64 generator(options_.seed);
  std::shuffle(others.begin(), others.end(), generator);
  order.insert(order.end(), others.begin(), others.end());
  for (std::size_t i = search_.points; i < order.size(); ++i) {
    order[i]->gone = fmt::format("not tried: the budget is {} points a problem", search_.points);
  }
}

/// Gives up encodings that could not win if their kernels took no longer than memory does.
void Race::give_up_by_floor() {
  const Racer* best = nullptr;
  for (const Racer& racer : racers_) {
    if (racer.ok() && (best == nullptr || racer.time("median") < best->time("median"))) {
      best = &racer;
    }
  }
  if (best == nullptr) return;
  std::map<std::size_t, double> floors;
  for (const Racer& racer : racers_) {
    if (!racer.ok()) continue;
    const json& floor = racer.point.at("floor_us");
    if (floor.at("encode").is_null() || floor.at("compute").is_null()) continue;
    const double products = job_.planned.problem.amortise;
    floors[racer.encoding] =
        floor.at("encode").get<double>() + products * floor.at("compute").get<double>();
  }
  for (Racer& racer : racers_) {
    const auto floor = floors.find(racer.encoding);
    if (!racer.point.is_null() || !racer.gone.empty() || floor == floors.end()) continue;
    // The bandwidth of a copy is no law: allow for a kernel that does a little better.
    constexpr double doubt = 0.9;
    if (doubt * floor->second <= best->time("median")) continue;
    racer.gone = fmt::format("pruned: moving its bytes takes {:.1f} us, {} {} took {:.1f} us",
                             floor->second, best->point.at("format").get<std::string>(),
                             best->point.at("kernel").get<std::string>(), best->time("median"));
  }
}

/// Keeps the fastest third.
void Race::thin_out(std::size_t samples) {
  std::vector<Racer*> racers = alive();
  std::erase_if(racers, [](const Racer* racer) { return !racer->ok(); });
  std::stable_sort(racers.begin(), racers.end(), [](const Racer* a, const Racer* b) {
    return a->time("median") < b->time("median");
  });
  const std::size_t stay = std::max(search_.finalists, (racers.size() + 2) / 3);
  if (racers.size() <= stay) return;
  const double best = racers.front()->time("median");
  // Three samples say little of spread: a margin of their own, too.
  constexpr double margin = 1.02;
  const double line = std::max(racers[stay - 1]->time("median"), margin * best);
  for (std::size_t i = stay; i < racers.size(); ++i) {
    if (racers[i]->time("median") <= line) continue;
    racers[i]->gone = fmt::format("left the search after {} samples: {:.2f} x the best", samples,
                                  racers[i]->time("median") / best);
  }
}

void Race::emit() {
  for (Racer& racer : racers_) {
    if (racer.point.is_object()) {
      if (!racer.gone.empty() && racer.ok()) racer.point["notes"].push_back(racer.gone);
      callbacks_.done(std::move(racer.point));
      continue;
    }
    for (const EncodingChoice& choice : job_.choices) {
      for (const KernelChoice& kernel : choice.kernels) {
        if (kernel.index != racer.index) continue;
        Point point = blank_point(job_.backend, job_.planned.problem, choice, kernel);
        point.status = PointStatus::skipped;
        point.reason = racer.gone;
        callbacks_.done(point_to_json(point));
      }
    }
  }
}

void Race::run() {
  keep_within_budget();
  RunOptions quick = options_;
  quick.only_total = true;
  std::size_t samples = search_.first_samples;
  const auto limit = [&] {
    quick.rule.max_samples = std::min(samples, options_.rule.max_samples);
    quick.rule.min_samples = quick.rule.max_samples;
  };
  if (!search_.exhaustive) {
    limit();
    // One of each encoding first, then those that may still win.
    std::vector<Racer*> first;
    for (Racer* racer : alive()) {
      if (first.empty() || first.back()->encoding != racer->encoding) first.push_back(racer);
    }
    if (!measure(first, quick)) return;
    give_up_by_floor();
    std::vector<Racer*> rest = alive();
    std::erase_if(rest, [](const Racer* racer) { return racer->point.is_object(); });
    if (!rest.empty() && !measure(rest, quick)) return;
    thin_out(samples);
    while (alive().size() > search_.finalists && samples < options_.rule.max_samples) {
      const std::size_t before = alive().size();
      samples *= 2;
      limit();
      if (!measure(alive(), quick)) return;
      thin_out(samples);
      if (alive().size() == before && samples >= options_.rule.min_samples) break;  // all alike
    }
  }
  if (!measure(alive(), options_)) return;
  emit();
}

class SearchExecutor final : public Executor {
 public:
  SearchExecutor(std::unique_ptr<Executor> inner, const SearchOptions& options)
      : inner_(std::move(inner)), options_(options) {}
  json environment() override { return inner_->environment(); }
  void run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) override {
    Race(*inner_, options_, job, options, callbacks).run();
  }

 private:
  std::unique_ptr<Executor> inner_;
  SearchOptions options_;
};

}  // namespace

json search_to_json(const SearchOptions& options) {
  if (options.exhaustive) return {{"method", "exhaustive"}, {"points", options.points}};
  return {{"method", "successive halving"},
          {"first_samples", options.first_samples},
          {"finalists", options.finalists},
          {"points", options.points}};
}

std::unique_ptr<Executor> make_search_executor(std::unique_ptr<Executor> inner,
                                               const SearchOptions& options) {
  require(options.first_samples > 0 && options.finalists > 0, ErrorCode::invalid_argument,
          "a search needs samples and finalists");
  return std::make_unique<SearchExecutor>(std::move(inner), options);
}

}  // namespace spiketune
