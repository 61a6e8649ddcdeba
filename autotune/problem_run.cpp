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

/// An encode that enqueues nothing: two events with nothing between them would show their own time.
class NothingToTime final : public Trial {
 public:
  void sample(unsigned count, std::vector<double>& samples) override {
    samples.insert(samples.end(), count, 0.0);
  }
  std::vector<std::string> notes() const override {
    return {"the spikes are multiplied where they lie: there is nothing to encode"};
  }
};

bool any_failed(const EncodingRun& run) {
  return std::any_of(run.kernels.begin(), run.kernels.end(), [](const KernelRun& kernel) {
    return kernel.point.status == PointStatus::failed;
  });
}

class ProblemRun {
 public:
  ProblemRun(Backend& backend, const PlannedProblem& planned, const RunOptions& options,
             const RunCallbacks& callbacks, ProblemSetup& setup)
      : backend_(backend),
        planned_(planned),
        options_(options),
        callbacks_(callbacks),
        setup_(setup) {}

  void run(const std::vector<EncodingChoice>& choices) {
    total_ = static_cast<double>(count_candidates(choices));
    for (const EncodingChoice& choice : choices) {
      if (callbacks_.interrupted()) break;
      add(choice);
    }
    finish_group();
  }

 private:
  void add(const EncodingChoice& choice);
  void make_shared_inputs();
  std::unique_ptr<EncodingRun> prepare(const EncodingChoice& choice,
                                       const std::vector<Point>& points);
  void finish_group();
  void measure_group();
  void find_out_whether_dead();
  void add_series(EncodingRun& run);
  void collect(EncodingRun& run);
  void note_floors(EncodingRun& run);
  void report(const std::string& what);

  Backend& backend_;
  const PlannedProblem& planned_;
  const RunOptions& options_;
  const RunCallbacks& callbacks_;
  ProblemSetup& setup_;
  std::string why_dead_;  // nothing more can be measured
  Group group_;
  std::uint64_t group_bytes_ = 0;
  std::uint64_t group_budget_ = 0;
  std::vector<Series*> series_;
  std::vector<std::vector<std::size_t>> owners_;  // of each series, the candidates it is for
  double total_ = 1;
  double prepared_ = 0;
  double timed_ = 0;
};

void ProblemRun::report(const std::string& what) {
  callbacks_.progress(
      what, (preparing_share * prepared_ + (1 - preparing_share) * timed_) / std::max(total_, 1.0));
}

/// A worker ends at the step where its backend is broken, so that the candidates that wait to be
/// measured get another one; where there is no worker, nothing more can be measured.
void ProblemRun::find_out_whether_dead() {
  callbacks_.step({});
  why_dead_ = backend_.why_broken();
}

/// What a set-up is for: problem, source of the spikes, seed.
std::string setup_key(const PlannedProblem& planned, std::uint64_t seed) {
  return problem_key(planned.problem) + "\n" + planned.file + "\n" +
         std::to_string(planned.images) + " " + std::to_string(planned.tile) +
         event_flags(planned.events) + " " + std::to_string(seed);
}

void ProblemRun::make_shared_inputs() {
  if (!why_dead_.empty()) return;
  std::string key = setup_key(planned_, options_.seed);
  if (setup_.key == key) return;
  setup_ = {};
  callbacks_.step({});
  try {
    setup_.inputs = make_inputs(backend_, planned_, options_.seed);
    setup_.reference = make_reference(backend_, *setup_.inputs, setup_.inputs->spikes.view(),
                                      planned_.problem.row_order);
    setup_.inputs->reference = static_cast<const double*>(setup_.reference.data());
    setup_.key = std::move(key);
  } catch (const std::exception& error) {
    why_dead_ = std::string("the problem could not be set up: ") + error.what();
    setup_ = {};
  }
}

std::unique_ptr<EncodingRun> run_of(const std::vector<Point>& points) {
  auto run = std::make_unique<EncodingRun>();
  for (const Point& point : points) {
    run->kernels.emplace_back();
    run->kernels.back().point = point;
  }
  return run;
}

/// Runs and verifies the kernels of one encoding; where memory is short, those before it are
/// measured and released first.
std::unique_ptr<EncodingRun> ProblemRun::prepare(const EncodingChoice& choice,
                                                 const std::vector<Point>& points) {
  try {
    return prepare_candidates(backend_, *setup_.inputs, choice, points, callbacks_.step);
  } catch (const Error& error) {
    if (group_.empty()) {
      auto run = run_of(points);
      give_up(*run, PointStatus::failed, error.what());
      return run;
    }
  }
  finish_group();
  return prepare(choice, points);
}

void ProblemRun::add(const EncodingChoice& choice) {
  report(choice.format);
  std::vector<Point> points;
  bool any_ok = false;
  for (const KernelChoice& kernel : choice.kernels) {
    points.push_back(blank_point(backend_.name(), planned_.problem, choice, kernel));
    any_ok = any_ok || points.back().status == PointStatus::ok;
  }
  if (any_ok) make_shared_inputs();
  if (!why_dead_.empty() || !any_ok) {
    group_.push_back(run_of(points));
    give_up(*group_.back(), PointStatus::failed, why_dead_);
  } else {
    if (group_.empty()) group_budget_ = backend_.memory_budget();
    group_.push_back(prepare(choice, points));
    group_bytes_ += group_.back()->bytes;
    if (any_failed(*group_.back())) find_out_whether_dead();
  }
  prepared_ += static_cast<double>(choice.kernels.size());
  if (group_bytes_ > group_budget_) finish_group();
}

/// The series of one encoding: encode once, then compute and total for each kernel.
void ProblemRun::add_series(EncodingRun& run) {
  const bool waits = run.plugin->synchronous();
  const auto start = [&](SeriesPair& pair, const std::function<void()>& work, bool synchronous,
                         const std::vector<std::size_t>& owners) {
    for (const TimingMode mode : options_.modes) {
      if (options_.only_total && mode != options_.modes.front()) break;
      callbacks_.step(owners);
      Series& series = pair[static_cast<std::size_t>(mode)];
      series.rule = options_.rule;
      try {
        if (work) {
          series.trial = backend_.meter().prepare({work, synchronous}, mode);
        } else {
          series.rule.max_samples = std::min(StopRule::least_samples, series.rule.max_samples);
          series.trial = std::make_unique<NothingToTime>();
        }
        series_.push_back(&series);
        owners_.push_back(owners);
      } catch (const std::exception& error) {
        series.failure = error.what();
      }
    }
  };
  const bool encode_alone = !options_.only_total || run.kernels.front().point.kernel == no_kernel;
  if (encode_alone) {
    start(run.series, run.encoding->views() ? nullptr : run.encode, waits, candidates_of(run));
  }
  for (KernelRun& kernel : run.kernels) {
    if (kernel.point.status != PointStatus::ok || kernel.point.kernel == no_kernel) continue;
    const std::vector<std::size_t> owner{kernel.point.index};
    if (!options_.only_total) start(kernel.compute, kernel.products.front(), false, owner);
    start(
        kernel.total,
        [&run, &kernel] {
          run.encode();
          for (const auto& product : kernel.products) product();
        },
        waits, owner);
  }
}

void ProblemRun::measure_group() {
  series_.clear();
  owners_.clear();
  for (const auto& run : group_) {
    if (run->alive()) add_series(*run);
  }
  if (series_.empty()) return;
  const ClockState before = backend_.meter().clocks();
  ClockState after = before;
  const double timed_before = timed_;
  const auto before_batch = [&](std::size_t i) { callbacks_.step(owners_[i]); };
  measure_interleaved(series_, callbacks_.interrupted, before_batch, [&] {
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

/// Moves the samples of a pair into the point's timing, or gives the point up. False where there
/// are too few since somebody interrupted.
bool take_samples(SeriesPair& pair, Timing& timing, Point& point, bool move) {
  for (const TimingMode mode : {TimingMode::cold, TimingMode::hot}) {
    Series& series = pair[static_cast<std::size_t>(mode)];
    if (!series.failure.empty()) {
      give_up(point, PointStatus::failed, series.failure);
      return true;
    }
    if (!series.trial) continue;
    if (series.samples.size() < std::min(StopRule::least_samples, series.rule.max_samples)) {
      return false;
    }
    auto& samples = mode == TimingMode::cold ? timing.cold : timing.hot;
    samples = move ? std::move(series.samples) : series.samples;
    for (const std::string& note : series.trial->notes()) {
      if (std::find(point.notes.begin(), point.notes.end(), note) == point.notes.end()) {
        point.notes.push_back(note);
      }
    }
  }
  return true;
}

void ProblemRun::note_floors(EncodingRun& run) {
  const Problem& problem = planned_.problem;
  for (KernelRun& kernel : run.kernels) {
    Point& point = kernel.point;
    point.input_bytes = setup_.inputs->spikes.view().bytes();
    point.weight_bytes = setup_.inputs->weights.front().bytes();
    point.output_bytes = setup_.inputs->outputs.front().bytes();
    if (!point.encoded_bytes || !options_.copy_gbps) continue;
    const auto microseconds = [&](std::uint64_t bytes) {
      return static_cast<double>(bytes) / (*options_.copy_gbps * 1e3);
    };
    const bool views = run.encoding != nullptr && run.encoding->views();
    point.encode_floor_us = views ? 0 : microseconds(*point.input_bytes + *point.encoded_bytes);
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

/// Takes the samples of an encoding's candidates and hands out their points.
void ProblemRun::collect(EncodingRun& run) {
  for (KernelRun& kernel : run.kernels) {
    Point& point = kernel.point;
    const bool measured = take_samples(run.series, point.encode, point, false) &&
                          take_samples(kernel.compute, point.compute, point, true) &&
                          take_samples(kernel.total, point.total, point, true);
    if (measured || point.status != PointStatus::ok) callbacks_.done(point);
  }
}

/// Measures what was prepared, hands out its points and releases its memory.
void ProblemRun::finish_group() {
  if (why_dead_.empty()) {
    measure_group();
    find_out_whether_dead();
  }
  for (const auto& run : group_) {
    if (!why_dead_.empty()) give_up(*run, PointStatus::failed, why_dead_);
    if (setup_.inputs) note_floors(*run);
    collect(*run);
  }
  timed_ = prepared_;
  group_.clear();
  group_bytes_ = 0;
}

}  // namespace

Point blank_point(const std::string& backend, const Problem& problem,
                  const EncodingChoice& encoding, const KernelChoice& kernel) {
  Point point;
  point.problem = problem;
  point.index = kernel.index;
  point.format = encoding.format;
  point.kernel = kernel.kernel;
  point.config = kernel.config;
  point.backend = backend;
  point.baseline = encoding.baseline;
  point.lossy = encoding.lossy;
  point.command = kernel.command;
  const std::string& why = encoding.why_skipped.empty() ? kernel.why_skipped : encoding.why_skipped;
  if (!why.empty()) give_up(point, PointStatus::skipped, why);
  return point;
}

void run_problem(Backend& backend, const PlannedProblem& planned,
                 const std::vector<EncodingChoice>& choices, const RunOptions& options,
                 const RunCallbacks& callbacks, ProblemSetup& setup) {
  ProblemRun(backend, planned, options, callbacks, setup).run(choices);
}

}  // namespace spiketune
