// Layers with no dense spike tensor: currents → LIF → CSR → product → LIF → CSR, and then the same
// product and neurons in one step, from bits to bits, without the currents between them.

#include <cstdint>
#include <cstdio>
#include <random>
#include <spiketune/encoders/bitmap.hpp>
#include <spiketune/encoders/csr.hpp>
#include <spiketune/encoders/lif.hpp>
#include <spiketune/kernels/csr.hpp>
#include <spiketune/kernels/spmm_lif.hpp>
#include <vector>

namespace {

using namespace spiketune;

/// Neurons fire straight into a CSR with room for `capacity` spikes.
Encoded<Csr> fire(const HostContext& context, const CurrentView& currents, std::uint64_t capacity) {
  const EncodedLayout layout{currents.shape};
  Encoded<Csr> csr(context, Csr::plan(layout, {}, capacity));
  const Buffer scratch = allocate(context, lif_encode_workspace_bytes(context, currents, *csr));
  lif_encode(context, currents, spikingjelly_lif(/*tau=*/2.0f), {}, *csr, scratch.workspace());
  const EncodeStatus counts = read_status(context, *csr);
  if (counts.needed > csr->capacity) return fire(context, currents, counts.needed);
  return csr;
}

/// Spikes of the next layer in one step, into words that the layer after it can read.
Encoded<Bitmap> fire_fused(const HostContext& context, const CurrentView& currents,
                           const WeightView& weights) {
  const Encoded<Bitmap> spikes(context, Bitmap::plan({currents.shape}, {}));
  const Buffer scratch = allocate(context, lif_encode_workspace_bytes(context, currents, *spikes));
  lif_encode(context, currents, spikingjelly_lif(), {}, *spikes, scratch.workspace());
  const SpikeShape next{currents.shape.timesteps, currents.shape.rows, weights.n};
  Encoded<Bitmap> fired(context, Bitmap::plan({next}, {}));
  spmm_lif(context, *spikes, weights, {}, spikingjelly_lif(), {}, words_of(*fired, Space::host));
  return fired;
}

std::uint64_t count_spikes(const Bitmap& bitmap) {
  std::uint64_t count = 0;
  for (std::uint64_t row = 0; row < bitmap.layout.m(); ++row) {
    for_each_in_row(bitmap, row, [&](std::uint32_t, float) { ++count; });
  }
  return count;
}

}  // namespace

int main() {
  constexpr std::uint32_t steps = 4;
  constexpr std::uint64_t rows = 32;
  constexpr std::uint32_t k = 128;
  constexpr std::uint32_t n = 96;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> currents(steps * rows * k);
  for (auto& current : currents) current = normal(random);
  std::vector<float> w(k * n);
  for (auto& weight : w) weight = 0.3f * normal(random);

  const HostContext context;
  // A guess that is too small costs a second run, not correctness.
  const Encoded<Csr> first = fire(context, {currents.data(), {steps, rows, k}}, 100);
  std::vector<float> y(steps * rows * n);
  const WeightView weights{w.data(), DType::f32, k, n};
  const OutputView output{y.data(), DType::f32, steps * rows, n};
  const Buffer scratch =
      allocate(context, spmm_workspace_bytes(context, *first, weights, output, Rows{}));
  spmm(context, *first, weights, output, Rows{}, scratch.workspace());
  const Encoded<Csr> second = fire(context, {y.data(), {steps, rows, n}}, 100);

  const auto report = [](const char* name, const Csr& csr) {
    const auto nnz = static_cast<double>(csr.status->nnz);
    std::printf("%s: %.0f spikes, %.1f %%, %llu bytes instead of %llu\n", name, nnz,
                100 * nnz / static_cast<double>(csr.layout.shape.elements()),
                static_cast<unsigned long long>(csr.bytes(csr.status->needed)),
                static_cast<unsigned long long>(csr.layout.shape.elements()));
  };
  report("layer 1", *first);
  report("layer 2", *second);
  const Encoded<Bitmap> fused = fire_fused(context, {currents.data(), {steps, rows, k}}, weights);
  const std::uint64_t spikes = count_spikes(*fused);
  std::printf("layer 2 in one step: %llu spikes\n", static_cast<unsigned long long>(spikes));
  return first->status->nnz > 0 && second->status->nnz > 0 && spikes > 0 ? 0 : 1;
}
