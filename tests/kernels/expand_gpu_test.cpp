#include <gtest/gtest.h>

#include <string>

#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/bytes.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/bytes.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

/// Each config, both layouts, and bytes.
void expect_exact(const SpmmShape& shape, unsigned seed) {
  Logical logical = random_spikes({1, shape.rows, shape.k}, 0.2, ValueKind::binary, seed);
  // Tiles without a spike, rows full of them.
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) {
      float& value = logical.values[row * shape.k + k];
      if (row / 64 % 2 == 1 && k / 64 % 3 != 0) value = 0.0f;
      if (row % 41 == 7) value = 1.0f;
    }
  }
  const ExactProduct product(logical, shape.n, 3);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::bit, ValueKind::binary, RowOrder::time_major).view());
  for (const bool tiles : {false, true}) {
    const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view(), {tiles});
    expect_exact_by_each<Expand>(context, *bitmap, product, [&](const Expand& config) {
      return std::to_string(config.tile_m) + " x " + std::to_string(config.tile_n) + " / " +
             std::to_string(config.split) + (tiles ? ", tiles" : "");
    });
  }
  if (shape.k % 16 != 0) return;
  const auto bytes = encode_to_fit<Bytes>(context, spikes.view(), {});
  expect_exact_by_each<ExpandBytes>(context, *bytes, product, [](const ExpandBytes& config) {
    return "bytes, " + std::to_string(config.tile_m) + " x " + std::to_string(config.tile_n);
  });
}

TEST(ExpandOnGpu, IsExactWithEachConfig) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Fewer steps than blocks of a cluster, and as many as W's buffers twice; words that do not come
  // in pairs; strips of one and of two columns of tiles; more columns of tiles than
  // multiprocessors; ends that fill no tile, and no piece of 16 bytes of words.
  unsigned seed = 1;
  for (const SpmmShape& shape :
       {SpmmShape{77, 64, 8}, SpmmShape{300, 200, 136}, SpmmShape{301, 192, 72},
        SpmmShape{130, 1000, 264}, SpmmShape{259, 2112, 72}, SpmmShape{999, 640, 128},
        SpmmShape{65, 320, 8584}}) {
    if (!too_large(shape)) expect_exact(shape, seed++);
  }
}

}  // namespace
}  // namespace spiketune::test
