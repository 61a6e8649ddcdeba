// Y = S·W by two formats.

#include <cstdint>
#include <cstdio>
#include <random>
#include <spiketune/encoders/bitmap.hpp>
#include <spiketune/encoders/csr.hpp>
#include <spiketune/kernels/bitmap.hpp>
#include <spiketune/kernels/csr.hpp>
#include <vector>

namespace {

template <class Format>
std::vector<float> multiply(const spiketune::SpikeView& spikes,
                            const spiketune::WeightView& weights) {
  using namespace spiketune;
  const HostContext context;
  const Encoded<Format> encoded = encode_to_fit<Format>(context, spikes);
  std::vector<float> y(spikes.shape.m() * weights.n);
  const OutputView output{y.data(), DType::f32, spikes.shape.m(), weights.n};
  const Buffer workspace =
      allocate(context, spmm_workspace_bytes(context, *encoded, weights, output, Rows{}));
  spmm(context, *encoded, weights, output, Rows{}, workspace.workspace());
  return y;
}

}  // namespace

int main() {
  using namespace spiketune;
  constexpr std::uint32_t k = 256;
  constexpr std::uint32_t n = 64;
  std::mt19937 random(1);
  std::bernoulli_distribution fires(0.05);
  std::vector<std::uint8_t> spikes(4 * 100 * k);
  for (auto& spike : spikes) spike = fires(random);
  std::vector<float> w(k * n);
  for (auto& weight : w) weight = static_cast<float>(static_cast<int>(random() % 9) - 4);

  const SpikeView view{spikes.data(), {4, 100, k}, DType::u8};
  const WeightView weights{w.data(), DType::f32, k, n};
  const std::vector<float> by_csr = multiply<Csr>(view, weights);
  const std::vector<float> by_bitmap = multiply<Bitmap>(view, weights);
  std::printf("Y is %u x %u; CSR and bitmap %s\n", 4 * 100, n,
              by_csr == by_bitmap ? "agree" : "differ");
  return by_csr == by_bitmap ? 0 : 1;
}
