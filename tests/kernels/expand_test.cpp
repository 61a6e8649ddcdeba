#include "spiketune/kernels/expand.hpp"

#include <gtest/gtest.h>

namespace spiketune::test {
namespace {

TEST(Expand, SaysWhatItCannotSplit) {
  const EncodedLayout layout{{1, 256, 4096}};
  const WeightView weights{nullptr, DType::f16, 4096, 4096, Space::device};
  const OutputView output{nullptr, DType::f16, 256, 4096, Space::device};
  EXPECT_EQ((Expand{256, 128, 1}.why_invalid(layout, weights, output)), "");
  EXPECT_EQ((Expand{256, 64, 2}.why_invalid(layout, weights, output)), "");
  EXPECT_NE((Expand{256, 128, 2}.why_invalid(layout, weights, output)), "");
  EXPECT_NE((Expand{128, 64, 2}.why_invalid(layout, weights, output)), "");
  EXPECT_NE((Expand{0, 0, 4}.why_invalid(layout, weights, output)), "");
}

}  // namespace
}  // namespace spiketune::test
