#include "spiketune/kernels/slab_gather.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

struct Shape {
  std::uint64_t rows;
  std::uint32_t k;
  std::uint32_t n;
};

/// Rows of many lengths, all columns of some rows and none of others.
Logical uneven_spikes(const Shape& shape, unsigned seed) {
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

/// With each config, W and Y of each type.
void expect_exact(const Shape& shape, const Logical& logical) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  Buffer bits = allocate(context, spikes.view().bytes());
  copy(context, bits.data(), spikes.view().data, bits.bytes());
  SpikeView view = spikes.view();
  view.data = bits.data();
  view.space = Space::device;
  const auto csr = encode_to_fit<Csr>(context, view);
  const std::vector<float> weights = integer_weights(std::uint64_t{shape.k} * shape.n, 6);
  const std::vector<double> expected = oracle(logical, RowOrder::time_major, weights, shape.n);
  for (const DType type : {DType::f16, DType::bf16}) {
    const std::vector<std::byte> w = to_type(weights, type);
    Buffer device_w = allocate(context, w.size());
    copy(context, device_w.data(), w.data(), w.size());
    std::vector<float> y(shape.rows * shape.n);
    Buffer device_y = allocate(context, y.size() * sizeof(float));
    const WeightView weight_view{device_w.data(), type, shape.k, shape.n, Space::device};
    const OutputView output{device_y.data(), DType::f32, shape.rows, shape.n, Space::device};
    for (const SlabGather& config : SlabGather::all()) {
      if (!config.why_invalid(csr->layout, weight_view, output).empty()) continue;
      SCOPED_TRACE(::testing::Message() << "K " << shape.k << ", N " << shape.n << ", columns "
                                        << config.columns << ", " << to_string(type));
      fill(context, device_y.data(), 0xff, device_y.bytes());
      Buffer workspace =
          allocate(context, spmm_workspace_bytes(context, *csr, weight_view, output, config));
      spmm(context, *csr, weight_view, output, config,
           {static_cast<std::byte*>(workspace.data()), workspace.bytes()});
      copy(context, y.data(), device_y.data(), device_y.bytes());
      synchronize(context);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < y.size(); ++i) wrong += y[i] != expected[i];
      EXPECT_EQ(wrong, 0u);
    }
  }
}

TEST(SlabGatherOnGpu, IsExactForUnevenRowsAndAnyK) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  // Few and many slabs; K within shared memory and beyond; rows that do not fill a window.
  for (const Shape& shape : {Shape{75, 320, 72}, Shape{70, 203, 776}, Shape{41, 4099, 40}}) {
    expect_exact(shape, uneven_spikes(shape, 5));
  }
}

TEST(SlabGatherOnGpu, IsExactForFewSpikesWhoseWorkspaceFollowsTheirNumber) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const Shape shape{150, 4099, 40};
  Logical spikes = random_spikes({1, shape.rows, shape.k}, 0.001, ValueKind::binary, 8);
  for (std::uint32_t k = 0; k < shape.k; k += 5) spikes.values[35 * shape.k + k] = 1.0f;
  expect_exact(shape, spikes);
}

}  // namespace
}  // namespace spiketune::test
