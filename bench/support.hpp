#pragma once
/// \file
/// Google Benchmark over the registry: manual time from the project's own Meter.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/error.hpp"
#if defined(SPIKETUNE_HAVE_CUDA)
#include "spiketune/core/cuda/stream.hpp"
#endif

namespace spiketune::bench {

/// CUDA where there is a device, the host otherwise.
struct Machine {
  std::unique_ptr<Backend> backend;
  Registry registry;
  double copy_gbps = 0;
};

inline Machine open_machine() {
  Machine machine;
#if defined(SPIKETUNE_HAVE_CUDA)
  if (cuda_unavailable_reason().empty()) {
    machine.backend = make_cuda_backend(0);
    add_cuda_formats(machine.registry);
    add_cuda_baselines(machine.registry);
  }
#endif
  if (!machine.backend) {
    machine.backend = make_host_backend(0);
    add_host_formats(machine.registry);
    add_host_baselines(machine.registry);
  }
  machine.copy_gbps = machine.backend->meter().copy_gbps();
  std::printf("%s backend, copy bandwidth %.0f GB/s (bytes read + written)\n",
              machine.backend->name().c_str(), machine.copy_gbps);
  return machine;
}

/// Generated spikes in the backend's memory.
inline SpikeTensor make_spikes(const Backend& backend, SpikeShape shape, DType storage,
                               double density) {
  SpikeTensor spikes = backend.make_spikes(shape, storage, ValueKind::binary, RowOrder::time_major);
  PatternSpec pattern;
  pattern.density = density;
  backend.generate(pattern, spikes.mutable_view());
  backend.synchronize();
  return spikes;
}

/// An encoding large enough for `spikes`, already encoded once.
inline std::unique_ptr<AnyEncoding> make_encoding(const Backend& backend,
                                                  const FormatPlugin& plugin,
                                                  const nlohmann::json& params,
                                                  const SpikeView& spikes, double density) {
  const EncodedLayout layout = layout_of(spikes, spikes.row_order);
  auto encoding = plugin.plan(backend.context(), layout, params, density, std::nullopt);
  encoding->bind_encode(spikes)();
  const EncodeStatus status = encoding->status();
  if (status.needed <= encoding->capacity()) return encoding;
  encoding = plugin.plan(backend.context(), layout, params, density, status.needed);
  encoding->bind_encode(spikes)();
  return encoding;
}

/// Runs `work` for as long as Google Benchmark asks; `bytes` move each time.
inline void run(benchmark::State& state, Machine& machine, Work work, std::uint64_t bytes,
                TimingMode mode = TimingMode::cold) {
  const auto trial = machine.backend->meter().prepare(std::move(work), mode);
  std::vector<double> samples;
  double seconds = 0;
  for (auto _ : state) {
    samples.clear();
    trial->sample(1, samples);
    state.SetIterationTime(samples.front() * 1e-6);
    seconds += samples.front() * 1e-6;
  }
  const double moved = static_cast<double>(bytes) * static_cast<double>(state.iterations());
  state.SetBytesProcessed(static_cast<std::int64_t>(moved));
  state.counters["share_of_copy"] = moved / seconds / (machine.copy_gbps * 1e9);
}

inline std::string label(const FormatPlugin& plugin, const nlohmann::json& params) {
  return plugin.name() + (params.empty() ? "" : params.dump());
}

/// What main() of each program does: `add` registers benchmarks, which use the machine while they
/// run.
inline int run_program(int argc, char** argv, const std::function<void(Machine&)>& add) {
  // A product of 3 µs is flushed for and synchronized with at twenty times that: half a second of
  // such times, the library's default, is minutes. A flag of the caller's own comes later and wins.
  std::string min_time = "--benchmark_min_time=0.05";
  std::vector<char*> args(argv, argv + argc);
  args.insert(args.begin() + 1, min_time.data());
  argc = static_cast<int>(args.size());
  args.push_back(nullptr);
  argv = args.data();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    Machine machine = open_machine();
    add(machine);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
  return 0;
}

}  // namespace spiketune::bench
