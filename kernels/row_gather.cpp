#include "spiketune/kernels/row_gather.hpp"

#include <cstdint>

namespace spiketune {

std::string RowGather::why_invalid(const EncodedLayout&, const WeightView& weights,
                                   const OutputView& output) const {
  if (!is_floating(weights.type)) return "W must be f32, f16 or bf16";
  if (warps < 1 || warps > 32) return "warps must be 1 to 32";
  if (vector_bytes != 0 && vector_bytes != 16) return "vector_bytes must be 0 or 16";
  if (vector_bytes == 16) {
    const unsigned per_load = 128 / bits_of(weights.type);
    if (weights.n % per_load != 0) {
      return "16-byte loads need N to be a multiple of " + std::to_string(per_load);
    }
    const auto aligned = [](const void* data) {
      return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
    };
    if (!aligned(weights.data) || !aligned(output.data)) {
      return "16-byte loads need W and Y aligned to 16 bytes";
    }
  }
  return "";
}

}  // namespace spiketune
