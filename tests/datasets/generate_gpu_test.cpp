#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/datasets/spike_source.hpp"

namespace spiketune::test {
namespace {

class GenerateOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

TEST_F(GenerateOnGpu, IsTheHostsBitForBit) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  struct Target {
    DType storage;
    ValueKind kind;
  };
  for (const Pattern pattern :
       {Pattern::bernoulli, Pattern::channel_rates, Pattern::temporal, Pattern::silent,
        Pattern::block, Pattern::column_vector, Pattern::power_law_rows, Pattern::layer}) {
    for (const Target target :
         {Target{DType::bit, ValueKind::binary}, Target{DType::u2, ValueKind::graded2},
          Target{DType::u8, ValueKind::binary}, Target{DType::f16, ValueKind::graded},
          Target{DType::bf16, ValueKind::graded}, Target{DType::f32, ValueKind::graded}}) {
      for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
        for (const SpikeShape shape : {SpikeShape{3, 50, 77}, SpikeShape{4, 256, 512}}) {
          PatternSpec spec;
          spec.pattern = pattern;
          spec.density = 0.2;
          spec.silent_neurons = 0.3;
          spec.correlation = 0.4;
          spec.seed = 11;
          SpikeTensor host(HostContext{}, shape, target.storage, target.kind, order);
          generate(HostContext{}, spec, host.mutable_view());
          SpikeTensor device(context, shape, target.storage, target.kind, order);
          fill(context, device.mutable_view().data, 0xff, device.view().bytes());
          generate(context, spec, device.mutable_view());
          const SpikeTensor back = copy_to_host(context, device.view());
          EXPECT_EQ(std::memcmp(back.view().data, host.view().data, host.view().bytes()), 0)
              << to_string(pattern) << " " << to_string(target.storage) << " " << to_string(order);
        }
      }
    }
  }
}

// 2^33 elements and a little, as bits: the last rows must be those of the host.
TEST_F(GenerateOnGpu, CountsBeyondFourBillion) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeShape shape{2, 65537, 65536};
  PatternSpec spec;
  spec.density = 0.01;
  SpikeTensor device(context, shape, DType::bit, ValueKind::binary);
  generate(context, spec, device.mutable_view());
  const std::uint64_t row_words = shape.k / 32;
  std::vector<std::uint32_t> last(row_words);
  copy(context, last.data(),
       static_cast<const std::uint32_t*>(device.view().data) + (shape.m() - 1) * row_words,
       row_words * 4);
  synchronize(context);
  const PreparedPattern prepared = prepare(spec, shape, ValueKind::binary);
  for (std::uint32_t w = 0; w < row_words; ++w) {
    ASSERT_EQ(last[w], draw_word(prepared.source, 1, shape.rows - 1, w, 0)) << w;
  }
}

}  // namespace
}  // namespace spiketune::test
