// Google Benchmark of every product and of the gradients: time, bytes/s (encoding and W read, Y
// written; of gradients what takes their place) and their share of the copy bandwidth of the same
// run.
//
//   bench_kernels --benchmark_filter='csr/rows|eigen'

#include <variant>

#include "spiketune/bench/support.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/kernels/gradients.hpp"

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

/// Of the context that there is.
template <class Call>
void with_context(const Context& context, Call&& call) {
  if (const auto* host = std::get_if<HostContext>(&context)) return call(*host);
#if defined(SPIKETUNE_HAVE_CUDA)
  call(std::get<CudaContext>(context));
#endif
}

constexpr SpikeShape host_training{1, 2048, 512};
constexpr SpikeShape device_training{1, 12544, 768};

/// dW of a bitmap, or dS with that bitmap as mask.
void gradient_benchmark(benchmark::State& state, bench::Machine& machine, bool of_weights,
                        DType type, double density) {
  const Backend& backend = *machine.backend;
  const bool host = backend.space() == Space::host;
  const SpikeShape shape = host ? host_training : device_training;
  const std::uint32_t n = host ? 512 : 3072;
  const SpikeTensor spikes = bench::make_spikes(backend, shape, DType::bit, density);
  GradientView dy{nullptr, type, shape.m(), n, backend.space()};
  WeightView w{nullptr, type, shape.k, n, backend.space()};
  OutputView dw{nullptr, DType::f32, shape.k, n, backend.space()};
  OutputView ds{nullptr, type, shape.m(), shape.k, backend.space()};
  const Buffer dy_memory = backend.allocate(dy.bytes());
  const Buffer w_memory = backend.allocate(w.bytes());
  const Buffer result = backend.allocate(of_weights ? dw.bytes() : ds.bytes());
  backend.fill(dy_memory.data(), 0x3c, dy.bytes());  // the same small number everywhere
  backend.fill(w_memory.data(), 0x3c, w.bytes());
  dy.data = dy_memory.data();
  w.data = w_memory.data();
  dw.data = ds.data = result.data();
  with_context(backend.context(), [&](const auto& context) {
    if (of_weights) {
      const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view());
      const Buffer workspace =
          backend.allocate(weight_gradient_workspace_bytes(context, *bitmap, dy));
      bench::run(state, machine,
                 {[&] { weight_gradient(context, *bitmap, dy, dw, workspace.workspace()); }, false},
                 spikes.view().bytes() + dy.bytes() + dw.bytes());
    } else {
      const SurrogateView surrogate{static_cast<const std::uint32_t*>(spikes.view().data), nullptr,
                                    DType::f32, backend.space()};
      bench::run(state, machine, {[&] { spike_gradient(context, dy, w, surrogate, ds); }, false},
                 spikes.view().bytes() + dy.bytes() + w.bytes() + ds.bytes());
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, [](bench::Machine& machine) {
    const DType weights = machine.backend->space() == Space::host ? DType::f32 : DType::f16;
    for (const auto& plugin : machine.registry.plugins()) {
      if (!plugin->why_unavailable().empty()) continue;
      for (const KernelInfo& kernel : plugin->kernels()) {
        for (const double density : {0.01, 0.05, 0.2}) {
          const std::string name = "spmm/" + plugin->name() + "/" + kernel.name + "/" +
                                   std::to_string(static_cast<int>(density * 100)) + "%";
          benchmark::RegisterBenchmark(name.c_str(), [&, kernel, weights, density](auto& state) {
            spmm_benchmark(state, machine, *plugin, kernel, weights, density);
          })->UseManualTime();
        }
      }
    }
    for (const bool of_weights : {true, false}) {
      for (const double density : {0.01, 0.05, 0.2}) {
        const std::string name =
            std::string(of_weights ? "gradient/weights/" : "gradient/spikes/") +
            std::to_string(static_cast<int>(density * 100)) + "%";
        benchmark::RegisterBenchmark(name.c_str(), [&, of_weights, weights, density](auto& state) {
          gradient_benchmark(state, machine, of_weights, weights, density);
        })->UseManualTime();
      }
    }
  });
}
