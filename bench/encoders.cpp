// Google Benchmark of every encoder: time, bytes/s (input read + encoding written) and the share of
// the copy bandwidth of the same run.
//
//   bench_encoders --benchmark_filter='csr.*u8'

#include <array>

#include "spiketune/bench/support.hpp"

namespace {

using namespace spiketune;

constexpr SpikeShape host_shape{1, 2048, 2048};
constexpr SpikeShape device_shape{1, 65536, 4096};

void encode_benchmark(benchmark::State& state, bench::Machine& machine, const FormatPlugin& plugin,
                      const nlohmann::json& params, DType storage, double density) {
  try {
    const SpikeShape shape = machine.backend->space() == Space::host ? host_shape : device_shape;
    const SpikeTensor spikes = bench::make_spikes(*machine.backend, shape, storage, density);
    const auto encoding =
        bench::make_encoding(*machine.backend, plugin, params, spikes.view(), density);
    const EncodeStatus status = encoding->status();
    bench::run(state, machine, {encoding->bind_encode(spikes.view()), plugin.synchronous()},
               spikes.view().bytes() + encoding->bytes(status.needed));
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, [](bench::Machine& machine) {
    const EncodedLayout layout{host_shape, RowOrder::time_major, ValueKind::binary, DType::bit};
    for (const auto& plugin : machine.registry.plugins()) {
      if (!plugin->why_unavailable().empty()) continue;
      for (const nlohmann::json& params : plugin->params(layout, DType::f16)) {
        for (const DType storage : {DType::bit, DType::u8, DType::f16}) {
          for (const double density : {0.01, 0.05, 0.25}) {
            const std::string name = "encode/" + bench::label(*plugin, params) + "/" +
                                     std::string(to_string(storage)) + "/" +
                                     std::to_string(static_cast<int>(density * 100)) + "%";
            benchmark::RegisterBenchmark(name.c_str(), [&, params, storage, density](auto& state) {
              encode_benchmark(state, machine, *plugin, params, storage, density);
            })->UseManualTime();
          }
        }
      }
    }
  });
}
