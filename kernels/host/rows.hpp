#pragma once
/// \file
/// Definition of the Rows product; included by the kernels/host/<format>.cpp that instantiate it.

#include <algorithm>

#include "spiketune/core/parallel.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/host/gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {
namespace host {

/// Per-thread scratch of the Rows product, and W as f32.
struct RowsScratch {
  RowsScratch(WorkspaceCarver& carver, const HostContext& context, const WeightView& weights)
      : threads(static_cast<std::uint64_t>(thread_count(context))),
        w(carver.take<float>(float_scratch(weights))),
        columns(carver.take<std::uint32_t>(threads * weights.k)),
        values(carver.take<float>(threads * weights.k)),
        sums(carver.take<float>(threads * weights.n)) {}
  std::uint64_t threads;
  float* w;
  std::uint32_t* columns;
  float* values;
  float* sums;
};

}  // namespace host

template <class Format>
std::size_t spmm_workspace_bytes(const HostContext& context, const Format&,
                                 const WeightView& weights, const OutputView&, const Rows&) {
  WorkspaceCarver carver;
  host::RowsScratch(carver, context, weights);
  return carver.bytes();
}

template <class Format>
void spmm(const HostContext& context, const Format& format, const WeightView& weights,
          const OutputView& output, const Rows& config, Workspace workspace) {
  check_spmm(format, weights, output, Space::host);
  WorkspaceCarver carver(workspace);
  const host::RowsScratch scratch(carver, context, weights);
  const float* w = host::weights_as_float(context, weights, scratch.w);
  const bool pattern = format.layout.value_type == DType::bit;
  const auto task = static_cast<std::uint64_t>(std::max(1, config.rows_per_task));
  parallel_ranges(context, output.m, task, [&](std::uint64_t begin, std::uint64_t end) {
    const auto thread = static_cast<std::uint64_t>(omp_get_thread_num());
    std::uint32_t* columns = scratch.columns + thread * weights.k;
    float* values = scratch.values + thread * weights.k;
    for (std::uint64_t row = begin; row < end; ++row) {
      std::uint64_t count = 0;
      for_each_in_row(format, row, [&](std::uint32_t column, float value) {
        columns[count] = column;
        if (!pattern) values[count] = value;
        ++count;
      });
      const bool direct = output.type == DType::f32;
      float* y = direct ? static_cast<float*>(output.data) + row * output.n
                        : scratch.sums + thread * weights.n;
      host::gather_row(columns, pattern ? nullptr : values, count, w, weights.n, y);
      if (!direct) host::store_row(y, weights.n, output, row * output.n);
    }
  });
}

}  // namespace spiketune
