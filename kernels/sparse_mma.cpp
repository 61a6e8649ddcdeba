#include "spiketune/kernels/sparse_mma.hpp"

#include <cstdint>

namespace spiketune {

std::string SparseMma::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                   const OutputView& output) const {
  if (tile_m != 0 && tile_m != 128 && tile_m != 256) return "tile_m must be 0, 128 or 256";
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (weights.type != DType::f16 && weights.type != DType::bf16) return "W must be f16 or bf16";
  if (weights.n % 8 != 0) return "N must be a multiple of 8";
  const auto aligned = [](const void* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  if (!aligned(weights.data) || !aligned(output.data)) return "W and Y must be aligned to 16 bytes";
  return "";
}

}  // namespace spiketune
