#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/tests/kernels/spmm_lif.hpp"

namespace spiketune::test {
namespace {

class SpmmLifOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

TEST_F(SpmmLifOnGpu, IsTheHostsBitForBit) {
  const CudaStream stream;
  for (const Layer& layer : layers()) {
    const LayerData data(layer);
    ASSERT_EQ(data.run(stream.context()), data.run(HostContext{})) << describe(layer);
  }
}

TEST_F(SpmmLifOnGpu, MakesManyTilesABlock) {
  if (small_tests()) GTEST_SKIP() << "SPIKETUNE_SMALL_TESTS";
  const CudaStream stream;
  RowOrder order = RowOrder::time_major;
  DType type = DType::f16;
  for (const std::uint32_t steps : {1u, 1u, 2u, 2u, 4u, 4u, 4u, 4u, 8u, 8u, 5u, 5u}) {
    Layer layer{{steps, 18000 / steps + 3, 200}, 648, spikingjelly_lif(2.0f, true, 0.5f)};
    layer.order = order;
    layer.weights = type;
    layer.width = 0.25f;
    type = type == DType::f16 ? DType::s8 : DType::f16;
    if (type == DType::f16) {
      order = order == RowOrder::time_major ? RowOrder::token_major : RowOrder::time_major;
    }
    const LayerData data(layer);
    ASSERT_EQ(data.run(stream.context()), data.run(HostContext{})) << describe(layer);
  }
}

TEST_F(SpmmLifOnGpu, RefusesWhatItCannotTake) {
  const CudaStream stream;
  EXPECT_THROW(static_cast<void>(LayerData({{4, 5, 64}, 12, {}}).run(stream.context())), Error);
  EXPECT_THROW(static_cast<void>(LayerData({{4, 5, 64}, 16, {}, DType::f32}).run(stream.context())),
               Error);
}

}  // namespace
}  // namespace spiketune::test
