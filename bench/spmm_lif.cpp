// Google Benchmark of spiking layers with 10 % spikes: in one kernel from bits to bits, and as a
// dense product followed by the neurons. Time, bytes/s (what each has to move) and the share of the
// copy bandwidth of the same run.
//
//   bench_spmm_lif --benchmark_filter='12544'

#include <array>

#include "spiketune/bench/support.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/formats/dense.hpp"
#include "spiketune/kernels/spmm_lif.hpp"

namespace {

using namespace spiketune;

struct Size {
  SpikeShape shape;
  std::uint32_t n;
};
constexpr std::array device_sizes = {Size{{4, 3136, 768}, 3072}, Size{{16, 784, 768}, 3072},
                                     Size{{1, 12544, 768}, 3072}, Size{{4, 3136, 768}, 768},
                                     Size{{4, 1024, 3072}, 768}};
constexpr std::array host_sizes = {Size{{4, 256, 256}, 256}};

/// The dense product of W's type of the backend's libraries (cuBLASLt, OpenBLAS), or else the
/// project's own.
const FormatPlugin& dense_product(const Registry& registry, const EncodedLayout& layout,
                                  DType type) {
  const FormatPlugin* found = nullptr;
  for (const auto& plugin : registry.plugins()) {
    if (plugin->name() != Dense::name || !plugin->why_unavailable().empty() ||
        plugin->params(layout, type).empty()) {
      continue;
    }
    if (found == nullptr || plugin->baseline()) found = plugin.get();
  }
  if (found == nullptr) throw Error(ErrorCode::unsupported, "there is no dense product");
  return *found;
}

void layer_benchmark(benchmark::State& state, bench::Machine& machine, const Size& size,
                     bool fused) {
  try {
    const Backend& backend = *machine.backend;
    const SpikeShape fired{size.shape.timesteps, size.shape.rows, size.n};
    const DType type = backend.space() == Space::host ? DType::f32 : DType::f16;
    const SpikeTensor spikes = bench::make_spikes(backend, size.shape, DType::bit, 0.1);
    const SpikeTensor out =
        backend.make_spikes(fired, DType::bit, ValueKind::binary, RowOrder::time_major);
    WeightView w{nullptr, type, size.shape.k, size.n, backend.space()};
    const Buffer w_memory = backend.allocate(w.bytes());
    backend.fill(w_memory.data(), 0x2c, w.bytes());  // the same small number everywhere
    w.data = w_memory.data();
    const std::uint64_t ends = w.bytes() + out.view().bytes();
    MutableSpikeView to{const_cast<void*>(out.view().data),
                        fired,
                        DType::bit,
                        ValueKind::binary,
                        RowOrder::time_major,
                        backend.space()};
    std::visit(
        [&](const auto& context) {
          if (fused) {
            const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view());
            bench::run(
                state, machine,
                {[&] { spmm_lif(context, *bitmap, w, {}, spikingjelly_lif(), {}, to); }, false},
                spikes.view().bytes() + ends);
            return;
          }
          const EncodedLayout layout = layout_of(spikes.view(), RowOrder::time_major);
          const FormatPlugin& plugin = dense_product(machine.registry, layout, type);
          const auto encoding = bench::make_encoding(
              backend, plugin, plugin.params(layout, type).front(), spikes.view(), 0.1);
          OutputView y{nullptr, type, size.shape.m(), size.n, backend.space()};
          const Buffer y_memory = backend.allocate(y.bytes());
          y.data = y_memory.data();
          const KernelInfo kernel = plugin.kernels().front();
          const auto product = encoding->bind_spmm(kernel.name, kernel.configs.front(), w, y);
          bench::run(
              state, machine,
              {[&] {
                 product();
                 lif(context, {y.data, fired, type, backend.space()}, spikingjelly_lif(), {}, to);
               },
               false},
              encoding->bytes(encoding->status().needed) + 2 * y.bytes() + ends);
        },
        backend.context());
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

template <std::size_t count>
void register_all(bench::Machine& machine, const std::array<Size, count>& sizes) {
  for (const Size& size : sizes) {
    for (const bool fused : {true, false}) {
      const std::string name = std::string("layer/") + (fused ? "fused/" : "separate/") +
                               std::to_string(size.shape.m()) + "x" + std::to_string(size.shape.k) +
                               "x" + std::to_string(size.n) + "/T" +
                               std::to_string(size.shape.timesteps);
      benchmark::RegisterBenchmark(name.c_str(), [&machine, size, fused](auto& state) {
        layer_benchmark(state, machine, size, fused);
      })->UseManualTime();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, [](bench::Machine& machine) {
    machine.backend->space() == Space::host ? register_all(machine, host_sizes)
                                            : register_all(machine, device_sizes);
  });
}
