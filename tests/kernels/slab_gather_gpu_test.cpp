#include "spiketune/kernels/slab_gather.hpp"

#include <gtest/gtest.h>

#include <string>

#include "spiketune/encoders/csr.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

/// Rows of many lengths, all columns of some rows and none of others.
Logical uneven_spikes(const SpmmShape& shape, unsigned seed) {
  Logical spikes = random_spikes({1, shape.rows, shape.k}, 0.03, ValueKind::binary, seed);
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) {
      float& value = spikes.values[row * shape.k + k];
      if (row % 11 == 3) value = 0.0f;
      if (row % 17 == 5) value = 1.0f;
      if (row % 13 == 7 && k < shape.k / 2) value = 0.0f;  // one half of the slab only
    }
  }
  return spikes;
}

void expect_exact(const SpmmShape& shape, const Logical& logical) {
  const ExactProduct product(logical, shape.n, 6);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::bit, ValueKind::binary, RowOrder::time_major).view());
  const auto csr = encode_to_fit<Csr>(context, spikes.view());
  expect_exact_by_each<SlabGather>(context, *csr, product, [](const SlabGather& config) {
    return "columns " + std::to_string(config.columns);
  });
}

TEST(SlabGatherOnGpu, IsExactForUnevenRowsAndAnyK) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Few and many slabs; K within shared memory and beyond; rows that do not fill a window.
  for (const SpmmShape& shape :
       {SpmmShape{75, 320, 72}, SpmmShape{70, 203, 776}, SpmmShape{41, 4099, 40}}) {
    expect_exact(shape, uneven_spikes(shape, 5));
  }
}

TEST(SlabGatherOnGpu, IsExactForFewSpikesWhoseWorkspaceFollowsTheirNumber) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const SpmmShape shape{150, 4099, 40};
  Logical spikes = random_spikes({1, shape.rows, shape.k}, 0.001, ValueKind::binary, 8);
  for (std::uint32_t k = 0; k < shape.k; k += 5) spikes.values[35 * shape.k + k] = 1.0f;
  expect_exact(shape, spikes);
}

}  // namespace
}  // namespace spiketune::test
