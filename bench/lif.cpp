// Google Benchmark of neurons that fire into u8, bits, and encodings: time, bytes/s (what each has
// to move, bits on their way to an encoding not counted) and the share of the copy bandwidth of the
// same run. Currents are 1 at a tenth of the places, and fire there.
//
//   bench_lif --benchmark_filter='csr|u8'

#include <functional>

#include "spiketune/bench/support.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/encoders/cvs.hpp"
#include "spiketune/encoders/lif.hpp"
#include "spiketune/encoders/two_four.hpp"

namespace {

using namespace spiketune;

constexpr SpikeShape host_shape{4, 256, 256};
constexpr SpikeShape device_shape{4, 65536, 1024};

LifParams neuron() {
  return spikingjelly_lif(/*tau=*/2.0f, /*decay_input=*/true, /*threshold=*/0.5f);
}

/// Currents of 0 and 1.
SpikeTensor make_currents(const bench::Machine& machine) {
  const bool host = machine.backend->space() == Space::host;
  return bench::make_spikes(*machine.backend, host ? host_shape : device_shape, DType::f16, 0.1);
}

CurrentView view_of(const SpikeTensor& currents) {
  const SpikeView view = currents.view();
  return {view.data, view.shape, view.storage, view.space};
}

void fire(benchmark::State& state, bench::Machine& machine, DType storage) {
  try {
    const SpikeTensor memory = make_currents(machine);
    const CurrentView currents = view_of(memory);
    SpikeTensor spikes = machine.backend->make_spikes(currents.shape, storage, ValueKind::binary,
                                                      RowOrder::time_major);
    std::visit(
        [&](const auto& context) {
          bench::run(state, machine,
                     {[&] { lif(context, currents, neuron(), {}, spikes.mutable_view()); }, false},
                     currents.bytes() + spikes.view().bytes());
        },
        machine.backend->context());
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

template <class Format>
void fire_encoded(benchmark::State& state, bench::Machine& machine,
                  const typename Format::Params& params) {
  try {
    const SpikeTensor memory = make_currents(machine);
    const CurrentView currents = view_of(memory);
    const EncodedLayout layout{currents.shape, RowOrder::time_major};
    std::visit(
        [&](const auto& context) {
          Encoded<Format> encoded(
              context, Format::plan(layout, params, Format::bound(layout, params, 0.15)));
          const Buffer scratch =
              allocate(context, lif_encode_workspace_bytes(context, currents, *encoded));
          const auto run = [&] {
            lif_encode(context, currents, neuron(), {}, *encoded, scratch.workspace());
          };
          run();
          const EncodeStatus status = read_status(context, *encoded);
          require(status.needed <= encoded->capacity, ErrorCode::unsupported,
                  "more spikes than there is room for");
          bench::run(state, machine, {run, false},
                     currents.bytes() + encoded->bytes(status.needed));
        },
        machine.backend->context());
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, [](bench::Machine& machine) {
    using Run = std::function<void(benchmark::State&)>;
    const auto add = [](const char* name, Run run) {
      benchmark::RegisterBenchmark(name, std::move(run))->UseManualTime();
    };
    add("lif/u8", [&](auto& state) { fire(state, machine, DType::u8); });
    add("lif/bit", [&](auto& state) { fire(state, machine, DType::bit); });
    add("lif/bitmap", [&](auto& state) { fire_encoded<Bitmap>(state, machine, {}); });
    add("lif/csr", [&](auto& state) { fire_encoded<Csr>(state, machine, {}); });
    add("lif/two_four", [&](auto& state) { fire_encoded<TwoFour>(state, machine, {}); });
    add("lif/cvs8", [&](auto& state) { fire_encoded<Cvs>(state, machine, {8}); });
    add("lif/cvs16", [&](auto& state) { fire_encoded<Cvs>(state, machine, {16}); });
    add("lif/bsr16", [&](auto& state) { fire_encoded<Bsr>(state, machine, {16}); });
  });
}
