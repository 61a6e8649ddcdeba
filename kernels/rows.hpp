#pragma once
/// \file
/// Host product of every format that has rows: the oracle, and the default where there is no GPU.

#include <string>
#include <vector>

#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// List the spikes of a row, then add their rows of W, `block` columns of Y at a time in registers.
/// Bound: nnz · N loads of W from cache.
struct Rows {
  static constexpr std::string_view name = "rows";
  int rows_per_task = 32;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("rows_per_task", self.rows_per_task);
  }
  [[nodiscard]] static std::vector<Rows> all() { return {{32}, {8}}; }
  [[nodiscard]] std::string why_invalid(const EncodedLayout&, const WeightView&,
                                        const OutputView&) const {
    return rows_per_task > 0 ? "" : "rows_per_task must be positive";
  }
  bool operator==(const Rows&) const = default;
};

template <class Format>
std::size_t spmm_workspace_bytes(const HostContext& context, const Format& format,
                                 const WeightView& weights, const OutputView& output,
                                 const Rows& config);
template <class Format>
void spmm(const HostContext& context, const Format& format, const WeightView& weights,
          const OutputView& output, const Rows& config, Workspace workspace);

}  // namespace spiketune
