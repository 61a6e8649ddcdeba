#include <gtest/gtest.h>

#include <vector>

#include "spiketune/encoders/bytes.hpp"
#include "spiketune/kernels/bytes.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

/// Each config, W of each type, with scales and without, Y in f32 and f16; Y is poisoned before.
void expect_exact(const SpmmShape& shape, ValueKind kind, unsigned seed) {
  const Logical logical = random_spikes({1, shape.rows, shape.k}, 0.1, kind, seed);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::u8, kind, RowOrder::time_major).view());
  const auto bytes = encode_to_fit<Bytes>(context, spikes.view(), {});
  std::vector<float> scales(shape.n);
  for (std::uint32_t n = 0; n < shape.n; ++n) scales[n] = 1.0f / static_cast<float>(1 << n % 4);
  const Buffer device_scales = upload(context, scales.data(), scales.size() * sizeof(float));
  for (const DType type : {DType::s8, DType::s4, DType::e4m3}) {
    const std::vector<float> weights =
        quantised_weights(std::uint64_t{shape.k} * shape.n, type, seed);
    const bool scaled = type != DType::s4;
    std::vector<double> expected = oracle(logical, RowOrder::time_major, weights, shape.n);
    for (std::size_t i = 0; scaled && i < expected.size(); ++i) expected[i] *= scales[i % shape.n];
    const std::vector<std::byte> stored = to_type(weights, type);
    const Buffer w = upload(context, stored.data(), stored.size());
    WeightView weight_view{w.data(), type, shape.k, shape.n, Space::device};
    if (scaled) weight_view.scales = static_cast<const float*>(device_scales.data());
    for (const DType to : {DType::f32, DType::f16}) {
      std::vector<std::byte> y(shape.rows * shape.n * bits_of(to) / 8);
      const Buffer device_y = allocate(context, y.size());
      const OutputView output{device_y.data(), to, shape.rows, shape.n, Space::device};
      for (const ByteMma& config : ByteMma::all()) {
        SCOPED_TRACE(::testing::Message()
                     << shape.rows << " x " << shape.k << " x " << shape.n << ", "
                     << to_string(type) << " to " << to_string(to) << ", tile_n " << config.tile_n);
        ASSERT_EQ(config.why_invalid(bytes->layout, weight_view, output), "");
        const Buffer workspace =
            allocate(context, spmm_workspace_bytes(context, *bytes, weight_view, output, config));
        prepare(context, weight_view, config, workspace.workspace());
        fill(context, device_y.data(), 0xff, device_y.bytes());
        spmm(context, *bytes, weight_view, output, config, workspace.workspace());
        copy(context, y.data(), device_y.data(), device_y.bytes());
        synchronize(context);
        EXPECT_EQ(count_wrong(expected, {y.data(), to, expected.size()}), 0u);
      }
    }
  }
}

TEST(ByteMmaOnGpu, IsExactWithEachConfig) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Less than a step, steps that end within one, more steps than buffers; several tiles of a block,
  // of one step too; rows and columns that no tile of any width divides; rows that TMA does not
  // take.
  unsigned seed = 1;
  for (const SpmmShape& shape :
       {SpmmShape{77, 16, 8}, SpmmShape{300, 272, 136}, SpmmShape{1055, 768, 1032},
        SpmmShape{9001, 112, 520}, SpmmShape{130, 2304, 264}, SpmmShape{65, 320, 9000},
        SpmmShape{40001, 128, 64}, SpmmShape{70, 100, 24}, SpmmShape{70, 37, 9}}) {
    expect_exact(shape, ValueKind::binary, seed++);
  }
  expect_exact({200, 144, 72}, ValueKind::graded2, seed);
}

}  // namespace
}  // namespace spiketune::test
