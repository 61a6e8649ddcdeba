#pragma once
/// \file
/// CUDA product of Bytes with quantised W on the tensor cores of 8 bits.
///
/// Spikes that lie in bytes are operands as they are: of s8, or of e4m3, as which they are
/// multiples of 2⁻⁹, by which the scales make up. W lies column by column, K along, which prepare()
/// sees to; s4 is turned into s8. Sums are exact in s32, those of e4m3 in f32, of which the tensor
/// cores keep some 14 bits, and are scaled once, at the end. Operations: 2·M·K·N. Bytes: M·K + K·N
/// + Y.

#include <string>
#include <vector>

#include "spiketune/formats/bytes.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct ByteMma {
  static constexpr std::string_view name = "byte_mma";
  /// Columns of Y that a block makes of 128 rows: 64, 128 or 256 on Hopper, elsewhere always 64; or
  /// 0: by the shape.
  int tile_n = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tile_n", self.tile_n);
  }
  [[nodiscard]] static std::vector<ByteMma> all() { return {{0}, {256}, {128}, {64}}; }
  /// W must be s8, s4 or e4m3, and K at most largest_k.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  static constexpr std::uint32_t largest_k = 1u << 22;  ///< sums of 3 · s8 fit into s32
  bool operator==(const ByteMma&) const = default;
};

/// Of W in bytes, column by column.
[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Bytes& bytes,
                                               const WeightView& weights, const OutputView& output,
                                               const ByteMma& config);
/// Puts W in order. Throws Error(invalid_argument) unless W is s8, s4 or e4m3.
void prepare(const CudaContext& context, const WeightView& weights, const ByteMma& config,
             Workspace workspace);
/// Reads W from the workspace that was prepared, and its scales.
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty.
void spmm(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
          const OutputView& output, const ByteMma& config, Workspace workspace);

}  // namespace spiketune
