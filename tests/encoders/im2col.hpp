#pragma once
/// \file
/// What the tests of im2col() share: images of bits, and their windows by loops.

#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/im2col.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

struct Images {
  std::uint32_t steps;
  std::uint32_t images;
  std::uint32_t channels;
  Convolution convolution;
  RowOrder order = RowOrder::time_major;

  [[nodiscard]] SpikeShape shape() const {
    return {steps, std::uint64_t{images} * convolution.height * convolution.width, channels};
  }
};

inline std::vector<Images> all_images() {
  std::vector<Images> result;
  for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
    result.push_back({4, 3, 32, {14, 14, 3, 3, 1, 1}, order});
    result.push_back({2, 2, 64, {7, 7, 3, 3, 2, 1}, order});
    result.push_back({3, 2, 96, {5, 8, 2, 3, 2, 0}, order});
    result.push_back({1, 1, 32, {3, 3, 5, 5, 1, 2}, order});
    result.push_back({2, 3, 64, {4, 4, 4, 4, 1, 0}, order});
    result.push_back({2, 0, 32, {4, 4, 3, 3, 1, 1}, order});
    result.push_back({2, 2, 32, {2, 2, 3, 3, 1, 0}, order});
  }
  return result;
}

template <class ContextT>
std::vector<std::uint32_t> windows_on(const ContextT& context, const Images& images,
                                      const Bitmap& host_bitmap) {
  const Encoded<Bitmap> bitmap(context, host_bitmap);
  const std::size_t bytes = images.shape().m() * bitmap->words_per_row() * 4;
  copy(context, bitmap->words.data, host_bitmap.words.data, bytes);
  const Encoded<Bitmap> windows(
      context, Bitmap::plan(im2col_layout(bitmap->layout, images.convolution), {}));
  std::vector<std::uint32_t> result(windows->layout.m() * windows->words_per_row());
  fill(context, windows.buffer().data(), 0xff, windows.buffer().bytes());
  im2col(context, *bitmap, images.convolution, *windows);
  copy(context, result.data(), windows->words.data, result.size() * 4);
  synchronize(context);
  return result;
}

inline Encoded<Bitmap> bitmap_of(const Images& images, unsigned seed = 1) {
  const Logical logical = random_spikes(images.shape(), 0.3, ValueKind::binary, seed);
  const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
  return encode_to_fit<Bitmap>(HostContext{}, spikes.view(), {}, {images.order, 0.1, std::nullopt});
}

}  // namespace spiketune::test
