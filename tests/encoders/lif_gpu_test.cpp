#include <cstring>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/tests/encoders/lif.hpp"

namespace spiketune::test {
namespace {

class LifOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

TEST_F(LifOnGpu, IsTheHostsBitForBit) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  for (const LifParams& params : neurons()) {
    for (const SpikeShape shape :
         {SpikeShape{5, 3, 70}, SpikeShape{4, 9, 128}, SpikeShape{3, 2, 300}, SpikeShape{1, 1, 1},
          SpikeShape{2, 0, 8}, SpikeShape{7, 33, 36}}) {
      const auto currents = random_currents(shape, shape.k);
      const auto before = random_currents({1, shape.rows, shape.k}, 7);
      for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
        const auto stored = to_type(currents, type);
        const Buffer input = upload(context, stored.data(), stored.size());
        for (const DType storage : {DType::bit, DType::u8}) {
          for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
            SpikeTensor expected(HostContext{}, shape, storage, ValueKind::binary, order);
            std::vector<float> expected_after(before.size());
            lif(HostContext{}, {stored.data(), shape, type, Space::host}, params,
                {before.data(), expected_after.data()}, expected.mutable_view());
            SpikeTensor spikes(context, shape, storage, ValueKind::binary, order);
            fill(context, spikes.mutable_view().data, 0xff, spikes.view().bytes());
            const Buffer membranes = upload(context, before.data(), before.size() * 4);
            auto* state = static_cast<float*>(membranes.data());
            lif(context, {input.data(), shape, type, Space::device}, params, {state, state},
                spikes.mutable_view());
            const SpikeTensor back = copy_to_host(context, spikes.view());
            std::vector<float> after(before.size());
            copy(context, after.data(), state, after.size() * 4);
            synchronize(context);
            ASSERT_EQ(after, expected_after);
            if (shape.elements() == 0) continue;
            ASSERT_EQ(std::memcmp(back.view().data, expected.view().data, expected.view().bytes()),
                      0)
                << to_string(type) << " " << to_string(storage) << " K " << shape.k;
          }
        }
      }
    }
  }
}

TEST_F(LifOnGpu, FiresIntoCsr) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeShape shape{4, 37, 200};
  const auto currents = random_currents(shape, 3);
  const Buffer input = upload(context, currents.data(), currents.size() * 4);
  const CurrentView view{input.data(), shape, DType::f32, Space::device};
  const EncodedLayout layout{shape, RowOrder::token_major, ValueKind::binary, DType::bit};
  Encoded<Csr> csr(context, Csr::plan(layout, {}, Csr::max_capacity(layout, {})));
  const Buffer workspace = allocate(context, lif_encode_workspace_bytes(context, view, *csr));
  lif_encode(context, view, spikingjelly_lif(), {}, *csr, workspace.workspace());
  SpikeTensor spikes(context, shape, DType::u8, ValueKind::binary);
  decode(context, *csr, spikes.mutable_view());
  const SpikeTensor back = copy_to_host(context, spikes.view());
  SpikeTensor expected(HostContext{}, shape, DType::u8, ValueKind::binary);
  lif(HostContext{}, {currents.data(), shape, DType::f32, Space::host}, spikingjelly_lif(), {},
      expected.mutable_view());
  EXPECT_EQ(std::memcmp(back.view().data, expected.view().data, expected.view().bytes()), 0);
}

}  // namespace
}  // namespace spiketune::test
