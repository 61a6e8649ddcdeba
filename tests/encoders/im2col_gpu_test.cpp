#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/encoders/im2col.hpp"

namespace spiketune::test {
namespace {

TEST(Im2colOnGpu, IsTheHosts) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  for (const Images& images : all_images()) {
    const Encoded<Bitmap> bitmap = bitmap_of(images);
    ASSERT_EQ(windows_on(stream.context(), images, *bitmap),
              windows_on(HostContext{}, images, *bitmap))
        << images.convolution.height << " x " << images.convolution.width;
  }
}

}  // namespace
}  // namespace spiketune::test
