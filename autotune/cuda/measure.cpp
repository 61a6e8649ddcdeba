#include "spiketune/autotune/measure.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "spiketune/autotune/cuda/gate.hpp"
#include "spiketune/autotune/cuda/nvml.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using cuda::check;

class Event {
 public:
  Event() { check(cudaEventCreate(&event_)); }
  ~Event() {
    if (event_ != nullptr) static_cast<void>(cudaEventDestroy(event_));
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&&) = delete;

  void record(const CudaContext& context) { check(cudaEventRecord(event_, context.stream)); }
  [[nodiscard]] double microseconds_since(const Event& begin) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin.event_, event_));
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// What all trials of a device share.
struct Bench {
  explicit Bench(const CudaContext& cuda_context) : context(cuda_context), gate(cuda_context) {
    int l2_bytes = 0;
    check(cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, context.device));
    // Twice the cache, since its replacement need not be least-recently-used.
    const auto cache = static_cast<std::size_t>(std::max(l2_bytes, 1 << 20));
    flush_buffer = allocate(context, 2 * cache);
  }

  void flush() { fill(context, flush_buffer.data(), 0, flush_buffer.bytes()); }

  CudaContext context;
  cuda::Gate gate;
  Buffer flush_buffer;
  std::vector<std::pair<Event, Event>> events;
};

/// Times `work` `count` times, each between two events; `before` is enqueued ahead of the first.
/// Queued: all behind the gate. Otherwise one after the other, the device idle before each.
/// Returns false, without samples, where the gate gave up.
bool time_works(Bench& bench, unsigned count, bool queued, const std::function<void()>& before,
                const std::function<void()>& work, std::vector<double>& samples) {
  while (bench.events.size() < count) bench.events.emplace_back();
  if (queued) bench.gate.close();
  try {
    for (unsigned i = 0; i < count; ++i) {
      before();
      if (!queued) synchronize(bench.context);
      bench.events[i].first.record(bench.context);
      work();
      bench.events[i].second.record(bench.context);
    }
  } catch (...) {
    bench.gate.open();
    static_cast<void>(cudaStreamSynchronize(bench.context.stream));
    throw;
  }
  bench.gate.open();
  synchronize(bench.context);
  if (queued && bench.gate.timed_out()) return false;
  for (unsigned i = 0; i < count; ++i) {
    samples.push_back(bench.events[i].second.microseconds_since(bench.events[i].first));
  }
  return true;
}

/// Samples works that may turn out not to be queueable.
class CudaTrial : public Trial {
 public:
  CudaTrial(std::shared_ptr<Bench> bench, Work work)
      : bench_(std::move(bench)), work_(std::move(work)), queued_(!work_.synchronous) {
    if (work_.synchronous) {
      notes_.emplace_back("it waits for the device within, so its time includes the CPU's");
    }
    work_.run();
    synchronize(bench_->context);
  }

  std::vector<std::string> notes() const override { return notes_; }

 protected:
  void take(unsigned count, const std::function<void()>& before, const std::function<void()>& work,
            std::vector<double>& samples) {
    if (time_works(*bench_, count, queued_, before, work, samples)) return;
    queued_ = false;
    notes_.emplace_back(
        "it could not be queued behind a blocking kernel, so its time includes the CPU's");
    time_works(*bench_, count, queued_, before, work, samples);
  }

  std::shared_ptr<Bench> bench_;
  Work work_;
  bool queued_;
  std::vector<std::string> notes_;
};

class ColdTrial final : public CudaTrial {
 public:
  using CudaTrial::CudaTrial;
  void sample(unsigned count, std::vector<double>& samples) override {
    take(
        count, [this] { bench_->flush(); }, work_.run, samples);
  }
};

/// Several works recorded as one graph.
class Graph {
 public:
  /// Throws what the work throws, and Error(cuda) where it cannot be captured.
  Graph(const CudaContext& context, const std::function<void()>& work, unsigned repeats) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeThreadLocal));
    try {
      for (unsigned i = 0; i < repeats; ++i) work();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(context.stream, &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      static_cast<void>(cudaGetLastError());
      throw;
    }
    check(cudaStreamEndCapture(context.stream, &graph));
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    check(status);
    const cudaError_t uploaded = cudaGraphUpload(graph_, context.stream);
    if (uploaded != cudaSuccess) static_cast<void>(cudaGraphExecDestroy(graph_));
    check(uploaded);
  }
  ~Graph() { static_cast<void>(cudaGraphExecDestroy(graph_)); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(const CudaContext& context) const { check(cudaGraphLaunch(graph_, context.stream)); }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

class HotTrial final : public CudaTrial {
 public:
  HotTrial(std::shared_ptr<Bench> bench, Work work)
      : CudaTrial(std::move(bench), std::move(work)), repeats_(choose_repeats()) {
    if (work_.synchronous) return;
    try {
      graph_ = std::make_unique<Graph>(bench_->context, work_.run, repeats_);
    } catch (const Error& error) {
      notes_.emplace_back(std::string("it could not be captured in a graph (") + error.what() +
                          "), so hot samples are plain launches");
      synchronize(bench_->context);  // throws where the device is past recovery
    }
  }

  void sample(unsigned count, std::vector<double>& samples) override {
    const std::size_t old_size = samples.size();
    launch_repeats();
    take(
        count, [] {}, [this] { launch_repeats(); }, samples);
    for (std::size_t i = old_size; i < samples.size(); ++i) samples[i] /= repeats_;
  }

 private:
  /// As many as take 200 µs, at most 32: the events' own time is then small against a sample's.
  unsigned choose_repeats() {
    std::vector<double> samples;
    take(
        1, [] {}, work_.run, samples);
    const double wanted = std::ceil(200.0 / std::max(samples.front(), 1.0));
    return static_cast<unsigned>(std::clamp(wanted, 1.0, 32.0));
  }

  void launch_repeats() {
    if (graph_ != nullptr) {
      graph_->launch(bench_->context);
    } else {
      for (unsigned i = 0; i < repeats_; ++i) work_.run();
    }
  }

  unsigned repeats_;
  std::unique_ptr<Graph> graph_;
};

class CudaMeter final : public Meter {
 public:
  explicit CudaMeter(const CudaContext& context)
      : bench_(std::make_shared<Bench>(context)), nvml_(context.device) {}

  std::unique_ptr<Trial> prepare(Work work, TimingMode mode) override {
    if (mode == TimingMode::cold) return std::make_unique<ColdTrial>(bench_, std::move(work));
    return std::make_unique<HotTrial>(bench_, std::move(work));
  }

  double copy_gbps() override {
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    check(cudaMemGetInfo(&free_bytes, &total_bytes));
    const std::size_t bytes = std::min<std::size_t>(std::size_t{1} << 30, free_bytes / 4);
    const Buffer from = allocate(bench_->context, bytes);
    const Buffer to = allocate(bench_->context, bytes);
    fill(bench_->context, from.data(), 1, bytes);
    const auto copy_all = [&] { copy(bench_->context, to.data(), from.data(), bytes); };
    copy_all();
    std::vector<double> samples;
    time_works(
        *bench_, 10, true, [] {}, copy_all, samples);
    return 2.0 * static_cast<double>(bytes) / statistics(samples).median / 1e3;
  }

  double overhead_us() override {
    std::vector<double> samples;
    ColdTrial trial(bench_, {[this] { cuda::launch_empty(bench_->context); }, false});
    for (int batch = 0; batch < 5; ++batch) trial.sample(10, samples);
    return statistics(samples).median;
  }

  ClockState clocks() override {
    return {nvml_.sm_clock(), nvml_.memory_clock(), nvml_.throttle_reasons()};
  }

 private:
  std::shared_ptr<Bench> bench_;
  cuda::Nvml nvml_;
};

}  // namespace

std::unique_ptr<Meter> make_meter(const CudaContext& context) {
  return std::make_unique<CudaMeter>(context);
}

}  // namespace spiketune
