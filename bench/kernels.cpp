// Google Benchmark of every product: time, bytes/s (encoding and W read, Y written) and their share
// of the copy bandwidth of the same run.
//
//   bench_kernels --benchmark_filter='csr/rows|eigen'

#include "spiketune/bench/support.hpp"

namespace {

using namespace spiketune;

struct Size {
  SpikeShape shape;
  std::uint32_t n;
};
constexpr Size host_size{{1, 2048, 2048}, 512};
constexpr Size device_size{{1, 4096, 4096}, 4096};

void spmm_benchmark(benchmark::State& state, bench::Machine& machine, const FormatPlugin& plugin,
                    const KernelInfo& kernel, DType weights, double density) {
  try {
    const Backend& backend = *machine.backend;
    const Size size = backend.space() == Space::host ? host_size : device_size;
    const SpikeTensor spikes = bench::make_spikes(backend, size.shape, DType::u8, density);
    const EncodedLayout layout = layout_of(spikes.view(), RowOrder::time_major);
    const nlohmann::json params = plugin.params(layout, weights).front();
    const auto encoding = bench::make_encoding(backend, plugin, params, spikes.view(), density);
    WeightView w{nullptr, weights, size.shape.k, size.n, backend.space()};
    OutputView y{nullptr, DType::f32, size.shape.m(), size.n, backend.space()};
    const Buffer w_memory = backend.allocate(w.bytes());
    const Buffer y_memory = backend.allocate(y.bytes());
    backend.fill(w_memory.data(), 0x3c, w.bytes());  // the same small number everywhere
    w.data = w_memory.data();
    y.data = y_memory.data();
    const std::string why = plugin.why_invalid(kernel.name, kernel.configs.front(), layout, w, y);
    if (!why.empty()) {
      state.SkipWithError(why.c_str());
      return;
    }
    bench::run(state, machine,
               {encoding->bind_spmm(kernel.name, kernel.configs.front(), w, y), false},
               encoding->bytes(encoding->status().needed) + w.bytes() + y.bytes());
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  bench::Machine machine = bench::open_machine();
  const DType weights = machine.backend->space() == Space::host ? DType::f32 : DType::f16;
  for (const auto& plugin : machine.registry.plugins()) {
    if (!plugin->why_unavailable().empty()) continue;
    for (const KernelInfo& kernel : plugin->kernels()) {
      for (const double density : {0.01, 0.05, 0.2}) {
        const std::string name = "spmm/" + plugin->name() + "/" + kernel.name + "/" +
                                 std::to_string(static_cast<int>(density * 100)) + "%";
        benchmark::RegisterBenchmark(name.c_str(), [&, kernel, density](auto& state) {
          spmm_benchmark(state, machine, *plugin, kernel, weights, density);
        })->UseManualTime();
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
