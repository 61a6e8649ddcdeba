#include "spiketune/kernels/union_mma.hpp"

#include <cstdint>

namespace spiketune {

std::string UnionMma::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                  const OutputView& output) const {
  if (columns != 0 && columns != 32 && columns != 64) return "columns must be 0, 32 or 64";
  if (layout.value_type != DType::bit) return "spikes must be binary";
  if (weights.type != DType::f16 && weights.type != DType::bf16) return "W must be f16 or bf16";
  if (weights.n % 8 != 0) return "N must be a multiple of 8";
  const auto aligned = [](const void* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  if (!aligned(weights.data) || !aligned(output.data)) return "W and Y must be aligned to 16 bytes";
  if (layout.m() >> 32 != 0) return "S must have fewer than 2^32 rows";
  if (layout.k() >= 65536) return "K must be below 65536";
  constexpr std::uint64_t most = std::uint64_t{225} * 1024;
  if (columns == 64 && std::uint64_t{layout.k()} * 64 * 2 > most) {
    return "a slab of K x 64 does not fit into shared memory";
  }
  return "";
}

}  // namespace spiketune
