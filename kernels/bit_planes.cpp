#include "spiketune/kernels/bit_planes.hpp"

namespace spiketune {

std::string BitPlanes::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                   const OutputView&) const {
  if (tile_m != 0 && tile_m != 128 && tile_m != 256) return "tile_m must be 0, 128 or 256";
  if (tile_n != 0 && tile_n != 64 && tile_n != 128) return "tile_n must be 0, 64 or 128";
  if (tile_m == 128 && tile_n == 64) return "tiles of 64 columns have 256 rows";
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (weights.type != DType::s8 && weights.type != DType::s4) return "W must be s8 or s4";
  return "";
}

}  // namespace spiketune
