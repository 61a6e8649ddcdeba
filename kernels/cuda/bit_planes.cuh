#pragma once
/// \file
/// W in planes of bits, and what the kernels of bit_planes.cu and sm90/bit_planes.cu agree on.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/formats/bitmap.hpp"
#include "spiketune/kernels/bit_planes.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

inline constexpr std::uint32_t step_words = 16;  // of a row of S, and of a column of a plane
inline constexpr std::uint32_t step_bits = 32 * step_words;
inline constexpr std::uint32_t padded_columns = 128;  // N is padded to a multiple

/// W in planes, the highest first: of each plane step after step, of each step 16 words of each
/// column. A tile of W is one run of memory. Beyond K and N there are zeros.
struct Planes {
  std::uint32_t* words = nullptr;
  std::uint32_t count = 0;    ///< bits of W
  std::uint32_t steps = 0;    ///< of 512 rows of W
  std::uint32_t columns = 0;  ///< padded

  explicit Planes(const WeightView& weights)
      : count(bits_of(weights.type)),
        steps(static_cast<std::uint32_t>(ceil_div(weights.k, step_bits))),
        columns(static_cast<std::uint32_t>(ceil_div(weights.n, padded_columns) * padded_columns)) {}
  [[nodiscard]] SPIKETUNE_HD std::uint64_t index(std::uint32_t plane, std::uint32_t step,
                                                 std::uint32_t column) const {
    return ((std::uint64_t{plane} * steps + step) * columns + column) * step_words;
  }
  void carve(WorkspaceCarver& carver) { words = carver.take<std::uint32_t>(index(count, 0, 0)); }
};

/// Whether bit_planes_on_hopper() takes the product: TMA wants rows of S that begin at multiples of
/// 16 bytes, and results leave in pieces of 16.
[[nodiscard]] bool fits_hopper(const Bitmap& bitmap, const WeightView& weights,
                               const OutputView& output);

/// The product on sm_90a, in kernels/cuda/sm90/bit_planes.cu, where fits_hopper().
void bit_planes_on_hopper(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
                          const WeightView& weights, const OutputView& output,
                          const BitPlanes& config);

}  // namespace spiketune::cuda
