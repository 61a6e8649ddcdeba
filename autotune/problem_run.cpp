#include "spiketune/autotune/problem_run.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <memory>
#include <utility>

#include "spiketune/autotune/candidate_run.hpp"
#include "spiketune/autotune/inputs.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

/// Share of a problem's progress that preparing is taken for; timing is the rest.
constexpr double preparing_share = 0.3;

using Group = std::vector<std::unique_ptr<EncodingRun>>;

/// The points of one encoding before anything is known of them but why they are skipped.
std::vector<Point> blank_points(const Backend& backend, const Problem& problem,
                                const EncodingChoice& choice, const std::string* commands) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < choice.kernels.size(); ++i) {
    const KernelChoice& kernel = choice.kernels[i];
    Point point;
    point.problem = problem;
    point.format = choice.plugin->name();
    point.kernel = kernel.kernel;
    point.config = kernel.config;
    point.backend = backend.name();
    point.baseline = choice.plugin->baseline();
    point.lossy = choice.plugin->lossy();
    point.command = commands[i];
    const std::string& why = choice.why_skipped.empty() ? kernel.why_skipped : choice.why_skipped;
    if (!why.empty()) give_up(point, PointStatus::skipped, why);
    points.push_back(std::move(point));
  }
  return points;
}

bool any_failed(const EncodingRun& run) {
  return std::any_of(run.kernels.begin(), run.kernels.end(), [](const KernelRun& kernel) {
    return kernel.point.status == PointStatus::failed;
  });
}

class ProblemRun {
 public:
  ProblemRun(Backend& backend, const PlannedProblem& planned, const RunOptions& options,
             const RunCallbacks& callbacks)
      : backend_(backend), planned_(planned), options_(options), callbacks_(callbacks) {}

  std::vector<Point> run(const std::vector<EncodingChoice>& choices,
                         const std::vector<std::string>& commands) {
    total_ = static_cast<double>(count_candidates(choices));
    const std::string* command = commands.data();
    for (const EncodingChoice& choice : choices) {
      std::vector<Point> points = blank_points(backend_, planned_.problem, choice, command);
      command += choice.kernels.size();
      add(choice, std::move(points));
    }
    finish_group();
    return std::move(points_);
  }

 private:
  void add(const EncodingChoice& choice, std::vector<Point> points);
  void make_shared_inputs();
  std::unique_ptr<EncodingRun> prepare(const EncodingChoice& choice,
                                       const std::vector<Point>& points);
  void finish_group();
  void measure_group();
  void add_series(EncodingRun& run);
  void collect(EncodingRun& run);
  void note_floors(EncodingRun& run);
  void report(const std::string& what);

  Backend& backend_;
  const PlannedProblem& planned_;
  const RunOptions& options_;
  const RunCallbacks& callbacks_;
  std::optional<ProblemInputs> inputs_;
  Buffer reference_;
  std::string why_dead_;  // nothing more can be measured
  Group group_;
  std::uint64_t group_bytes_ = 0;
  std::uint64_t group_budget_ = 0;
  std::vector<Series*> series_;
  std::vector<Point> points_;
  double total_ = 1;
  double prepared_ = 0;
  double timed_ = 0;
};

void ProblemRun::report(const std::string& what) {
  callbacks_.progress(
      what, (preparing_share * prepared_ + (1 - preparing_share) * timed_) / std::max(total_, 1.0));
}

void ProblemRun::make_shared_inputs() {
  if (inputs_ || !why_dead_.empty()) return;
  try {
    inputs_ = make_inputs(backend_, planned_, options_.seed);
    reference_ =
        make_reference(backend_, *inputs_, inputs_->spikes.view(), planned_.problem.row_order);
    inputs_->reference = static_cast<const double*>(reference_.data());
  } catch (const std::exception& error) {
    why_dead_ = std::string("the problem could not be set up: ") + error.what();
    inputs_.reset();
  }
}

/// Runs and verifies the kernels of one encoding; where memory is short, those before it are
/// measured and released first.
std::unique_ptr<EncodingRun> ProblemRun::prepare(const EncodingChoice& choice,
                                                 const std::vector<Point>& points) {
  try {
    return prepare_candidates(backend_, *inputs_, choice, points);
  } catch (const Error& error) {
    if (group_.empty()) {
      auto run = std::make_unique<EncodingRun>();
      for (const Point& point : points) {
        run->kernels.emplace_back();
        run->kernels.back().point = point;
      }
      give_up(*run, PointStatus::failed, error.what());
      return run;
    }
  }
  finish_group();
  return prepare(choice, points);
}

void ProblemRun::add(const EncodingChoice& choice, std::vector<Point> points) {
  report(choice.plugin->name());
  const bool any_ok = std::any_of(points.begin(), points.end(), [](const Point& point) {
    return point.status == PointStatus::ok;
  });
  if (any_ok) make_shared_inputs();
  const bool interrupted = callbacks_.interrupted();
  if (!inputs_ || !why_dead_.empty() || interrupted || !any_ok) {
    for (Point& point : points) {
      if (interrupted) give_up(point, PointStatus::skipped, "interrupted before it was measured");
      give_up(point, PointStatus::failed, why_dead_);
    }
    auto run = std::make_unique<EncodingRun>();
    for (Point& point : points) {
      run->kernels.emplace_back();
      run->kernels.back().point = std::move(point);
    }
    group_.push_back(std::move(run));
  } else {
    if (group_.empty()) group_budget_ = backend_.memory_budget();
    group_.push_back(prepare(choice, points));
    group_bytes_ += group_.back()->bytes;
    if (any_failed(*group_.back())) why_dead_ = backend_.why_broken();
  }
  prepared_ += static_cast<double>(choice.kernels.size());
  if (group_bytes_ > group_budget_) finish_group();
}

/// The series of one encoding: encode once, then compute and total for each kernel.
void ProblemRun::add_series(EncodingRun& run) {
  const bool waits = run.plugin->synchronous();
  const auto start = [&](SeriesPair& pair, const std::function<void()>& work, bool synchronous) {
    for (const TimingMode mode : options_.modes) {
      Series& series = pair[static_cast<std::size_t>(mode)];
      series.rule = options_.rule;
      try {
        series.trial = backend_.meter().prepare({work, synchronous}, mode);
        series_.push_back(&series);
      } catch (const std::exception& error) {
        series.failure = error.what();
      }
    }
  };
  start(run.series, run.encode, waits);
  for (KernelRun& kernel : run.kernels) {
    if (kernel.point.status != PointStatus::ok || kernel.point.kernel == no_kernel) continue;
    start(kernel.compute, kernel.products.front(), false);
    start(
        kernel.total,
        [&run, &kernel] {
          run.encode();
          for (const auto& product : kernel.products) product();
        },
        waits);
  }
}

void ProblemRun::measure_group() {
  series_.clear();
  for (const auto& run : group_) {
    if (run->alive()) add_series(*run);
  }
  if (series_.empty()) return;
  const ClockState before = backend_.meter().clocks();
  ClockState after = before;
  const double timed_before = timed_;
  measure_interleaved(series_, callbacks_.interrupted, [&] {
    const ClockState now = backend_.meter().clocks();
    for (const std::string& reason : now.throttle_reasons) {
      auto& seen = after.throttle_reasons;
      if (std::find(seen.begin(), seen.end(), reason) == seen.end()) seen.push_back(reason);
    }
    after.sm_mhz = now.sm_mhz;
    after.memory_mhz = now.memory_mhz;
    const auto finished = std::count_if(series_.begin(), series_.end(), [](const Series* series) {
      return !series->failure.empty() || series->rule.enough(series->samples, series->seconds);
    });
    timed_ = timed_before + (prepared_ - timed_before) * static_cast<double>(finished) /
                                static_cast<double>(series_.size());
    report("timing");
  });
  for (const auto& run : group_) {
    for (KernelRun& kernel : run->kernels) {
      kernel.point.clocks_before = before;
      kernel.point.clocks_after = after;
    }
  }
}

/// Moves the samples of a pair into the point's timing, or gives the point up.
void take_samples(SeriesPair& pair, Timing& timing, Point& point, bool move) {
  for (const TimingMode mode : {TimingMode::cold, TimingMode::hot}) {
    Series& series = pair[static_cast<std::size_t>(mode)];
    if (!series.failure.empty()) {
      give_up(point, PointStatus::failed, series.failure);
      return;
    }
    if (!series.trial) continue;
    if (series.samples.size() < std::min(StopRule::least_samples, series.rule.max_samples)) {
      give_up(point, PointStatus::skipped, "interrupted before it was measured");
      return;
    }
    auto& samples = mode == TimingMode::cold ? timing.cold : timing.hot;
    samples = move ? std::move(series.samples) : series.samples;
    for (const std::string& note : series.trial->notes()) {
      if (std::find(point.notes.begin(), point.notes.end(), note) == point.notes.end()) {
        point.notes.push_back(note);
      }
    }
  }
}

void ProblemRun::note_floors(EncodingRun& run) {
  const Problem& problem = planned_.problem;
  for (KernelRun& kernel : run.kernels) {
    Point& point = kernel.point;
    point.input_bytes = inputs_->spikes.view().bytes();
    point.weight_bytes = inputs_->weights.front().bytes();
    point.output_bytes = inputs_->outputs.front().bytes();
    if (!point.encoded_bytes || !options_.copy_gbps) continue;
    const auto microseconds = [&](std::uint64_t bytes) {
      return static_cast<double>(bytes) / (*options_.copy_gbps * 1e3);
    };
    point.encode_floor_us = microseconds(*point.input_bytes + *point.encoded_bytes);
    if (point.kernel == no_kernel) continue;
    point.compute_floor_us =
        microseconds(*point.encoded_bytes + *point.weight_bytes + *point.output_bytes);
    // A dense product cannot skip zeros; what the others must do depends on the structure.
    const double peak = point.format == "dense" ? backend_.peak_operations(problem.weights) : 0;
    if (peak > 0) {
      const double operations =
          2.0 * static_cast<double>(problem.m()) * problem.k * static_cast<double>(problem.n);
      point.compute_floor_us = std::max(*point.compute_floor_us, 1e6 * operations / peak);
    }
  }
}

void ProblemRun::collect(EncodingRun& run) {
  for (KernelRun& kernel : run.kernels) {
    take_samples(run.series, kernel.point.encode, kernel.point, false);
    take_samples(kernel.compute, kernel.point.compute, kernel.point, true);
    take_samples(kernel.total, kernel.point.total, kernel.point, true);
  }
}

/// Measures what was prepared, moves its points out and releases its memory.
void ProblemRun::finish_group() {
  if (why_dead_.empty()) {
    measure_group();
    why_dead_ = backend_.why_broken();
  }
  for (const auto& run : group_) {
    if (!why_dead_.empty()) give_up(*run, PointStatus::failed, why_dead_);
    collect(*run);
    if (inputs_) note_floors(*run);
    for (KernelRun& kernel : run->kernels) points_.push_back(std::move(kernel.point));
  }
  timed_ = prepared_;
  group_.clear();
  group_bytes_ = 0;
}

}  // namespace

std::vector<Point> run_problem(Backend& backend, const PlannedProblem& planned,
                               const std::vector<EncodingChoice>& choices,
                               const std::vector<std::string>& commands, const RunOptions& options,
                               const RunCallbacks& callbacks) {
  return ProblemRun(backend, planned, options, callbacks).run(choices, commands);
}

}  // namespace spiketune
