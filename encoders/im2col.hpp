#pragma once
/// \file
/// Windows of images of bits: what a convolution multiplies, as a bitmap, with no dense spikes.
///
///   images    rows [T, B·H·W], K = C channels, a multiple of 32
///   windows   rows [T, B·H'·W'], K = kernel_h·kernel_w·C
///
/// Row (b, y, x), column (i·kernel_w + j)·C + c of the windows is channel c of the input
/// (b, y·stride + i − padding, x·stride + j − padding), or 0 outside. Channels come last, so that
/// whole words are copied: kernel_h·kernel_w bits for each element of an output position, against
/// as many bytes or halves of dense windows. Neurons that fire into the product's rows (spmm_lif,
/// lif) leave the images of the next convolution.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/formats/bitmap.hpp"

namespace spiketune {

/// A convolution over images of height × width.
struct Convolution {
  std::uint32_t height = 1;
  std::uint32_t width = 1;
  std::uint32_t kernel_h = 1;
  std::uint32_t kernel_w = 1;
  std::uint32_t stride = 1;
  std::uint32_t padding = 0;

  /// 0 where the padded image is smaller than the kernel.
  [[nodiscard]] constexpr std::uint32_t out_height() const { return out(height, kernel_h); }
  [[nodiscard]] constexpr std::uint32_t out_width() const { return out(width, kernel_w); }
  bool operator==(const Convolution&) const = default;

 private:
  [[nodiscard]] constexpr std::uint32_t out(std::uint32_t size, std::uint32_t kernel) const {
    return size + 2 * padding < kernel ? 0 : (size + 2 * padding - kernel) / stride + 1;
  }
};

/// The layout of the windows of images of that layout, in the same row order. Throws
/// Error(invalid_argument) where rows are not whole images, C is no multiple of 32, spikes are not
/// binary, or the kernel or the stride is 0.
[[nodiscard]] EncodedLayout im2col_layout(const EncodedLayout& images,
                                          const Convolution& convolution);

/// Writes the words of `windows`, a bound bitmap of im2col_layout(); its status is not written: no
/// product reads it. Both bitmaps in rows, not in tiles. Nothing is allocated, nothing waits for
/// the device. CUDA: enqueues one kernel.
/// Throws Error(invalid_argument) as im2col_layout() does, and for another bitmap.
void im2col(const HostContext& context, const Bitmap& images, const Convolution& convolution,
            const Bitmap& windows);
void im2col(const CudaContext& context, const Bitmap& images, const Convolution& convolution,
            const Bitmap& windows);

/// Throws Error(invalid_argument) as im2col() does.
void check_im2col(const Bitmap& images, const Convolution& convolution, const Bitmap& windows);

namespace detail {

/// Where row r of step t is.
SPIKETUNE_HD inline std::uint64_t row_at(const SpikeShape& shape, RowOrder order, std::uint64_t t,
                                         std::uint64_t r) {
  return order == RowOrder::time_major ? t * shape.rows + r : r * shape.timesteps + t;
}

/// Word `w` of the window of row (b, y, x) at step t.
SPIKETUNE_HD inline std::uint32_t window_word(const Bitmap& images, const Convolution& convolution,
                                              std::uint64_t t, std::uint64_t b, std::uint32_t y,
                                              std::uint32_t x, std::uint32_t w) {
  const auto words = static_cast<std::uint32_t>(images.words_per_row());
  const std::uint32_t tap = w / words;
  // Unsigned, so that what is above or left of the image is beyond it too.
  const std::uint32_t from_y =
      y * convolution.stride + tap / convolution.kernel_w - convolution.padding;
  const std::uint32_t from_x =
      x * convolution.stride + tap % convolution.kernel_w - convolution.padding;
  if (from_y >= convolution.height || from_x >= convolution.width) return 0;
  const std::uint64_t r = (b * convolution.height + from_y) * convolution.width + from_x;
  const EncodedLayout& layout = images.layout;
  return images.words[row_at(layout.shape, layout.row_order, t, r) * words + w % words];
}

}  // namespace detail
}  // namespace spiketune
