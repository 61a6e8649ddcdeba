#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/kernels/lif_gradient.hpp"

namespace spiketune::test {
namespace {

TEST(LifGradientOnGpu, IsTheHostsBitForBit) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) GTEST_SKIP() << reason;
  const CudaStream stream;
  for (const LifParams& params : neurons()) {
    for (const SpikeShape shape :
         {SpikeShape{4, 9, 128}, SpikeShape{1, 3, 70}, SpikeShape{6, 5, 40}, SpikeShape{9, 2, 33},
          SpikeShape{2, 0, 8}}) {
      const auto gradient = random_currents(shape, shape.k);
      for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
        for (const bool in_place : {false, true}) {
          ASSERT_EQ(walk_back(stream.context(), shape, params, type, gradient, in_place),
                    walk_back(HostContext{}, shape, params, type, gradient, in_place))
              << to_string(type) << " T " << shape.timesteps << " N " << shape.k;
        }
      }
    }
  }
}

}  // namespace
}  // namespace spiketune::test
