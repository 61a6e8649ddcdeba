// What AutoSpmm costs and gains while the density drifts from 0.5 to 30 % and back over 1,000
// calls: against every plan that stays the same, and against the best plan at each density. It
// tunes itself first, on the same machine.
//
//   bench_auto_spmm [M K N]       default: 4096 4096 4096 on CUDA, 512 512 256 on the host

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>

#include "spiketune/autotune/auto_spmm.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/bench/support.hpp"

namespace {

using namespace spiketune;
using Clock = std::chrono::steady_clock;

constexpr int levels = 20;           // densities of the drift, there and back
constexpr int calls_per_level = 25;  // 2 · 20 · 25 calls
constexpr double lowest = 0.005;
constexpr double highest = 0.3;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double density_of(int level) {
  return lowest * std::pow(highest / lowest, static_cast<double>(level) / (levels - 1));
}

/// A plan that stays, bound to each level's spikes.
struct Fixed {
  std::string name;
  const EncodingChoice* encoding = nullptr;
  const KernelChoice* kernel = nullptr;
  std::unique_ptr<AnyEncoding> memory;
  std::function<void()> encode;
  std::function<void()> multiply;
  std::vector<double> us;  ///< of a call, at each level

  void call() const {
    encode();
    multiply();
  }
};

/// The spikes of every level, one after another in the same memory, as a network would make them.
class Drift {
 public:
  Drift(const Backend& backend, const Problem& layer)
      : backend_(backend),
        input_(backend.make_spikes(layer.shape(), layer.input, layer.value, layer.row_order)) {
    for (int level = 0; level < levels; ++level) {
      spikes_.push_back(bench::make_spikes(backend, layer.shape(), layer.input, density_of(level)));
    }
  }
  [[nodiscard]] SpikeView input() const { return input_.view(); }
  void load(int level) {
    const SpikeView from = spikes_[static_cast<std::size_t>(level)].view();
    backend_.copy(input_.mutable_view().data, from.data, from.bytes());
    backend_.synchronize();
  }
  /// Time of the calls of the whole drift; `call` is told the level.
  double time(const std::function<void(int)>& call) {
    double us = 0;
    for (int i = 0; i < 2 * levels; ++i) {
      const int level = i < levels ? i : 2 * levels - 1 - i;
      load(level);
      const auto start = Clock::now();
      for (int repeat = 0; repeat < calls_per_level; ++repeat) call(level);
      backend_.synchronize();
      us += us_since(start);
    }
    return us;
  }

 private:
  const Backend& backend_;
  SpikeTensor input_;
  std::vector<SpikeTensor> spikes_;
};

/// Of a few calls in a row, after one.
double time_calls(const Backend& backend, const std::function<void()>& call) {
  call();
  backend.synchronize();
  auto start = Clock::now();
  call();
  backend.synchronize();
  const int count = us_since(start) > 2000 ? 3 : 20;
  start = Clock::now();
  for (int i = 0; i < count; ++i) call();
  backend.synchronize();
  return us_since(start) / count;
}

AutoSpmm make_auto(const Registry& registry, const Context& context, const Planner& planner,
                   const Problem& layer) {
  return std::visit([&](const auto& known) { return AutoSpmm(registry, known, planner, layer); },
                    context);
}

int run(int argc, char** argv) {
  bench::Machine machine = bench::open_machine();
  const Backend& backend = *machine.backend;
  const bool host = backend.space() == Space::host;
  Problem layer;
  layer.rows = argc == 4 ? std::strtoull(argv[1], nullptr, 10) : host ? 512 : 4096;
  layer.k = argc == 4 ? static_cast<std::uint32_t>(std::atoi(argv[2])) : host ? 512 : 4096;
  layer.n = argc == 4 ? static_cast<std::uint32_t>(std::atoi(argv[3])) : host ? 256 : 4096;
  layer.weights = host ? DType::f32 : DType::f16;
  layer.density = lowest;
  check_problem(layer);

  Drift drift(backend, layer);
  drift.load(0);
  WeightView w{nullptr, layer.weights, layer.k, layer.n, backend.space()};
  OutputView y{nullptr, layer.output, layer.m(), layer.n, backend.space()};
  const Buffer w_memory = backend.allocate(w.bytes());
  const Buffer y_memory = backend.allocate(y.bytes());
  backend.fill(w_memory.data(), 0x3c, w.bytes());
  w.data = w_memory.data();
  y.data = y_memory.data();

  const auto encodings = list_candidates(machine.registry, backend.name(), {}, layer);
  std::vector<Fixed> plans;
  std::vector<TunedPoint> points;
  for (const EncodingChoice& encoding : encodings) {
    const bool dense = encoding.format == "dense";
    if (!encoding.why_skipped.empty() || encoding.lossy || encoding.plugin->synchronous() ||
        (encoding.baseline && !dense)) {
      continue;
    }
    for (const KernelChoice& kernel : encoding.kernels) {
      if (!kernel.why_skipped.empty()) continue;
      Fixed plan;
      plan.name = encoding.format + " " + kernel.kernel;
      plan.encoding = &encoding;
      plan.kernel = &kernel;
      plan.memory = encoding.plugin->plan(backend.context(), layout_of(layer), encoding.params, 1.0,
                                          std::nullopt);
      plan.encode = plan.memory->bind_encode(drift.input());
      plan.encode();
      plan.multiply = plan.memory->bind_spmm(kernel.kernel, kernel.config, w, y);
      for (int level = 0; level < levels; ++level) {
        drift.load(level);
        plan.us.push_back(time_calls(backend, [&] { plan.call(); }));
        Problem problem = layer;
        problem.density = density_of(level);
        points.push_back({problem, encoding.format, kernel.kernel, kernel.config, backend.name(),
                          encoding.baseline, false, 0, 0, plan.us.back()});
      }
      plans.push_back(std::move(plan));
    }
  }

  // The same calls by every plan, and by the best one of each level.
  double best_fixed = std::numeric_limits<double>::infinity();
  std::string best_name;
  const int calls = 2 * levels * calls_per_level;
  std::printf("%d calls of %llu x %u x %u, 0.5 -> 30 -> 0.5 %%\n", calls,
              static_cast<unsigned long long>(layer.m()), layer.k, layer.n);
  std::vector<const Fixed*> best_at;
  for (std::size_t level = 0; level < levels; ++level) {
    const Fixed* best = &plans.front();
    for (const Fixed& plan : plans) {
      if (plan.us[level] < best->us[level]) best = &plan;
    }
    best_at.push_back(best);
  }
  const auto estimate_of = [](const Fixed& plan) {
    return 2 * calls_per_level * std::accumulate(plan.us.begin(), plan.us.end(), 0.0);
  };
  double quickest = std::numeric_limits<double>::infinity();
  for (const Fixed& plan : plans) quickest = std::min(quickest, estimate_of(plan));
  for (const Fixed& plan : plans) {
    // What is slow everywhere need not be waited for.
    const double estimate = estimate_of(plan);
    if (estimate > 3 * quickest) {
      std::printf("  %-28s about %10.0f us\n", plan.name.c_str(), estimate);
      continue;
    }
    const double us = drift.time([&](int) { plan.call(); });
    std::printf("  %-28s %16.0f us\n", plan.name.c_str(), us);
    if (us < best_fixed) {
      best_fixed = us;
      best_name = plan.name;
    }
  }
  const double best_each =
      drift.time([&](int level) { best_at[static_cast<std::size_t>(level)]->call(); });

  const Planner planner(points);
  AutoSpmm product = make_auto(machine.registry, backend.context(), planner, layer);
  product.prepare(drift.input(), w, y);
  const auto automatic = [&] { product(drift.input(), w, y); };
  const double auto_us = drift.time([&](int) { automatic(); });
  // What it settles on at each level, and what a call takes more than that plan alone.
  std::printf(
      "  density: best plan, what AutoSpmm takes, and its calls beside those of that plan\n");
  const Fixed* used = nullptr;
  double own_us = 0;
  for (int level = levels - 1; level >= 0; --level) {
    drift.load(level);
    for (int i = 0; i < 3; ++i) {  // counters of the last call arrive late
      automatic();
      backend.synchronize();
    }
    const std::string name = product.report().at("current");
    used = &*std::find_if(plans.begin(), plans.end(),
                          [&](const Fixed& plan) { return plan.name == name; });
    std::vector<double> differences;
    for (int repeat = 0; repeat < 9; ++repeat) {
      const double alone = time_calls(backend, [&] { used->call(); });
      differences.push_back(time_calls(backend, automatic) - alone);
    }
    std::sort(differences.begin(), differences.end());
    const double more = differences[differences.size() / 2];
    own_us += more / levels;
    const auto at = static_cast<std::size_t>(level);
    std::printf("  %5.2f %%  %-25s %8.1f us  %-25s %8.1f us %+6.2f us\n", 100 * density_of(level),
                best_at[at]->name.c_str(), best_at[at]->us[at], name.c_str(), used->us[at], more);
  }
  // What the host does for a call, against the bare calls of the plan that is used.
  constexpr int host_calls = 50;
  const auto host_time = [&](const std::function<void()>& call) {
    double least = std::numeric_limits<double>::infinity();
    for (int repeat = 0; repeat < 20; ++repeat) {
      backend.synchronize();
      const auto start = Clock::now();
      for (int i = 0; i < host_calls; ++i) call();
      least = std::min(least, us_since(start) / host_calls);
    }
    backend.synchronize();
    return least;
  };
  const double host_us = host_time(automatic);
  const double bare_us = host_time([&] { used->call(); });
  std::printf("AutoSpmm                       %16.0f us\n", auto_us);
  std::printf("best plan at each density      %16.0f us: AutoSpmm takes %+.1f %%\n", best_each,
              100 * (auto_us / best_each - 1));
  std::printf("best plan that stays           %16.0f us (%s): AutoSpmm takes %+.1f %%\n",
              best_fixed, best_name.c_str(), 100 * (auto_us / best_fixed - 1));
  std::printf("a call takes %.2f us more than its plan alone: %.2f %%\n", own_us,
              100 * own_us / (auto_us / calls));
  std::printf("host time of a call: %.2f us, of encode + multiply alone %.2f us\n", host_us,
              bare_us);
  std::printf("%s\n", product.report().dump(2).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 1 && argc != 4) {
    std::fprintf(stderr, "usage: bench_auto_spmm [M K N]\n");
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_auto_spmm: %s\n", error.what());
    return 1;
  }
}
