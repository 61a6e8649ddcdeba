#include "spiketune/kernels/union_mma.hpp"

#include <gtest/gtest.h>

#include <string>

#include "spiketune/encoders/bsr.hpp"
#include "spiketune/encoders/cvs.hpp"
#include "spiketune/tests/kernels/configs.hpp"

namespace spiketune::test {
namespace {

/// Columns of one class mod 8 more often than others, empty and full rows, empty groups of rows.
Logical uneven_spikes(const SpmmShape& shape, unsigned seed) {
  Logical spikes = random_spikes({1, shape.rows, shape.k}, 0.03, ValueKind::binary, seed);
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) {
      float& value = spikes.values[row * shape.k + k];
      if (row % 19 == 3 && k % 8 == 5) value = 1.0f;
      if (row % 37 == 5) value = 1.0f;
      if (row % 13 == 7 || row / 16 == 1) value = 0.0f;
    }
  }
  return spikes;
}

template <class Format>
void expect_exact(const CudaContext& context, const SpikeView& spikes,
                  const typename Format::Params& params, const ExactProduct& product) {
  const auto encoded = encode_to_fit<Format>(context, spikes, params,
                                             EncodeOptions{RowOrder::time_major, 0.001, {}});
  expect_exact_by_each<UnionMma>(context, *encoded, product, [](const UnionMma& config) {
    return std::string(Format::name) + ", columns " + std::to_string(config.columns);
  });
}

/// Vectors and blocks of each size, each config.
void expect_exact(const SpmmShape& shape, const Logical& logical) {
  const ExactProduct product(logical, shape.n, 6);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::bit, ValueKind::binary, RowOrder::time_major).view());
  for (const int vector : {4, 8, 16}) {
    SCOPED_TRACE(::testing::Message() << "vector " << vector);
    expect_exact<Cvs>(context, spikes.view(), {vector}, product);
  }
  for (const int block : {8, 16, 32, 64}) {
    SCOPED_TRACE(::testing::Message() << "block " << block);
    expect_exact<Bsr>(context, spikes.view(), {block}, product);
  }
}

TEST(UnionMmaOnGpu, IsExactForUnevenColumnsAndAnyK) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Slabs of 64 and of 32 columns alone; rows of W without room; rows that do not fill a unit.
  for (const SpmmShape& shape :
       {SpmmShape{75, 203, 72}, SpmmShape{41, 2011, 40}, SpmmShape{70, 4099, 8}}) {
    expect_exact(shape, uneven_spikes(shape, 5));
  }
}

TEST(UnionMmaOnGpu, IsExactForFewSpikesWhoseWorkspaceFollowsTheirNumber) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const SpmmShape shape{150, 4099, 8};
  Logical spikes = random_spikes({1, shape.rows, shape.k}, 0.001, ValueKind::binary, 8);
  for (std::uint32_t k = 0; k < shape.k; k += 8) spikes.values[35 * shape.k + k] = 1.0f;
  expect_exact(shape, spikes);
}

}  // namespace
}  // namespace spiketune::test
