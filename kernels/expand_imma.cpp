#include "spiketune/kernels/expand_imma.hpp"

namespace spiketune {

std::string ExpandImma::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                    const OutputView&) const {
  if (tile_m != 0 && tile_m != 128 && tile_m != 256) return "tile_m must be 0, 128 or 256";
  if (tile_n != 0 && tile_n != 64 && tile_n != 128) return "tile_n must be 0, 64 or 128";
  if (tile_m != 0 && tile_n != 0 && tile_m != 2 * tile_n) {
    return "tiles are of 128 × 64 or of 256 × 128";
  }
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (!is_quantised(weights.type)) return "W must be s8, s4 or e4m3";
  if (weights.k > largest_k) return "K must be at most 16777216: sums are s32";
  return "";
}

}  // namespace spiketune
