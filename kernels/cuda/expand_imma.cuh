#pragma once
/// \file
/// W in bytes, and what the kernels of expand_imma.cu and sm90/expand_imma.cu agree on.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/formats/bitmap.hpp"
#include "spiketune/kernels/expand_imma.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// W in bytes: step after step of 64 rows, of each step 64 bytes of each column, in the order that
/// expand_to_bytes() gives the columns of S. Beyond K and N there are zeros.
struct ByteColumns {
  static constexpr std::uint32_t step_rows = 64;
  static constexpr std::uint32_t padding = 128;  ///< N is padded to a multiple

  std::uint8_t* bytes = nullptr;
  std::uint32_t steps;
  std::uint32_t columns;  ///< padded

  explicit ByteColumns(const WeightView& weights)
      : steps(static_cast<std::uint32_t>(ceil_div(weights.k, step_rows))),
        columns(static_cast<std::uint32_t>(ceil_div(weights.n, padding) * padding)) {}
  /// Where the bytes of a column begin.
  [[nodiscard]] SPIKETUNE_HD std::uint64_t index(std::uint32_t step, std::uint32_t column) const {
    return (std::uint64_t{step} * columns + column) * step_rows;
  }
  void carve(WorkspaceCarver& carver) { bytes = carver.take<std::uint8_t>(index(steps, 0)); }
};

/// The product on sm_90a, in kernels/cuda/sm90/expand_imma.cu. N must be a multiple of 8, and Y
/// aligned to 16 bytes, and scales to 8: results leave in pieces of 16.
void expand_imma_on_hopper(const CudaContext& context, const Bitmap& bitmap,
                           const ByteColumns& columns, const WeightView& weights,
                           const OutputView& output, const ExpandImma& config);

/// The same with all rows of W of tile_n columns in shared memory (sm90/expand_imma_strips.cu), of
/// bitmaps in rows; config.why_invalid() of {64, tile_n} is empty. Returns false, having done
/// nothing, for others.
bool expand_imma_in_strips(const CudaContext& context, const Bitmap& bitmap,
                           const ByteColumns& columns, const WeightView& weights,
                           const OutputView& output, int tile_n);

}  // namespace spiketune::cuda
