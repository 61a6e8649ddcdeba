#include "spiketune/kernels/bit_planes.hpp"

namespace spiketune {

std::string BitPlanes::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                   const OutputView&) const {
  if (tile_m != 0 && tile_m != 64 && tile_m != 128 && tile_m != 256) {
    return "tile_m must be 0, 64, 128 or 256";
  }
  if (tile_n != 0 && tile_n != 64 && tile_n != 128 && (tile_n != 256 || tile_m != 64)) {
    return "tile_n must be 0, 64 or 128, or 256 of strips of 64 rows";
  }
  if (tile_m == 128 && tile_n == 64) return "tiles of 64 columns have 256 rows";
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (weights.type != DType::s8 && weights.type != DType::s4) return "W must be s8 or s4";
  if (tile_m == 64 && !in_strips(weights.type, weights.k, weights.n)) {
    return "strips of 64 rows take W in s4 whose K is a multiple of 128 up to 4,096 and N one of 8";
  }
  return "";
}

}  // namespace spiketune
