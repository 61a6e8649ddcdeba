#pragma once
/// \file
/// CUDA product of Bitmap with quantised W, one bit of W at a time.
///
///   W = −2^(b−1)·W_(b−1) + … + 2·W_1 + W_0,   S·W_i = bits that a row of S and a column of W_i
///   share
///
/// S and the planes W_i are bits, so the tensor cores count 256 products at a time (`mma.sync` b1,
/// and.popc; sm_80 and later). Planes come from the highest to the lowest and sums are doubled in
/// between (Horner), so there is one set of sums: exact in s32, scaled once, at the end.
/// A block keeps its rows of S in shared memory for all planes where they fit.
/// Operations: 2·M·K·N for each plane, at 10,000 T/s on an H200, 12 to 16 times the rate of f16.
/// Bytes: M·K/8 + K·N·b/8 + Y.

#include <string>
#include <vector>

#include "spiketune/formats/bitmap.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct BitPlanes {
  static constexpr std::string_view name = "bit_planes";
  int tile_m = 0;  ///< rows of Y that a block makes: 128 or 256, or 0: by the shape
  int tile_n = 0;  ///< columns: 64 (of 256 rows) or 128, or 0: by the shape

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile_m", self.tile_m);
    visit("tile_n", self.tile_n);
  }
  [[nodiscard]] static std::vector<BitPlanes> all() {
    return {{0, 0}, {128, 128}, {256, 64}, {256, 128}};
  }
  /// W must be s8 or s4, spikes binary.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const BitPlanes&) const = default;
};

/// Of the planes of W.
[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Bitmap& bitmap,
                                               const WeightView& weights, const OutputView& output,
                                               const BitPlanes& config);
/// Splits W into planes. Throws Error(invalid_argument) unless W is s8 or s4.
void prepare(const CudaContext& context, const WeightView& weights, const BitPlanes& config,
             Workspace workspace);
/// Reads W from the workspace that was prepared, and its scales.
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty.
void spmm(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
          const OutputView& output, const BitPlanes& config, Workspace workspace);

}  // namespace spiketune
