#include "spiketune/autotune/auto_spmm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "spiketune/autotune/candidates.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// Densities at which plans are made: eight for each factor of ten from 0.0001 to 1.
constexpr std::size_t grid_size = 33;
constexpr double per_decade = 8;
constexpr double least_density = 1e-4;
using Times = std::array<double, grid_size>;  ///< microseconds at each of them

double grid_density(std::size_t i) {
  return least_density * std::pow(10.0, static_cast<double>(i) / per_decade);
}

/// Between the densities of the grid times follow power laws.
double time_at(const Times& times, double density) {
  const double x =
      std::clamp(per_decade * std::log10(std::max(density, least_density) / least_density), 0.0,
                 static_cast<double>(grid_size - 1));
  const std::size_t i = std::min(static_cast<std::size_t>(x), grid_size - 2);
  const double share = x - static_cast<double>(i);
  if (share == 0) return times[i];
  if (std::isinf(times[i]) || std::isinf(times[i + 1]))
    return share < 0.5 ? times[i] : times[i + 1];
  return times[i] * std::pow(times[i + 1] / times[i], share);
}

/// A candidate that can run, and what the planner says of it.
struct Option {
  const FormatPlugin* plugin = nullptr;
  json params;
  std::string kernel;
  json config;
  Times times;
};

std::string name_of(const std::string& format, const std::string& kernel, const json& config,
                    bool baseline) {
  return format + '\n' + kernel + '\n' + config.dump() + (baseline ? "\nbaseline" : "");
}

/// Candidates of the context's backend, by name.
std::map<std::string, Option> runnable(const Registry& registry, std::string_view backend,
                                       const Problem& layer) {
  Selection selection;
  selection.all_configs = true;
  std::map<std::string, Option> result;
  for (EncodingChoice& encoding : list_candidates(registry, backend, selection, layer)) {
    if (!encoding.why_skipped.empty() || encoding.lossy || encoding.plugin->synchronous()) continue;
    for (const KernelChoice& kernel : encoding.kernels) {
      if (!kernel.why_skipped.empty()) continue;
      Option option{encoding.plugin, encoding.params, kernel.kernel, kernel.config, {}};
      option.times.fill(std::numeric_limits<double>::infinity());
      result.emplace(name_of(encoding.format, kernel.kernel, kernel.config, encoding.baseline),
                     option);
    }
  }
  return result;
}

/// Those that are the fastest at some density.
std::vector<Option> worth_having(std::map<std::string, Option> options, const Planner& planner,
                                 Problem layer, bool baselines) {
  PlanOptions plan_options;
  plan_options.baselines = baselines;
  std::map<std::string, bool> wins;
  for (std::size_t i = 0; i < grid_size; ++i) {
    layer.density = grid_density(i);
    bool first = true;
    for (const Plan& plan : planner.plan(layer, plan_options)) {
      const std::string name = name_of(plan.format, plan.kernel, plan.config, plan.baseline);
      const auto option = options.find(name);
      if (option == options.end()) continue;
      // The planner ranks: what is not trusted is only for where nothing else is.
      if (plan.trusted || first) option->second.times[i] = plan.total_us;
      if (first) wins[name] = true;
      first = false;
    }
  }
  std::vector<Option> result;
  result.reserve(wins.size());
  for (const auto& [name, won] : wins) result.push_back(std::move(options.at(name)));
  return result;
}

std::string_view backend_of(const Context& context) {
  return std::holds_alternative<HostContext>(context) ? HostContext::name : CudaContext::name;
}

}  // namespace

struct AutoSpmm::State {
  struct Candidate {
    Option option;
    std::unique_ptr<AnyEncoding> encoding;
    std::uint64_t calls = 0;
  };
  /// The calls of all candidates with some memory.
  struct Bound {
    const void* spikes = nullptr;
    const void* weights = nullptr;
    void* output = nullptr;
    std::vector<std::function<void()>> encode;
    std::vector<std::function<void()>> multiply;
  };

  Problem layer;
  Space space = Space::host;
  double hysteresis = 0;
  std::vector<Candidate> candidates;
  json passed_over = json::array();
  std::list<Bound> bound;  ///< last used first
  std::optional<std::size_t> current;
  std::uint64_t switches = 0;
  static constexpr std::uint64_t none_seen = std::numeric_limits<std::uint64_t>::max();
  Buffer counters;  ///< an EncodeStatus on the host
  std::function<bool()> captured;
  unsigned uncounted = 0;                        ///< calls since one was counted
  static constexpr unsigned counted_calls = 16;  ///< one of so many, where counting is extra work

  /// Of the last call whose counters have arrived.
  [[nodiscard]] double density() const {
    // The device writes it whenever it gets there.
    auto& nnz = static_cast<EncodeStatus*>(counters.data())->nnz;
    const std::uint64_t seen = std::atomic_ref(nnz).load(std::memory_order_relaxed);
    const std::uint64_t elements = layer.shape().elements();
    if (seen == none_seen || elements == 0) return layer.density;
    return static_cast<double>(seen) / static_cast<double>(elements);
  }

  [[nodiscard]] std::size_t best_at(double density) const {
    const auto time = [&](std::size_t i) { return time_at(candidates[i].option.times, density); };
    std::size_t best = current.value_or(0);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double margin = current && best == *current ? 1 + hysteresis : 1;
      if (i != best && time(i) * margin < time(best)) best = i;
    }
    return best;
  }

  void check_views(const SpikeView& spikes, const WeightView& weights,
                   const OutputView& output) const {
    const bool fits = spikes.shape == layer.shape() && spikes.storage == layer.input &&
                      spikes.kind == layer.value && spikes.row_order == layer.row_order &&
                      weights.k == layer.k && weights.n == layer.n &&
                      weights.type == layer.weights && output.m == layer.m() &&
                      output.n == layer.n && output.type == layer.output;
    if (!fits)
      throw Error(ErrorCode::invalid_argument,
                  "spikes, weights or output are not those of the layer: " + problem_name(layer));
    if (spikes.space != space || weights.space != space || output.space != space)
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("spikes, weights and output must be in {} memory",
                              space == Space::host ? "host" : "device"));
  }

  Bound& bind(const SpikeView& spikes, const WeightView& weights, const OutputView& output) {
    const auto known = std::find_if(bound.begin(), bound.end(), [&](const Bound& it) {
      return it.spikes == spikes.data && it.weights == weights.data && it.output == output.data;
    });
    if (known != bound.end()) {
      bound.splice(bound.begin(), bound, known);
      return bound.front();
    }
    check_views(spikes, weights, output);
    Bound fresh{spikes.data, weights.data, output.data, {}, {}};
    for (const Candidate& candidate : candidates) {
      fresh.encode.push_back(candidate.encoding->bind_encode(spikes));
      fresh.multiply.push_back(candidate.encoding->bind_spmm(
          candidate.option.kernel, candidate.option.config, weights, output));
    }
    bound.push_front(std::move(fresh));
    if (bound.size() > max_bound) bound.pop_back();
    return bound.front();
  }
};

AutoSpmm::AutoSpmm(const Registry& registry, const Context& context, Buffer counters,
                   std::function<bool()> captured, const Planner& planner, const Problem& layer,
                   const AutoSpmmOptions& options)
    : state_(std::make_unique<State>()) {
  check_problem(layer);
  require(options.hysteresis >= 0, ErrorCode::invalid_argument, "hysteresis must not be negative");
  State& state = *state_;
  state.layer = layer;
  state.space = std::holds_alternative<HostContext>(context) ? Space::host : Space::device;
  state.hysteresis = options.hysteresis;
  state.counters = std::move(counters);
  state.captured = std::move(captured);
  static_cast<EncodeStatus*>(state.counters.data())->nnz = State::none_seen;
  const EncodedLayout layout = layout_of(layer);
  for (Option& option : worth_having(runnable(registry, backend_of(context), layer), planner, layer,
                                     options.baselines)) {
    try {
      auto encoding = option.plugin->plan(context, layout, option.params, 1.0, std::nullopt);
      state.candidates.push_back({std::move(option), std::move(encoding), 0});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) throw;
      state.passed_over.push_back(option.plugin->name() + ": " + error.what());
    }
  }
  if (state.candidates.empty())
    throw Error(ErrorCode::invalid_argument,
                fmt::format("nothing that was tuned can run {} on this backend; tune such a layer "
                            "first",
                            problem_name(layer)));
}

AutoSpmm::~AutoSpmm() = default;
AutoSpmm::AutoSpmm(AutoSpmm&&) noexcept = default;
AutoSpmm& AutoSpmm::operator=(AutoSpmm&&) noexcept = default;

void AutoSpmm::prepare(const SpikeView& spikes, const WeightView& weights,
                       const OutputView& output) {
  static_cast<void>(state_->bind(spikes, weights, output));
}

void AutoSpmm::operator()(const SpikeView& spikes, const WeightView& weights,
                          const OutputView& output) {
  State& state = *state_;
  const State::Bound& bound = state.bind(spikes, weights, output);
  const std::size_t chosen = state.best_at(state.density());
  const bool fresh = state.current != chosen;
  if (state.current && fresh) ++state.switches;
  state.current = chosen;
  State::Candidate& candidate = state.candidates[chosen];
  bound.encode[chosen]();
  bound.multiply[chosen]();
  ++state.uncounted;
  if (!candidate.encoding->views() || fresh || state.uncounted >= State::counted_calls ||
      state.captured()) {
    candidate.encoding->post_status(static_cast<EncodeStatus*>(state.counters.data()));
    state.uncounted = 0;
  }
  ++candidate.calls;
}

double AutoSpmm::density() const {
  return state_->density();
}

bool AutoSpmm::outdated() const {
  return state_->current && state_->best_at(state_->density()) != *state_->current;
}

std::vector<AutoSpmm::Choice> AutoSpmm::choices() const {
  const auto& candidates = state_->candidates;
  std::vector<Choice> result;
  for (const State::Candidate& candidate : candidates) {
    const Option& option = candidate.option;
    Choice choice{
        option.plugin->name(), option.kernel, option.config, option.plugin->baseline(), 1, 0,
        candidate.calls};
    for (std::size_t i = 0; i < grid_size; ++i) {
      const bool best = std::none_of(candidates.begin(), candidates.end(), [&](const auto& other) {
        return other.option.times[i] < option.times[i];
      });
      if (!best) continue;
      choice.from_density = std::min(choice.from_density, grid_density(i));
      choice.to_density = std::max(choice.to_density, grid_density(i));
    }
    result.push_back(std::move(choice));
  }
  std::stable_sort(result.begin(), result.end(), [](const Choice& a, const Choice& b) {
    return a.from_density < b.from_density;
  });
  return result;
}

json AutoSpmm::report() const {
  json listed = json::array();
  for (const Choice& choice : choices()) {
    listed.push_back({{"format", choice.format},
                      {"kernel", choice.kernel},
                      {"config", choice.config},
                      {"baseline", choice.baseline},
                      {"from_density", choice.from_density},
                      {"to_density", choice.to_density},
                      {"calls", choice.calls}});
  }
  json result = {{"density", density()},
                 {"current", nullptr},
                 {"switches", state_->switches},
                 {"choices", std::move(listed)},
                 {"passed_over", state_->passed_over}};
  if (state_->current) {
    const Option& option = state_->candidates[*state_->current].option;
    result["current"] = option.plugin->name() + " " + option.kernel;
  }
  return result;
}

}  // namespace spiketune
