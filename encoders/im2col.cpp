#include "spiketune/encoders/im2col.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

void require_argument(bool holds, const std::string& otherwise) {
  if (!holds) throw Error(ErrorCode::invalid_argument, "im2col: " + otherwise);
}

}  // namespace

EncodedLayout im2col_layout(const EncodedLayout& images, const Convolution& convolution) {
  require_argument(images.value_type == DType::bit, "spikes must be binary");
  require_argument(images.shape.k % 32 == 0,
                   "the channels must be a multiple of 32, not " + std::to_string(images.shape.k));
  require_argument(convolution.kernel_h > 0 && convolution.kernel_w > 0 && convolution.stride > 0,
                   "the kernel and the stride must be above 0");
  const std::uint64_t size = std::uint64_t{convolution.height} * convolution.width;
  require_argument(size > 0 && images.shape.rows % size == 0,
                   std::to_string(images.shape.rows) + " rows are not whole images of " +
                       std::to_string(convolution.height) + " x " +
                       std::to_string(convolution.width));
  const std::uint64_t k =
      std::uint64_t{convolution.kernel_h} * convolution.kernel_w * images.shape.k;
  require_argument(k <= 0xffffffffu, "a window must have less than 2^32 elements");
  EncodedLayout result = images;
  result.shape.rows = images.shape.rows / size * convolution.out_height() * convolution.out_width();
  result.shape.k = static_cast<std::uint32_t>(k);
  return result;
}

void check_im2col(const Bitmap& images, const Convolution& convolution, const Bitmap& windows) {
  const EncodedLayout wanted = im2col_layout(images.layout, convolution);
  require_argument(!images.params.tiles && !windows.params.tiles,
                   "bitmaps must be in rows, not in tiles");
  require_argument(windows.layout.shape == wanted.shape &&
                       windows.layout.row_order == wanted.row_order &&
                       windows.layout.value_type == DType::bit,
                   "the windows must have the layout of im2col_layout()");
  require_argument(images.words.data != nullptr || images.layout.shape.elements() == 0,
                   "the images have no memory");
  require_argument(windows.words.data != nullptr || wanted.shape.elements() == 0,
                   "the windows have no memory");
}

}  // namespace spiketune
