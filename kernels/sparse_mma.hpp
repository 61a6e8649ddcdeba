#pragma once
/// \file
/// CUDA product of TwoFour on the sparse tensor cores of Hopper.
///
/// Slots of S become operands of `wgmma.sp` in registers (`mma.sp` before Hopper): no value of S
/// ever lies in shared memory, and half of the operations of a dense product are done. The rows of
/// W that the residual names are summed, in f32, by warps of their own while the tensor cores work,
/// and are added before Y is written, always in the same order.
/// Bytes: M·3·K/16 + K·N·sizeof(W) + Y. Operations: M·K·N, and N for each spike of the residual.

#include <string>
#include <vector>

#include "spiketune/formats/two_four.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct SparseMma {
  static constexpr std::string_view name = "sparse_mma";
  int tile_m = 0;  ///< rows of Y that a block makes at a time: 128 or 256, or 0: by the shape

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile_m", self.tile_m);
  }
  [[nodiscard]] static std::vector<SparseMma> all() { return {{0}, {256}, {128}}; }
  /// W must be f16 or bf16, spikes binary, and rows of W whole pieces of 16 bytes.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const SparseMma&) const = default;
};

[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const TwoFour& two_four,
                                               const WeightView& weights, const OutputView& output,
                                               const SparseMma& config);
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty.
void spmm(const CudaContext& context, const TwoFour& two_four, const WeightView& weights,
          const OutputView& output, const SparseMma& config, Workspace workspace);

}  // namespace spiketune
