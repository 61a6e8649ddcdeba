#include "spiketune/kernels/byte_mma.hpp"

namespace spiketune {

std::string ByteMma::why_invalid(const EncodedLayout&, const WeightView& weights,
                                 const OutputView&) const {
  if (tile_n != 0 && tile_n != 64 && tile_n != 128 && tile_n != 256) {
    return "tile_n must be 0, 64, 128 or 256";
  }
  if (!is_quantised(weights.type)) return "W must be s8, s4 or e4m3";
  return weights.k > largest_k ? "K must be at most 4194304: sums are s32" : "";
}

}  // namespace spiketune
