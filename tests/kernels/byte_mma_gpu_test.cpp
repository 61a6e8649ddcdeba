#include <gtest/gtest.h>

#include <string>

#include "spiketune/encoders/bytes.hpp"
#include "spiketune/kernels/bytes.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

void expect_exact(const SpmmShape& shape, ValueKind kind, unsigned seed) {
  const Logical logical = random_spikes({1, shape.rows, shape.k}, 0.1, kind, seed);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::u8, kind, RowOrder::time_major).view());
  const auto bytes = encode_to_fit<Bytes>(context, spikes.view(), {});
  const int ran = expect_exact_quantised<ByteMma>(
      context, *bytes, logical, shape.n, seed,
      [](const ByteMma& config) { return "tile_n " + std::to_string(config.tile_n); });
  // It takes every shape: three types of W, two of Y.
  EXPECT_EQ(static_cast<std::size_t>(ran), 6 * ByteMma::all().size());
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
    if (!too_large(shape)) expect_exact(shape, ValueKind::binary, seed++);
  }
  expect_exact({200, 144, 72}, ValueKind::graded2, seed);
}

}  // namespace
}  // namespace spiketune::test
