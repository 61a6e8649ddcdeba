#include "spiketune/encoders/features.hpp"

#include <cstddef>
#include <random>
#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

// Ragged shapes, long rows in several pieces, padding bits that are not zero, poisoned memory.
TEST(FeaturesOnGpu, AreThoseOfTheHost) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  const CudaContext context = stream.context();
  const Buffer memory = allocate(context, sizeof(Features));
  auto* on_device = static_cast<Features*>(memory.data());
  std::mt19937 random(3);
  for (const SpikeShape shape :
       {SpikeShape{1, 1, 1}, SpikeShape{3, 51, 333}, SpikeShape{5, 13, 576},
        SpikeShape{4, 300, 128}, SpikeShape{2, 9, 4224}, SpikeShape{1, 20, 5000},
        SpikeShape{1, 70, 0}, SpikeShape{2, 40, 100}}) {
    std::vector<std::uint32_t> words(shape.m() * ceil_div(shape.k, 32));
    for (std::uint32_t& word : words) {
      word = static_cast<std::uint32_t>(random());
      if (word % 3 != 0) word &= static_cast<std::uint32_t>(random() & random());
    }
    for (const RowOrder from : {RowOrder::time_major, RowOrder::token_major}) {
      for (const RowOrder to : {RowOrder::time_major, RowOrder::token_major}) {
        SpikeView spikes{words.data(), shape, DType::bit, ValueKind::binary, from, Space::host};
        Features expected;
        measure_features(HostContext{2}, spikes, to, &expected);
        const SpikeTensor input = copy_of(context, spikes);
        fill(context, on_device, 0xcd, sizeof(Features));
        measure_features(context, input.view(), to, on_device);
        Features features;
        copy(context, &features, on_device, sizeof(Features));
        synchronize(context);
        EXPECT_EQ(features, expected) << shape.timesteps << ' ' << shape.rows << ' ' << shape.k;
      }
    }
  }
}

}  // namespace
}  // namespace spiketune::test
