#pragma once
/// \file
/// CUDA product of Bitmap with quantised W on the integer tensor cores.
///
/// Bits of S become bytes, 0 or 1, in registers, where they are operands of the matrix instructions
/// for s8 (`wgmma` on Hopper, `mma.sync` elsewhere): twice the rate of f16, and W is half as large.
/// W lies column by column, as those want it, in an order of rows that makes two operands of a word
/// by two shifts and two ands. s4 is turned into s8 when W is prepared. Sums are exact in s32 and
/// scaled once, at the end.
/// Operations: 2·M·K·N. Bytes: M·K/8 + K·N + Y.

#include <string>
#include <vector>

#include "spiketune/formats/bitmap.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct ExpandImma {
  static constexpr std::string_view name = "expand_imma";
  /// Rows of Y that a block makes at a time: 128 or 256, or 0: by the shape. 64: a warpgroup takes
  /// 64 on its own, and all rows of W of tile_n columns lie in shared memory (holds_weights()); a
  /// bitmap in tiles takes tiles of 256 × 128 instead.
  int tile_m = 0;
  /// Columns: 64 of 128 rows, 128 of 256, 64, 128 or 256 of 64, or 0: by the shape.
  int tile_n = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile_m", self.tile_m);
    visit("tile_n", self.tile_n);
  }
  [[nodiscard]] static std::vector<ExpandImma> all() {
    return {{0, 0}, {256, 128}, {128, 64}, {64, 256}, {64, 128}, {64, 64}};
  }
  /// Whether K rows of W of so many columns fit into shared memory.
  [[nodiscard]] static constexpr bool holds_weights(std::uint32_t k, int tile_n) {
    return k <= (tile_n == 256 ? 768 : tile_n == 128 ? 1280 : 2048);
  }
  /// W must be s8, s4 or e4m3, spikes binary, and K at most largest_k. With tile_m 64 a row of S is
  /// an even number of words of 32 columns.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  static constexpr std::uint32_t largest_k = 1u << 24;  ///< sums of as many bytes fit into s32
  bool operator==(const ExpandImma&) const = default;
};

/// Of W in bytes, column by column.
[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Bitmap& bitmap,
                                               const WeightView& weights, const OutputView& output,
                                               const ExpandImma& config);
/// Puts W in order. Throws Error(invalid_argument) unless W is s8 or s4.
void prepare(const CudaContext& context, const WeightView& weights, const ExpandImma& config,
             Workspace workspace);
/// Reads W from the workspace that was prepared, and its scales.
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty.
void spmm(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
          const OutputView& output, const ExpandImma& config, Workspace workspace);

}  // namespace spiketune
