#include "spiketune/kernels/expand_imma.hpp"

#include <gtest/gtest.h>

namespace spiketune::test {
namespace {

std::string why_invalid(const ExpandImma& config, std::uint32_t k) {
  const EncodedLayout layout{{1, 256, k}};
  const WeightView weights{nullptr, DType::s8, k, 4096, Space::device};
  const OutputView output{nullptr, DType::f16, 256, 4096, Space::device};
  return config.why_invalid(layout, weights, output);
}

TEST(ExpandImma, SaysWhichTilesItHas) {
  for (const ExpandImma& config : ExpandImma::all()) EXPECT_EQ(why_invalid(config, 768), "");
  EXPECT_NE(why_invalid({256, 64}, 768), "");
  EXPECT_NE(why_invalid({128, 256}, 768), "");
  EXPECT_NE(why_invalid({0, 256}, 768), "");
  EXPECT_NE(why_invalid({32, 64}, 768), "");
}

TEST(ExpandImma, SaysOfWhichWeightsStripsHaveNoRoom) {
  const std::pair<int, std::uint32_t> most[] = {{64, 2048}, {128, 1280}, {256, 768}};
  for (const auto& [tile_n, k] : most) {
    EXPECT_EQ(why_invalid({64, tile_n}, k), "") << tile_n;
    EXPECT_NE(why_invalid({64, tile_n}, k + 64), "") << tile_n;
  }
  EXPECT_EQ(why_invalid({64, 64}, 700), "");  // 22 words a row
  EXPECT_NE(why_invalid({64, 64}, 650), "");  // 21
}

}  // namespace
}  // namespace spiketune::test
