#pragma once
/// \file
/// CUDA product of Dense with plain f32 arithmetic: the readable yardstick. cuBLASLt is the
/// baseline that dense is judged by (kernels/baselines).

#include <string>
#include <vector>

#include "spiketune/formats/dense.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// A block makes a tile × tile piece of Y from slabs of S and W in shared memory; a thread keeps
/// 4 × 4 sums. Bound: 2·M·K·N f32 operations.
struct Tiled {
  static constexpr std::string_view name = "tiled";
  int tile = 64;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile", self.tile);
  }
  [[nodiscard]] static std::vector<Tiled> all() { return {{64}}; }
  [[nodiscard]] std::string why_invalid(const EncodedLayout&, const WeightView& weights,
                                        const OutputView&) const {
    if (!is_floating(weights.type)) return "W must be f32, f16 or bf16";
    return tile == 64 ? "" : "tile must be 64";
  }
  bool operator==(const Tiled&) const = default;
};

[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Dense& dense,
                                               const WeightView& weights, const OutputView& output,
                                               const Tiled& config);
void spmm(const CudaContext& context, const Dense& dense, const WeightView& weights,
          const OutputView& output, const Tiled& config, Workspace workspace);

}  // namespace spiketune
