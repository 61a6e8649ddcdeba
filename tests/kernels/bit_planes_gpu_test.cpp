#include <gtest/gtest.h>

#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

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
    if (!too_large(shape)) expect_exact_bitmaps<BitPlanes>(shape, seed++);
  }
}

}  // namespace
}  // namespace spiketune::test
