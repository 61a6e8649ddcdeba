#include "spiketune/kernels/slab_gather.hpp"

#include <cstdint>

namespace spiketune {

std::string SlabGather::why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                    const OutputView& output) const {
  if (columns != 0 && columns != 16 && columns != 32 && columns != 64) {
    return "columns must be 0, 16, 32 or 64";
  }
  if (weights.type != DType::f16 && weights.type != DType::bf16) return "W must be f16 or bf16";
  if (weights.n % 8 != 0) return "N must be a multiple of 8";
  const auto aligned = [](const void* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  if (!aligned(weights.data) || !aligned(output.data)) return "W and Y must be aligned to 16 bytes";
  if (layout.m() >> 32 != 0) return "S must have fewer than 2^32 rows";
  const bool binary = layout.value_type == DType::bit;
  if (binary && (columns == 0 || columns == 32)) {
    return layout.k() < 65536 ? "" : "K must be below 65536";
  }
  const std::uint64_t narrowest = columns == 0 ? 16 : static_cast<std::uint64_t>(columns);
  constexpr std::uint64_t most = std::uint64_t{225} * 1024;
  if ((std::uint64_t{layout.k()} + 1) * narrowest * 2 > most) {
    return "a slab of K x " + std::to_string(narrowest) + " does not fit into shared memory";
  }
  return "";
}

}  // namespace spiketune
