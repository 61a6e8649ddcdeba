#include "spiketune/kernels/expand.hpp"

#include <cstdint>

namespace spiketune {

std::string Expand::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                const OutputView& output) const {
  if (tile_m != 0 && tile_m != 64 && tile_m != 128 && tile_m != 256) {
    return "tile_m must be 0, 64, 128 or 256";
  }
  if (tile_n != 0 && tile_n != 64 && tile_n != 128) return "tile_n must be 0, 64 or 128";
  if (split < 0 || split > 2 || (split == 2 && (tile_m != 256 || tile_n != 64))) {
    return "split must be 0 or 1, or 2 with tile_m 256 and tile_n 64";
  }
  if (split == 2 && ceil_div(layout.k(), 32) % 2 != 0) {
    return "with split 2 a row of S must be an even number of words of 32 columns";
  }
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (weights.type != DType::f16 && weights.type != DType::bf16) return "W must be f16 or bf16";
  if (weights.n % 8 != 0) return "N must be a multiple of 8";
  const auto aligned = [](const void* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  if (!aligned(weights.data) || !aligned(output.data)) return "W and Y must be aligned to 16 bytes";
  if (tile_m == 64 && !holds_weights(weights.k, tile_n)) {
    return "with tile_m 64 all rows of W lie in shared memory: K must be at most 1792, or 896 "
           "where tile_n is 128";
  }
  return "";
}

std::string ExpandBytes::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                     const OutputView& output) const {
  if (tile_m != 0 && tile_m != 64 && tile_m != 128) return "tile_m must be 0, 64 or 128";
  if (layout.k() % 16 != 0) return "K must be a multiple of 16";
  if (output.m >= std::uint64_t{1} << 31) return "S must have fewer than 2147483648 rows";
  return Expand{tile_m, tile_n, 0}.why_invalid(layout, weights, output);
}

}  // namespace spiketune
