#pragma once
/// \file
/// A product that chooses its format as the spikes change.
///
///   planner ──at every density──▶ table of plans ──density of the spikes so far──▶ encode,
///   multiply
///
/// The density comes from the counters that every encoder leaves. They travel to the host behind
/// the call and are read when they are there: no call waits for the device. So a choice rests on
/// the spikes of the last call that the device is through with; it is about speed alone, and every
/// plan has room for any spikes. Where spikes are used as they lie (bytes), nobody counts them on
/// the way: every 16th call does, in a pass of its own, the first with a plan, and those in a
/// capture.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/planner.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/autotune/problem.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/stream.hpp"

namespace spiketune {

struct AutoSpmmOptions {
  /// Somebody else's products too; cuBLASLt's dense one always is among them. Lossy formats never.
  bool baselines = false;
  /// A plan is left for one that is predicted to be faster by this share.
  double hysteresis = 0.02;
};

/// One layer on one stream; not for several threads at once.
class AutoSpmm {
 public:
  /// A plan that may be chosen, and how often it was.
  struct Choice {
    std::string format;
    std::string kernel;
    nlohmann::json config;
    bool baseline = false;
    double from_density = 0;  ///< chosen between these, as long as no other is in use
    double to_density = 0;
    std::uint64_t calls = 0;
  };

  /// Allocates every encoding that is the fastest at some density, with room for spikes of any;
  /// one that does not fit into memory is passed over.
  /// \param registry   must outlive this
  /// \param context    host threads, or device and stream
  /// \param planner    of points tuned on this device
  /// \param layer      shapes, types and row order of all calls; its density is the first guess
  /// Throws Error(invalid_argument) where nothing that was tuned can run such a layer, and as
  /// check_problem() does.
  template <class ContextT>
  AutoSpmm(const Registry& registry, const ContextT& context, const Planner& planner,
           const Problem& layer, const AutoSpmmOptions& options = {})
      : AutoSpmm(registry, Context(context), allocate_pinned(context, sizeof(EncodeStatus)),
                 captured_on(context), planner, layer, options) {}
  ~AutoSpmm();
  AutoSpmm(AutoSpmm&&) noexcept;
  AutoSpmm& operator=(AutoSpmm&&) noexcept;

  /// Allocates what calls with this memory need, so that they can be captured in a graph. The last
  /// `max_bound` combinations stay.
  void prepare(const SpikeView& spikes, const WeightView& weights, const OutputView& output);
  static constexpr std::size_t max_bound = 8;

  /// Y = S·W. On CUDA it enqueues and returns. In a capture the choice is part of the graph, until
  /// it is captured again; outdated() says when that pays. Memory that was not prepared is, and
  /// then the call allocates.
  /// Throws Error(invalid_argument) for views that are not of the layer.
  void operator()(const SpikeView& spikes, const WeightView& weights, const OutputView& output);

  /// Share of nonzeros that choices rest on.
  [[nodiscard]] double density() const;
  /// Whether the next call will not use the plan of the last.
  [[nodiscard]] bool outdated() const;
  /// In the order of their densities.
  [[nodiscard]] std::vector<Choice> choices() const;
  /// What was chosen, for logs: {"density", "current", "switches", "choices": [...],
  /// "passed_over"}.
  [[nodiscard]] nlohmann::json report() const;

 private:
  struct State;
  static std::function<bool()> captured_on(const HostContext&) {
    return [] { return false; };
  }
  static std::function<bool()> captured_on(const CudaContext& context) {
    return [context] { return is_capturing(context); };
  }
  AutoSpmm(const Registry& registry, const Context& context, Buffer counters,
           std::function<bool()> captured, const Planner& planner, const Problem& layer,
           const AutoSpmmOptions& options);
  std::unique_ptr<State> state_;
};

}  // namespace spiketune
