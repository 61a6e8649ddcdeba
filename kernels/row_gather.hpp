#pragma once
/// \file
/// CUDA product of every format that has rows.
///
/// A warp walks the spikes of one row of S; each lane adds `16 bytes / sizeof(W)` neighbouring
/// columns of the row of W that the spike names, in f32 registers. Rows of W come from L2.
/// Bytes: nnz · N · sizeof(W) through L2, which bounds it, and Y once.

#include <string>
#include <vector>

#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct RowGather {
  static constexpr std::string_view name = "row_gather";
  int vector_bytes = 16;  ///< bytes of W a lane loads at once: 16, or 0 for one element
  int warps = 4;          ///< rows per block

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("vector_bytes", self.vector_bytes);
    visit("warps", self.warps);
  }
  [[nodiscard]] static std::vector<RowGather> all() { return {{16, 4}, {16, 8}, {0, 4}}; }
  [[nodiscard]] std::string why_invalid(const EncodedLayout&, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const RowGather&) const = default;
};

template <class Format>
[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext&, const Format&, const WeightView&,
                                               const OutputView&, const RowGather&) {
  return 0;
}
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty.
template <class Format>
void spmm(const CudaContext& context, const Format& format, const WeightView& weights,
          const OutputView& output, const RowGather& config, Workspace workspace);

}  // namespace spiketune
