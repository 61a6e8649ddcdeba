#include "spiketune/kernels/csc.hpp"

#include <algorithm>

#include "spiketune/core/error.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/host/gather.hpp"

namespace spiketune {
namespace {

struct Scratch {
  Scratch(WorkspaceCarver& carver, const WeightView& weights, const OutputView& output)
      : w(carver.take<float>(host::float_scratch(weights))),
        sums(carver.take<float>(output.type == DType::f32 ? 0 : output.m * output.n)) {}
  float* w;
  float* sums;
};

}  // namespace

std::size_t spmm_workspace_bytes(const HostContext&, const Csc&, const WeightView& weights,
                                 const OutputView& output, const ColumnScatter&) {
  WorkspaceCarver carver;
  Scratch(carver, weights, output);
  return carver.bytes();
}

void spmm(const HostContext& context, const Csc& csc, const WeightView& weights,
          const OutputView& output, const ColumnScatter& config, Workspace workspace) {
  check_spmm(csc, weights, output, Space::host);
  if (const std::string why = config.why_invalid(csc.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "column_scatter: " + why);
  }
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, weights, output);
  const float* w = host::weights_as_float(context, weights, scratch.w);
  const bool direct = output.type == DType::f32;
  float* y = direct ? static_cast<float*>(output.data) : scratch.sums;
  const std::uint64_t n = output.n;
  const auto task = static_cast<std::uint64_t>(config.columns_per_task);
  parallel_ranges(context, n, task, [&](std::uint64_t begin, std::uint64_t end) {
    const auto count = static_cast<std::uint32_t>(end - begin);
    for (std::uint64_t row = 0; row < output.m; ++row) {
      std::fill_n(y + row * n + begin, count, 0.0f);
    }
    for (std::uint32_t column = 0; column < weights.k; ++column) {
      const float* x = w + column * n + begin;
      for_each_in_column(csc, column, [&](std::uint32_t row, float value) {
        host::add_scaled(value, x, count, y + row * n + begin);
      });
    }
  });
  if (direct) return;
  parallel_for(context, output.m, 64,
               [&](std::uint64_t row) { host::store_row(y + row * n, output.n, output, row * n); });
}

}  // namespace spiketune
