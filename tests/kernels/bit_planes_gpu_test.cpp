#include <gtest/gtest.h>

#include <string>

#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

/// Bitmaps in rows and in tiles.
void expect_exact(const SpmmShape& shape, unsigned seed) {
  const Logical logical = random_spikes({1, shape.rows, shape.k}, 0.2, ValueKind::binary, seed);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::bit, ValueKind::binary, RowOrder::time_major).view());
  for (const bool tiles : {false, true}) {
    const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view(), {tiles});
    expect_exact_quantised<BitPlanes>(
        context, *bitmap, logical, shape.n, seed, [&](const BitPlanes& config) {
          return "tiles " + std::to_string(tiles) + ", config " + std::to_string(config.tile_m) +
                 " x " + std::to_string(config.tile_n);
        });
  }
}

TEST(BitPlanesOnGpu, IsExactWithEachConfig) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Steps that end within one, more of them than buffers, several tiles of a block; rows and
  // columns that no tile divides; K and N that only the kernel before Hopper takes.
  unsigned seed = 1;
  for (const SpmmShape& shape :
       {SpmmShape{77, 128, 8}, SpmmShape{300, 256, 136}, SpmmShape{301, 640, 200},
        SpmmShape{1055, 768, 1032}, SpmmShape{259, 1024, 72}, SpmmShape{130, 1408, 264},
        SpmmShape{65, 2048, 64}, SpmmShape{520, 2304, 328}, SpmmShape{70, 3072, 600},
        SpmmShape{2000, 4096, 264}, SpmmShape{20000, 128, 648}, SpmmShape{65, 384, 9000},
        SpmmShape{130, 1000, 264}, SpmmShape{70, 256, 9}, SpmmShape{200, 4224, 40}}) {
    if (!too_large(shape)) expect_exact(shape, seed++);
  }
}

}  // namespace
}  // namespace spiketune::test
