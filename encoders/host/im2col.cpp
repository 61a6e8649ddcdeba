#include "spiketune/encoders/im2col.hpp"

#include "spiketune/core/parallel.hpp"

namespace spiketune {

void im2col(const HostContext& context, const Bitmap& images, const Convolution& convolution,
            const Bitmap& windows) {
  check_im2col(images, convolution, windows);
  const SpikeShape& shape = windows.layout.shape;
  const auto words = static_cast<std::uint32_t>(windows.words_per_row());
  const std::uint32_t height = convolution.out_height(), width = convolution.out_width();
  parallel_for(context, shape.rows, 64, [&](std::uint64_t r) {
    const auto x = static_cast<std::uint32_t>(r % width);
    const auto y = static_cast<std::uint32_t>(r / width % height);
    const std::uint64_t b = r / width / height;
    for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
      std::uint32_t* out =
          windows.words.data + detail::row_at(shape, windows.layout.row_order, t, r) * words;
      for (std::uint32_t w = 0; w < words; ++w) {
        out[w] = detail::window_word(images, convolution, t, b, y, x, w);
      }
    }
  });
}

}  // namespace spiketune
