#pragma once
/// \file
/// Quantised W column by column, K along, as the tensor cores want operands of 8 bits.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// [N, column_bytes], the bytes beyond K zeros.
struct WeightColumns {
  static constexpr std::uint32_t piece = 128;  ///< column_bytes is a multiple

  std::uint8_t* bytes = nullptr;
  std::uint64_t column_bytes;
  std::uint32_t n;

  explicit WeightColumns(const WeightView& weights)
      : column_bytes(ceil_div(weights.k, piece) * piece), n(weights.n) {}
  void carve(WorkspaceCarver& carver) { bytes = carver.take<std::uint8_t>(n * column_bytes); }
};

/// Enqueues W by columns in `type`: s8 of s8 or s4, e4m3 of e4m3 or s4, whose values both hold.
/// `to` is [N, column_bytes] on the device, column_bytes at least K, the bytes beyond K zeros.
void put_by_column(const CudaContext& context, const WeightView& weights, DType type,
                   std::uint64_t column_bytes, void* to);

}  // namespace spiketune::cuda
