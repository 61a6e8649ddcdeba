#pragma once
/// \file
/// Arrays of any layout to spike tensors, with im2col.

#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/npy.hpp"

namespace spiketune {

/// A convolution's window, which im2col turns into columns: row (b, y, x), column
/// (c · kernel_h + i) · kernel_w + j holds input (b, c, y·stride + i - padding, x·stride + j -
/// padding), or 0 outside. A kernel of 1 makes channels-last rows.
struct Window {
  std::uint32_t kernel_h = 1;
  std::uint32_t kernel_w = 1;
  std::uint32_t stride = 1;
  std::uint32_t padding = 0;
  bool operator==(const Window&) const = default;
};

/// How np.packbits packed the last axis of an array.
enum class BitPacking : std::uint8_t { none, little, big };

/// What an array holds, and the tensor to make of it. Shapes by the number of dimensions:
///   [M, K]             M = timesteps · rows, in matrix_order; [T, K] where timesteps is 0
///   [T, rows, K]
///   [T, C, H, W]       rows = H'·W', K = C·kernel_h·kernel_w (see Window)
///   [T, B, C, H, W]    rows = B·H'·W'
struct ArrayOptions {
  std::uint32_t timesteps = 0;                   ///< of a matrix; 0: every row is a time step
  RowOrder matrix_order = RowOrder::time_major;  ///< of a matrix of several time steps
  bool transpose = false;       ///< the axes are in reverse, as those of a raster [neurons, T] are
  std::uint64_t max_batch = 0;  ///< keep the first so many of B (or rows of a time step); 0: all
  Window window;
  BitPacking packing = BitPacking::none;  ///< elements are u1, eight spikes each
  /// Length of the last axis before packing; 0: eight times the packed length.
  std::uint64_t packed_length = 0;

  DType storage = DType::u8;
  ValueKind kind = ValueKind::binary;
  RowOrder row_order = RowOrder::time_major;
};

/// Whether `value` is zero or a spike of the kind that the storage holds exactly; NaN never is.
[[nodiscard]] bool is_spike_value(double value, ValueKind kind, DType storage);

/// The length of the last axis before packing, given the whole shape before and after. Throws
/// Error(parse) where the one does not pack into the other.
[[nodiscard]] std::uint64_t packed_length(const std::vector<std::uint64_t>& before,
                                          const std::vector<std::uint64_t>& after,
                                          const std::string& name);

/// The spikes of an array, in host memory. Elements are b1, u*, i*, f2, f4 or f8. `name` is for
/// messages. Throws Error(invalid_argument) where shape and options do not fit, and
/// Error(invalid_value) naming the first (t, row, k) that is NaN, not of the kind, or not exactly
/// representable in the storage.
[[nodiscard]] SpikeTensor to_spikes(const NpyArray& array, const ArrayOptions& options,
                                    const std::string& name = "array");

}  // namespace spiketune
