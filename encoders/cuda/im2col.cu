// Windows of images of bits: a thread a word. Bytes: the windows, written once; the images are read
// from L2 as often as windows overlap.

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/encoders/im2col.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr unsigned threads = 256;

__global__ void __launch_bounds__(threads)
    copy_windows(const __grid_constant__ Bitmap images,
                 const __grid_constant__ Convolution convolution,
                 const __grid_constant__ Bitmap windows, const std::uint32_t height,
                 const std::uint32_t width) {
  const SpikeShape& shape = windows.layout.shape;
  const auto words = static_cast<std::uint32_t>(windows.words_per_row());
  const std::uint64_t i = std::uint64_t{blockIdx.x} * threads + threadIdx.x;
  const std::uint64_t row = i / words;
  if (row >= shape.m()) return;
  const bool time_major = windows.layout.row_order == RowOrder::time_major;
  const std::uint64_t t = time_major ? row / shape.rows : row % shape.timesteps;
  const std::uint64_t r = time_major ? row % shape.rows : row / shape.timesteps;
  const auto x = static_cast<std::uint32_t>(r % width);
  const auto y = static_cast<std::uint32_t>(r / width % height);
  windows.words.data[i] = detail::window_word(images, convolution, t, r / width / height, y, x,
                                              static_cast<std::uint32_t>(i % words));
}

}  // namespace
}  // namespace cuda

void im2col(const CudaContext& context, const Bitmap& images, const Convolution& convolution,
            const Bitmap& windows) {
  check_im2col(images, convolution, windows);
  const std::uint64_t words = windows.layout.shape.m() * windows.words_per_row();
  if (words == 0) return;
  cuda::copy_windows<<<static_cast<unsigned>(ceil_div(words, cuda::threads)), cuda::threads, 0,
                       context.stream>>>(images, convolution, windows, convolution.out_height(),
                                         convolution.out_width());
  cuda::check_launch();
}

}  // namespace spiketune
