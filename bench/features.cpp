// Google Benchmark of the features of packed spikes, cold (L2 flushed) and hot: time, bytes/s (the
// bits once) and the share of the copy bandwidth of the same run.
//
//   bench_features --benchmark_filter='hot.*4096x4096'

#include <array>
#include <string>

#include "spiketune/bench/support.hpp"
#include "spiketune/encoders/features.hpp"

namespace {

using namespace spiketune;

constexpr std::array<SpikeShape, 4> shapes = {SpikeShape{1, 4096, 4096}, SpikeShape{4, 1024, 4096},
                                              SpikeShape{4, 4096, 1024}, SpikeShape{4, 12544, 576}};

void features_benchmark(benchmark::State& state, bench::Machine& machine, SpikeShape shape,
                        TimingMode mode) {
  try {
    const SpikeTensor spikes = bench::make_spikes(*machine.backend, shape, DType::bit, 0.05);
    std::visit(
        [&](const auto& context) {
          const Buffer memory = allocate(context, sizeof(Features));
          auto* features = static_cast<Features*>(memory.data());
          const SpikeView view = spikes.view();
          bench::run(
              state, machine,
              {[&] { measure_features(context, view, RowOrder::token_major, features); }, false},
              view.bytes(), mode);
        },
        machine.backend->context());
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, [](bench::Machine& machine) {
    for (const TimingMode mode : {TimingMode::hot, TimingMode::cold}) {
      for (const SpikeShape shape : shapes) {
        const std::string name = std::string("features/") +
                                 (mode == TimingMode::hot ? "hot/" : "cold/") +
                                 std::to_string(shape.m()) + "x" + std::to_string(shape.k) + "/T" +
                                 std::to_string(shape.timesteps);
        benchmark::RegisterBenchmark(name.c_str(), [&, shape, mode](auto& state) {
          features_benchmark(state, machine, shape, mode);
        })->UseManualTime();
      }
    }
  });
}
