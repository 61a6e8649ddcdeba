#pragma once
/// \file
/// Products of Csc. There are no rows to gather along: each column of S, times its row of W, is
/// scattered over Y, with sums in f32. Where Y is f16 or bf16 they are kept in an f32 workspace
/// [M, N] and rounded once, at the end.

#include <string>
#include <vector>

#include "spiketune/formats/csc.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// Host. Each task owns `columns_per_task` columns of Y and adds to them for all of S, so that no
/// two threads write the same sum. Bound: nnz · N sums read and written in cache. N /
/// columns_per_task tasks are all there is to share among threads.
struct ColumnScatter {
  static constexpr std::string_view name = "column_scatter";
  int columns_per_task = 64;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("columns_per_task", self.columns_per_task);
  }
  [[nodiscard]] static std::vector<ColumnScatter> all() { return {{64}, {256}}; }
  [[nodiscard]] std::string why_invalid(const EncodedLayout&, const WeightView&,
                                        const OutputView&) const {
    return columns_per_task > 0 ? "" : "columns_per_task must be positive";
  }
  bool operator==(const ColumnScatter&) const = default;
};

/// CUDA. A warp holds 128 columns of a row of W in registers and adds them, times each spike of its
/// column of S, to the rows of Y that the spikes name: atomically, in L2, as other warps add to the
/// same rows. Bytes: nnz · N · 4 of atomic additions, which bounds it, and W once.
/// The order of additions, and so the rounding of Y, may vary from run to run.
struct AtomicScatter {
  static constexpr std::string_view name = "atomic_scatter";
  int warps = 4;   ///< columns of S per block
  int splits = 1;  ///< warps that share the spikes of a column

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("warps", self.warps);
    visit("splits", self.splits);
  }
  [[nodiscard]] static std::vector<AtomicScatter> all() { return {{4, 1}, {4, 8}}; }
  [[nodiscard]] std::string why_invalid(const EncodedLayout&, const WeightView& weights,
                                        const OutputView&) const {
    if (!is_floating(weights.type)) return "W must be f32, f16 or bf16";
    if (warps < 1 || warps > 32) return "warps must be 1 to 32";
    return splits < 1 || splits > 1024 ? "splits must be 1 to 1024" : "";
  }
  bool operator==(const AtomicScatter&) const = default;
};

template <>
struct SpmmKernels<HostContext, Csc> {
  using list = KernelList<ColumnScatter>;
};
template <>
struct SpmmKernels<CudaContext, Csc> {
  using list = KernelList<AtomicScatter>;
};

/// Throw Error(invalid_argument) with config.why_invalid() where that is not empty.
[[nodiscard]] std::size_t spmm_workspace_bytes(const HostContext& context, const Csc& csc,
                                               const WeightView& weights, const OutputView& output,
                                               const ColumnScatter& config);
[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Csc& csc,
                                               const WeightView& weights, const OutputView& output,
                                               const AtomicScatter& config);
void spmm(const HostContext& context, const Csc& csc, const WeightView& weights,
          const OutputView& output, const ColumnScatter& config, Workspace workspace);
void spmm(const CudaContext& context, const Csc& csc, const WeightView& weights,
          const OutputView& output, const AtomicScatter& config, Workspace workspace);

}  // namespace spiketune
