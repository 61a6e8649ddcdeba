#include "spiketune/kernels/union_mma.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/encoders/cvs.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

struct Shape {
  std::uint64_t rows;
  std::uint32_t k;
  std::uint32_t n;
};

/// Columns of one class mod 8 more often than others, empty and full rows, empty groups of rows.
Logical uneven_spikes(const Shape& shape, unsigned seed) {
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

/// With each config, W and Y of each type.
template <class Format>
void expect_exact(const Shape& shape, const Logical& logical, const typename Format::Params& params,
                  const std::vector<float>& weights, const std::vector<double>& expected) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  Buffer bits = allocate(context, spikes.view().bytes());
  copy(context, bits.data(), spikes.view().data, bits.bytes());
  SpikeView view = spikes.view();
  view.data = bits.data();
  view.space = Space::device;
  const auto encoded =
      encode_to_fit<Format>(context, view, params, EncodeOptions{RowOrder::time_major, 0.001, {}});
  for (const DType type : {DType::f16, DType::bf16}) {
    const std::vector<std::byte> w = to_type(weights, type);
    Buffer device_w = allocate(context, w.size());
    copy(context, device_w.data(), w.data(), w.size());
    std::vector<float> y(shape.rows * shape.n);
    Buffer device_y = allocate(context, y.size() * sizeof(float));
    const WeightView weight_view{device_w.data(), type, shape.k, shape.n, Space::device};
    const OutputView output{device_y.data(), DType::f32, shape.rows, shape.n, Space::device};
    for (const UnionMma& config : UnionMma::all()) {
      if (!config.why_invalid(encoded->layout, weight_view, output).empty()) continue;
      SCOPED_TRACE(::testing::Message()
                   << Format::name << ", K " << shape.k << ", N " << shape.n << ", columns "
                   << config.columns << ", " << to_string(type));
      fill(context, device_y.data(), 0xff, device_y.bytes());
      Buffer workspace =
          allocate(context, spmm_workspace_bytes(context, *encoded, weight_view, output, config));
      spmm(context, *encoded, weight_view, output, config,
           {static_cast<std::byte*>(workspace.data()), workspace.bytes()});
      copy(context, y.data(), device_y.data(), device_y.bytes());
      synchronize(context);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < y.size(); ++i) wrong += y[i] != expected[i];
      EXPECT_EQ(wrong, 0u);
    }
  }
}

void expect_exact(const Shape& shape, const Logical& logical) {
  const std::vector<float> weights = integer_weights(std::uint64_t{shape.k} * shape.n, 6);
  const std::vector<double> expected = oracle(logical, RowOrder::time_major, weights, shape.n);
  for (const int vector : {4, 8, 16}) {
    SCOPED_TRACE(::testing::Message() << "vector " << vector);
    expect_exact<Cvs>(shape, logical, {vector}, weights, expected);
  }
  for (const int block : {8, 16, 32, 64}) {
    SCOPED_TRACE(::testing::Message() << "block " << block);
    expect_exact<Bsr>(shape, logical, {block}, weights, expected);
  }
}

TEST(UnionMmaOnGpu, IsExactForUnevenColumnsAndAnyK) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Slabs of 64 and of 32 columns alone; rows of W without room; rows that do not fill a unit.
  for (const Shape& shape : {Shape{75, 203, 72}, Shape{41, 2011, 40}, Shape{70, 4099, 8}}) {
    expect_exact(shape, uneven_spikes(shape, 5));
  }
}

TEST(UnionMmaOnGpu, IsExactForFewSpikesWhoseWorkspaceFollowsTheirNumber) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const Shape shape{150, 4099, 8};
  Logical spikes = random_spikes({1, shape.rows, shape.k}, 0.001, ValueKind::binary, 8);
  for (std::uint32_t k = 0; k < shape.k; k += 8) spikes.values[35 * shape.k + k] = 1.0f;
  expect_exact(shape, spikes);
}

}  // namespace
}  // namespace spiketune::test
