// A product that chooses its format at every call. The points that it learns from are a report of
// `spiketune tune`; here a few are written down.
//
//   05_auto [REPORT.json]

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <spiketune/autotune/auto_spmm.hpp>
#include <spiketune/autotune/candidates.hpp>
#include <vector>

namespace {

using namespace spiketune;

Problem make_layer() {
  Problem layer;
  layer.timesteps = 4;
  layer.rows = 64;
  layer.k = 256;
  layer.n = 64;
  layer.density = 0.02;
  layer.weights = DType::f32;
  return layer;
}

/// As if CSR took 10 µs and 1 more for each per cent, dense always 20.
std::vector<TunedPoint> points_by_heart(const Registry& registry) {
  std::vector<TunedPoint> points;
  Problem problem = make_layer();
  for (const EncodingChoice& encoding : list_candidates(registry, "host", {}, problem)) {
    if (encoding.format != "csr" && encoding.format != "dense") continue;
    const KernelChoice& kernel = encoding.kernels.front();
    for (double density = 1e-3; density < 1; density *= 2) {
      problem.density = density;
      const double us = encoding.format == "csr" ? 10 + 100 * density : 20;
      points.push_back(
          {problem, encoding.format, kernel.kernel, kernel.config, "host", false, false, 0, 0, us});
    }
  }
  return points;
}

}  // namespace

int main(int argc, char** argv) {
  Registry registry;
  add_host_formats(registry);
  const Problem layer = make_layer();
  const Planner planner(argc > 1 ? tuned_points(nlohmann::json::parse(std::ifstream(argv[1])))
                                 : points_by_heart(registry));
  AutoSpmm product(registry, HostContext{}, planner, layer);

  std::vector<std::uint8_t> spikes(layer.shape().elements());
  const std::vector<float> w(std::size_t{layer.k} * layer.n, 1.0f);
  std::vector<float> y(layer.m() * layer.n);
  const SpikeView view{spikes.data(), layer.shape(), layer.input};
  const WeightView weights{w.data(), layer.weights, layer.k, layer.n};
  const OutputView output{y.data(), layer.output, layer.m(), layer.n};
  std::mt19937 random(1);
  bool right = true;
  for (const double density : {0.01, 0.02, 0.05, 0.3, 0.5, 0.5, 0.02, 0.01}) {
    std::bernoulli_distribution fires(density);
    for (auto& spike : spikes) spike = fires(random);
    product(view, weights, output);
    float count = 0;
    for (std::uint32_t i = 0; i < layer.k; ++i) count += spikes[i];
    right = right && y[0] == count;
    std::printf("%4.1f %%: %s\n", 100 * product.density(),
                product.report().at("current").get<std::string>().c_str());
  }
  return right ? 0 : 1;
}
