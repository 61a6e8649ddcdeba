#include "spiketune/kernels/expand_imma.hpp"

namespace spiketune {

std::string ExpandImma::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                    const OutputView&) const {
  if (tile_m != 0 && tile_m != 64 && tile_m != 128 && tile_m != 256) {
    return "tile_m must be 0, 64, 128 or 256";
  }
  if (tile_n != 0 && tile_n != 64 && tile_n != 128 && tile_n != 256) {
    return "tile_n must be 0, 64, 128 or 256";
  }
  if (tile_m != 0 && tile_m != 64 && tile_n != 0 && tile_m != 2 * tile_n) {
    return "tiles are of 128 × 64 or of 256 × 128, or tile_m is 64";
  }
  if (tile_n == 256 && tile_m != 64) return "tile_n 256 goes with tile_m 64";
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (!is_quantised(weights.type)) return "W must be s8, s4 or e4m3";
  if (weights.k > largest_k) return "K must be at most 16777216: sums are s32";
  if (tile_m != 64) return "";
  if (!holds_weights(weights.k, tile_n)) {
    return "with tile_m 64 all rows of W lie in shared memory: K must be at most 2048, or 1280 or "
           "768 where tile_n is 128 or 256";
  }
  if (ceil_div(layout.k(), 32) % 2 != 0) {
    return "with tile_m 64 a row of S must be an even number of words of 32 columns";
  }
  return "";
}

}  // namespace spiketune
