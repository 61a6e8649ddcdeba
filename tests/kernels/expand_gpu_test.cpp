#include <gtest/gtest.h>

#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

struct Shape {
  std::uint64_t rows;
  std::uint32_t k;
  std::uint32_t n;
};

/// Each config, both layouts, W and Y of each type; Y is poisoned before.
void expect_exact(const Shape& shape, unsigned seed) {
  Logical logical = random_spikes({1, shape.rows, shape.k}, 0.2, ValueKind::binary, seed);
  // Tiles without a spike, rows full of them.
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) {
      float& value = logical.values[row * shape.k + k];
      if (row / 64 % 2 == 1 && k / 64 % 3 != 0) value = 0.0f;
      if (row % 41 == 7) value = 1.0f;
    }
  }
  const std::vector<float> weights = integer_weights(std::uint64_t{shape.k} * shape.n, 3);
  const std::vector<double> expected = oracle(logical, RowOrder::time_major, weights, shape.n);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  Buffer bits = allocate(context, spikes.view().bytes());
  copy(context, bits.data(), spikes.view().data, bits.bytes());
  SpikeView view = spikes.view();
  view.data = bits.data();
  view.space = Space::device;
  for (const bool tiles : {false, true}) {
    const auto bitmap = encode_to_fit<Bitmap>(context, view, {tiles});
    for (const DType type : {DType::f16, DType::bf16}) {
      const std::vector<std::byte> w = to_type(weights, type);
      Buffer device_w = allocate(context, w.size());
      copy(context, device_w.data(), w.data(), w.size());
      std::vector<float> y(shape.rows * shape.n);
      Buffer device_y = allocate(context, y.size() * sizeof(float));
      const WeightView weight_view{device_w.data(), type, shape.k, shape.n, Space::device};
      const OutputView output{device_y.data(), DType::f32, shape.rows, shape.n, Space::device};
      for (const Expand& config : Expand::all()) {
        if (!config.why_invalid(bitmap->layout, weight_view, output).empty()) continue;
        SCOPED_TRACE(::testing::Message()
                     << shape.rows << " x " << shape.k << " x " << shape.n << ", tiles " << tiles
                     << ", " << to_string(type) << ", config " << config.tile_m << " x "
                     << config.tile_n << " / " << config.split);
        fill(context, device_y.data(), 0xff, device_y.bytes());
        spmm(context, *bitmap, weight_view, output, config, {});
        copy(context, y.data(), device_y.data(), device_y.bytes());
        synchronize(context);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < y.size(); ++i) wrong += y[i] != expected[i];
        EXPECT_EQ(wrong, 0u);
      }
    }
  }
}

TEST(ExpandOnGpu, IsExactWithEachConfig) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Fewer steps than blocks of a cluster, and as many as W's buffers twice; words that do not come
  // in pairs; strips of one and of two columns of tiles; more columns of tiles than
  // multiprocessors; ends that fill no tile, and no piece of 16 bytes of words.
  unsigned seed = 1;
  for (const Shape& shape :
       {Shape{77, 64, 8}, Shape{300, 200, 136}, Shape{301, 192, 72}, Shape{130, 1000, 264},
        Shape{259, 2112, 72}, Shape{999, 640, 128}, Shape{65, 320, 8584}}) {
    expect_exact(shape, seed++);
  }
}

}  // namespace
}  // namespace spiketune::test
