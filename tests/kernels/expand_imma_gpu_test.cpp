#include <gtest/gtest.h>

#include <vector>

#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

/// Each config, both layouts, W of each type, with scales and without; Y is poisoned before.
void expect_exact(const SpmmShape& shape, unsigned seed) {
  const Logical logical = random_spikes({1, shape.rows, shape.k}, 0.2, ValueKind::binary, seed);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::bit, ValueKind::binary, RowOrder::time_major).view());
  std::vector<float> scales(shape.n);
  for (std::uint32_t n = 0; n < shape.n; ++n) scales[n] = 1.0f / static_cast<float>(1 << n % 4);
  const Buffer device_scales = upload(context, scales.data(), scales.size() * sizeof(float));
  for (const DType type : {DType::s8, DType::s4, DType::e4m3}) {
    const std::vector<float> weights =
        quantised_weights(std::uint64_t{shape.k} * shape.n, type, seed);
    const std::vector<double> sums = oracle(logical, RowOrder::time_major, weights, shape.n);
    const std::vector<std::byte> bytes = to_type(weights, type);
    const Buffer w = upload(context, bytes.data(), bytes.size());
    WeightView weight_view{w.data(), type, shape.k, shape.n, Space::device};
    const bool scaled = type != DType::s4;
    if (scaled) weight_view.scales = static_cast<const float*>(device_scales.data());
    std::vector<float> y(shape.rows * shape.n);
    const Buffer device_y = allocate(context, y.size() * sizeof(float));
    const OutputView output{device_y.data(), DType::f32, shape.rows, shape.n, Space::device};
    for (const bool tiles : {false, true}) {
      const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view(), {tiles});
      for (const ExpandImma& config : ExpandImma::all()) {
        if (!config.why_invalid(bitmap->layout, weight_view, output).empty()) continue;
        SCOPED_TRACE(::testing::Message()
                     << shape.rows << " x " << shape.k << " x " << shape.n << ", tiles " << tiles
                     << ", " << to_string(type) << ", config " << config.tile_m << " x "
                     << config.tile_n);
        const Buffer workspace =
            allocate(context, spmm_workspace_bytes(context, *bitmap, weight_view, output, config));
        prepare(context, weight_view, config, workspace.workspace());
        fill(context, device_y.data(), 0xff, device_y.bytes());
        spmm(context, *bitmap, weight_view, output, config, workspace.workspace());
        copy(context, y.data(), device_y.data(), device_y.bytes());
        synchronize(context);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
          wrong += y[i] != sums[i] * (scaled ? scales[i % shape.n] : 1.0f);
        }
        EXPECT_EQ(wrong, 0u);
      }
    }
  }
}

TEST(ExpandImmaOnGpu, IsExactWithEachConfig) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Words in boxes, of more than 1,024 columns in two, and as they lie, at an end that is no piece
  // of 16 bytes; the most K of each tile_n; more strips of a block than warpgroups; more columns of
  // tiles than multiprocessors; odd numbers of words; many tiles of a block whose words are one
  // box.
  unsigned seed = 1;
  for (const SpmmShape& shape :
       {SpmmShape{77, 64, 8}, SpmmShape{300, 256, 136}, SpmmShape{301, 704, 200},
        SpmmShape{1055, 768, 1032}, SpmmShape{259, 1280, 72}, SpmmShape{130, 1216, 264},
        SpmmShape{65, 2048, 64}, SpmmShape{9001, 128, 520}, SpmmShape{65, 320, 9000},
        SpmmShape{130, 1000, 264}, SpmmShape{200, 2112, 40}, SpmmShape{20000, 128, 648}}) {
    expect_exact(shape, seed++);
  }
}

}  // namespace
}  // namespace spiketune::test
