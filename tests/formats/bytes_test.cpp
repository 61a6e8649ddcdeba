#include "spiketune/formats/bytes.hpp"

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/bytes.hpp"
#include "spiketune/kernels/bytes.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

//   row 0   . 1 . .
//   row 1   1 . . 1
const Logical example{{2, 1, 4}, {0, 1, 0, 0, 1, 0, 0, 1}};

SpikeTensor example_as(DType storage, RowOrder order = RowOrder::time_major) {
  return store(example, storage, ValueKind::binary, order);
}

Bytes plan_for(const SpikeView& spikes, RowOrder order = RowOrder::time_major) {
  return Bytes::plan(layout_of(spikes, order), {});
}

TEST(Bytes, AreTheSpikesThatTheyView) {
  const SpikeTensor spikes = example_as(DType::u8);
  Bytes bytes = plan_for(spikes.view());
  EncodeStatus status{};
  bytes.status = &status;
  ASSERT_TRUE(view(spikes.view(), bytes, Space::host));
  EXPECT_EQ(bytes.values.data, spikes.view().data);
  count(HostContext{1}, bytes);
  EXPECT_EQ(status.nnz, 3u);
  EXPECT_EQ(status.first_invalid, EncodeStatus::none_invalid);
  EXPECT_NO_THROW(bytes.validate(status));
}

TEST(Bytes, ViewOnlyWhatLiesAsTheyWant) {
  for (const DType storage : {DType::bit, DType::u2, DType::f16, DType::f32}) {
    const SpikeTensor spikes = example_as(storage);
    Encoded<Bytes> bytes(HostContext{1}, plan_for(spikes.view()));
    EXPECT_FALSE(view(spikes.view(), *bytes, Space::host)) << to_string(storage);
  }
  const SpikeTensor spikes = example_as(DType::u8);
  Encoded<Bytes> reordered(HostContext{1}, plan_for(spikes.view(), RowOrder::token_major));
  EXPECT_FALSE(view(spikes.view(), *reordered, Space::host));
  alignas(16) std::uint8_t memory[32] = {};
  SpikeView unaligned = spikes.view();
  unaligned.data = memory + 8;
  Encoded<Bytes> bytes(HostContext{1}, plan_for(unaligned));
  EXPECT_FALSE(view(unaligned, *bytes, Space::host));
}

TEST(Bytes, CountNamesTheFirstInvalidValue) {
  SpikeTensor spikes = example_as(DType::u8);
  auto* values = static_cast<std::uint8_t*>(spikes.mutable_view().data);
  values[5] = 2;
  values[6] = 255;
  Encoded<Bytes> bytes(HostContext{1}, plan_for(spikes.view()));
  ASSERT_TRUE(view(spikes.view(), *bytes, Space::host));
  count(HostContext{1}, *bytes);
  EXPECT_EQ(bytes->status->first_invalid, 5u);
  EXPECT_THROW(bytes->validate(*bytes->status), Error);
}

TEST(Bytes, RefuseGradedSpikes) {
  const SpikeTensor spikes = store(example, DType::f32, ValueKind::graded, RowOrder::time_major);
  EXPECT_THROW(static_cast<void>(plan_for(spikes.view())), Error);
}

TEST(Bytes, SayWhatTheTensorCoresCannotMultiply) {
  alignas(16) const std::byte aligned[16] = {};
  const auto why = [&](std::uint32_t k, DType weights, int tile_m = 0, int tile_n = 0) {
    const EncodedLayout layout{{1, 64, k}, RowOrder::time_major, ValueKind::binary, DType::bit};
    const WeightView w{aligned, weights, k, 64, Space::device};
    const OutputView y{const_cast<std::byte*>(aligned), DType::f32, 64, 64, Space::device};
    return ExpandBytes{tile_m, tile_n}.why_invalid(layout, w, y);
  };
  EXPECT_EQ(why(80, DType::f16), "");
  EXPECT_EQ(why(72, DType::f16), "K must be a multiple of 16");
  EXPECT_EQ(why(80, DType::f32), "W must be f16 or bf16");
  EXPECT_EQ(why(80000, DType::f16), "");
  EXPECT_EQ(why(80000, DType::f16, 128, 128), "");
  EXPECT_EQ(why(1792, DType::bf16, 64), "");
  EXPECT_EQ(why(896, DType::bf16, 64, 128), "");
  const std::string too_long =
      "with tile_m 64 all rows of W lie in shared memory: K must be at most 1792, or 896 where "
      "tile_n is 128";
  EXPECT_EQ(why(1808, DType::f16, 64), too_long);
  EXPECT_EQ(why(912, DType::f16, 64, 128), too_long);
  EXPECT_EQ(why(80, DType::f16, 256), "tile_m must be 0, 64 or 128");
  EXPECT_EQ(why(80, DType::f16, 128, 256), "tile_n must be 0, 64 or 128");
}

/// A plan may encode what lies elsewhere, or otherwise, the next time.
TEST(Bytes, FollowEachEncodeOfAPlan) {
  const auto plugin = adapt<Bytes, HostContext>();
  const SpikeTensor bytes = example_as(DType::u8);
  const SpikeTensor halves = store({example.shape, {1, 1, 1, 1, 0, 0, 0, 0}}, DType::f16,
                                   ValueKind::binary, RowOrder::time_major);
  const auto encoding = plugin->plan(HostContext{1}, layout_of(bytes.view(), RowOrder::time_major),
                                     fields_to_json(Bytes::Params{}), 1.0, {});
  const std::vector<float> w(4, 1.0f);
  std::vector<float> y(2);
  const auto multiply =
      encoding->bind_spmm("rows", fields_to_json(Rows{}), {w.data(), DType::f32, 4, 1, Space::host},
                          {y.data(), DType::f32, 2, 1, Space::host});
  const auto sums = [&](const SpikeTensor& spikes, bool views, std::uint64_t nnz) {
    encoding->bind_encode(spikes.view())();
    EXPECT_EQ(encoding->views(), views);
    EXPECT_EQ(encoding->status().nnz, nnz);
    multiply();
    return y;
  };
  EXPECT_EQ(sums(bytes, true, 3), (std::vector<float>{1, 2}));
  EXPECT_EQ(sums(halves, false, 4), (std::vector<float>{4, 0}));
  EXPECT_EQ(sums(bytes, true, 3), (std::vector<float>{1, 2}));
  const auto* values = static_cast<const std::uint8_t*>(bytes.view().data);
  EXPECT_EQ(values[1], 1) << "an encode wrote into what was viewed";
}

}  // namespace
}  // namespace spiketune::test
