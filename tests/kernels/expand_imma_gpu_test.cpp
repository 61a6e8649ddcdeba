#include <gtest/gtest.h>

#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

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
    if (!too_large(shape)) expect_exact_bitmaps<ExpandImma>(shape, seed++);
  }
}

}  // namespace
}  // namespace spiketune::test
