#include "spiketune/kernels/reference.hpp"

#include <algorithm>
#include <vector>

#include "spiketune/core/parallel.hpp"
#include "spiketune/kernels/host/gather.hpp"

namespace spiketune {

void reference_spmm(const HostContext& context, const SpikeView& spikes, RowOrder order,
                    const WeightView& weights, double* y) {
  check_reference(spikes, weights, y, Space::host);
  std::vector<float> scratch(host::float_scratch(weights));
  const float* w = host::weights_as_float(context, weights, scratch.data());
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, order};
  const std::uint64_t n = weights.n;
  parallel_for(context, shape.m(), 16, [&](std::uint64_t row) {
    const std::uint64_t source = map.source(row);
    double* sums = y + row * n;
    std::fill(sums, sums + n, 0.0);
    for (std::uint32_t column = 0; column < shape.k; ++column) {
      const double value = load_spike(spikes.data, spikes.storage, shape.k, source, column);
      if (value == 0) continue;
      const float* row_of_w = w + column * n;
      for (std::uint64_t j = 0; j < n; ++j) sums[j] += value * static_cast<double>(row_of_w[j]);
    }
  });
}

}  // namespace spiketune
