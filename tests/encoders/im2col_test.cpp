#include "spiketune/tests/encoders/im2col.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune::test {
namespace {

TEST(Im2col, IsWindowsByLoops) {
  for (const Images& images : all_images()) {
    const Convolution& c = images.convolution;
    const Logical logical = random_spikes(images.shape(), 0.3, ValueKind::binary, 1);
    const Encoded<Bitmap> bitmap = bitmap_of(images);
    const std::vector<std::uint32_t> words = windows_on(HostContext{}, images, *bitmap);
    const SpikeShape shape = im2col_layout(bitmap->layout, c).shape;
    ASSERT_EQ(shape.k, c.kernel_h * c.kernel_w * images.channels);
    ASSERT_EQ(shape.rows, std::uint64_t{images.images} * c.out_height() * c.out_width());
    std::uint64_t row = 0;
    for (std::uint32_t t = 0; t < images.steps; ++t) {
      for (std::uint32_t b = 0; b < images.images; ++b) {
        for (std::uint32_t y = 0; y < c.out_height(); ++y) {
          for (std::uint32_t x = 0; x < c.out_width(); ++x, ++row) {
            const RowMap map{images.steps, shape.rows, images.order, RowOrder::time_major};
            const std::uint32_t* got = words.data() + map.source(row) * (shape.k / 32);
            for (std::uint32_t k = 0; k < shape.k; ++k) {
              const std::uint32_t tap = k / images.channels;
              const std::int64_t from_y = std::int64_t{y} * c.stride + tap / c.kernel_w - c.padding;
              const std::int64_t from_x = std::int64_t{x} * c.stride + tap % c.kernel_w - c.padding;
              float wanted = 0;
              if (from_y >= 0 && from_y < c.height && from_x >= 0 && from_x < c.width) {
                const std::uint64_t r =
                    (std::uint64_t{b} * c.height + static_cast<std::uint64_t>(from_y)) * c.width +
                    static_cast<std::uint64_t>(from_x);
                wanted = logical.values[(t * images.shape().rows + r) * images.channels +
                                        k % images.channels];
              }
              ASSERT_EQ(got[k / 32] >> k % 32 & 1u, wanted == 0 ? 0u : 1u)
                  << "t " << t << ", b " << b << ", y " << y << ", x " << x << ", k " << k;
            }
          }
        }
      }
    }
  }
}

TEST(Im2col, SaysWhatDoesNotFit) {
  EncodedLayout layout{{2, 18, 32}};
  const auto message = [&](const Convolution& convolution) {
    try {
      static_cast<void>(im2col_layout(layout, convolution));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message({3, 3, 3, 3, 1, 1}), "");
  EXPECT_NE(message({4, 4, 3, 3, 1, 1}).find("not whole images of 4 x 4"), std::string::npos);
  EXPECT_NE(message({3, 3, 3, 3, 0, 1}).find("above 0"), std::string::npos);
  layout.shape.k = 33;
  EXPECT_NE(message({3, 3, 3, 3, 1, 1}).find("multiple of 32, not 33"), std::string::npos);
  layout = {{2, 18, 32}};
  layout.value_type = DType::f16;
  EXPECT_NE(message({3, 3, 3, 3, 1, 1}).find("binary"), std::string::npos);
  const Images images{2, 2, 32, {3, 3, 3, 3, 1, 1}};
  const Encoded<Bitmap> bitmap = bitmap_of(images);
  EXPECT_THROW(im2col(HostContext{}, *bitmap, images.convolution, *bitmap), Error);
}

}  // namespace
}  // namespace spiketune::test
