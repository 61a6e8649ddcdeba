#pragma once
// A layer whose best format depends on the density, for any backend.

#include <string>
#include <utility>
#include <vector>

#include "spiketune/autotune/auto_spmm.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

inline Problem auto_layer() {
  Problem layer;
  layer.timesteps = 2;
  layer.rows = 40;
  layer.k = 96;
  layer.n = 24;
  layer.density = 0.01;
  layer.weights = DType::f32;
  return layer;
}

/// Points of own kernels with their first configs that say: CSR up to 5 %, bitmap up to 40 %, then
/// dense.
inline std::vector<TunedPoint> auto_points(const Registry& registry, std::string_view backend) {
  const std::vector<std::pair<std::string, std::pair<double, double>>> laws = {
      {"csr", {10, 1000}}, {"bitmap", {55, 100}}, {"dense", {95, 0}}};
  std::vector<TunedPoint> points;
  Problem problem = auto_layer();
  Selection selection;
  selection.baselines = false;
  for (const EncodingChoice& encoding : list_candidates(registry, backend, selection, problem)) {
    for (const auto& [format, law] : laws) {
      if (encoding.format != format) continue;
      const KernelChoice& kernel = encoding.kernels.front();
      for (double density = 1e-4; density < 1; density *= 1.2) {
        problem.density = density;
        points.push_back({problem, format, kernel.kernel, kernel.config, std::string(backend),
                          false, false, 0, 0, law.first + law.second * density});
      }
    }
  }
  return points;
}

}  // namespace spiketune::test
