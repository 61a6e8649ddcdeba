#pragma once
/// \file
/// CUDA products of Bitmap and Bytes on the tensor cores.
///
/// Bits of S become operands of the matrix instructions in registers: S crosses memory at one bit
/// an element, and no value of it ever lies in shared memory. Bytes do the same at eight bits an
/// element, for each tile of columns of Y, where spikes need no encode. On Hopper `wgmma` takes
/// them from there, TMA brings tiles of W, blocks stay and take tile after tile
/// (kernels/cuda/sm90); on Ampere and later `mma.sync`, with tiles of 128 × 64. Bytes: M·K/8 (of
/// Bytes M·K) + K·N·sizeof(W) + Y. Operations: 2·M·K·N, like a dense product, less those of the 64
/// columns of a tile of rows that hold no spike, where the bitmap is in tiles and knows them.

#include <string>
#include <vector>

#include "spiketune/formats/bitmap.hpp"
#include "spiketune/formats/bytes.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct Expand {
  static constexpr std::string_view name = "expand_mma";
  /// Rows of Y that a block makes at a time: 128 or 256, or 0: by the shape. 64: a warpgroup takes
  /// 64 on its own, and all rows of W of tile_n columns lie in shared memory (K ≤ 1792, or 896
  /// where tile_n is 128).
  int tile_m = 0;
  int tile_n = 0;  ///< columns: 64 or 128, or 0: by the shape
  /// Blocks, a cluster, that share a tile and take parts of K: 1, with tiles of 256 × 64 also 2, or
  /// 0: by the shape. For a short S, whose tiles are too few for all multiprocessors; rows of S are
  /// an even number of words of 32 columns, and nothing is skipped.
  int split = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile_m", self.tile_m);
    visit("tile_n", self.tile_n);
    visit("split", self.split);
  }
  [[nodiscard]] static std::vector<Expand> all() {
    return {{0, 0, 0},    {256, 128, 1}, {128, 128, 1}, {256, 64, 1},
            {128, 64, 1}, {64, 128, 1},  {64, 64, 1},   {256, 64, 2}};
  }
  /// Whether K rows of W of so many columns fit into shared memory.
  [[nodiscard]] static bool holds_weights(std::uint32_t k, int tile_n) {
    return k <= (tile_n == 128 ? 896 : 1792);
  }
  /// W must be f16 or bf16, spikes binary, and rows of W whole pieces of 16 bytes.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const Expand&) const = default;
};

/// The same product of Bytes.
struct ExpandBytes {
  static constexpr std::string_view name = Expand::name;
  /// Rows of Y that a block makes at a time: 128, or 64 as Expand's, with all rows of W in shared
  /// memory, or 0: by the shape.
  int tile_m = 0;
  int tile_n = 0;  ///< columns: 64 or 128, or 0: by the shape

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile_m", self.tile_m);
    visit("tile_n", self.tile_n);
  }
  [[nodiscard]] static std::vector<ExpandBytes> all() {
    return {{0, 0}, {128, 128}, {128, 64}, {64, 128}, {64, 64}};
  }
  /// As Expand's; rows of S must be whole pieces of 16 bytes, and fewer than 2³¹.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const ExpandBytes&) const = default;
};

[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Bitmap& bitmap,
                                               const WeightView& weights, const OutputView& output,
                                               const Expand& config);
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty.
void spmm(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
          const OutputView& output, const Expand& config, Workspace workspace);

[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Bytes& bytes,
                                               const WeightView& weights, const OutputView& output,
                                               const ExpandBytes& config);
/// The same. bytes.values must be aligned to 16 bytes, as view() sees to.
void spmm(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
          const OutputView& output, const ExpandBytes& config, Workspace workspace);

}  // namespace spiketune
