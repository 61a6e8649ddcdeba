#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "spiketune/autotune/verify.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/kernels/reference.hpp"

namespace spiketune {
namespace {

/// What verification computes on the device is what it computes on the host.
class VerifyOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

struct Case {
  DType storage;
  ValueKind kind;
  DType weights;
};
constexpr Case cases[] = {{DType::bit, ValueKind::binary, DType::f16},
                          {DType::u2, ValueKind::graded2, DType::bf16},
                          {DType::u8, ValueKind::binary, DType::f32},
                          {DType::f16, ValueKind::graded, DType::f16},
                          {DType::f32, ValueKind::graded, DType::f32}};
constexpr SpikeShape shapes[] = {{1, 1, 1}, {2, 5, 37}, {3, 7, 1030}, {1, 0, 5}, {2, 3, 0}};

SpikeTensor random_tensor(const Case& one, const SpikeShape& shape, RowOrder order,
                          std::uint64_t seed) {
  SpikeTensor spikes(HostContext{}, shape, one.storage, one.kind, order);
  PatternSpec pattern;
  pattern.density = 0.3;
  pattern.seed = seed;
  generate(HostContext{}, pattern, spikes.mutable_view());
  return spikes;
}

TEST_F(VerifyOnGpu, ReferenceIsTheHosts) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  for (const Case& one : cases) {
    for (const SpikeShape& shape : shapes) {
      for (const std::uint32_t n : {1u, 33u, 1100u}) {
        const SpikeTensor host = random_tensor(one, shape, RowOrder::time_major, 1);
        const SpikeTensor device = copy_of(context, host.view());
        const auto w = random_weights(one.weights, shape.k, n, 2);
        const Buffer device_w = allocate(context, w.size());
        copy(context, device_w.data(), w.data(), w.size());
        std::vector<double> expected(shape.m() * n);
        std::vector<double> found(shape.m() * n);
        const Buffer y = allocate(context, found.size() * sizeof(double));
        reference_spmm(HostContext{}, host.view(), RowOrder::token_major,
                       {w.data(), one.weights, shape.k, n, Space::host}, expected.data());
        reference_spmm(context, device.view(), RowOrder::token_major,
                       {device_w.data(), one.weights, shape.k, n, Space::device},
                       static_cast<double*>(y.data()));
        copy(context, found.data(), y.data(), y.bytes());
        synchronize(context);
        EXPECT_EQ(found, expected) << to_string(one.storage) << " " << shape.m() << " " << shape.k;
      }
    }
  }
}

TEST_F(VerifyOnGpu, ComparisonIsTheHosts) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  constexpr std::uint64_t m = 1000;
  constexpr std::uint32_t n = 777;
  std::vector<double> reference(m * n);
  for (std::size_t i = 0; i < reference.size(); ++i) {
    reference[i] = static_cast<double>(i % 513) - 256;
  }
  std::vector<float> y(reference.begin(), reference.end());
  const Buffer device_y = allocate(context, y.size() * sizeof(float));
  const Buffer device_reference = allocate(context, reference.size() * sizeof(double));
  copy(context, device_reference.data(), reference.data(), device_reference.bytes());
  const auto agree = [&] {
    copy(context, device_y.data(), y.data(), device_y.bytes());
    const Comparison host =
        compare(HostContext{}, {y.data(), DType::f32, m, n, Space::host}, reference.data());
    const Comparison device = compare(context, {device_y.data(), DType::f32, m, n, Space::device},
                                      static_cast<const double*>(device_reference.data()));
    EXPECT_EQ(device.worst, host.worst);
    EXPECT_EQ(device.max_error, host.max_error);
    EXPECT_EQ(device.scaled_error, host.scaled_error);
    EXPECT_EQ(device.expected, host.expected);
    return device;
  };
  EXPECT_EQ(agree().worst, Comparison::none);
  y[1234] += 1;
  y[m * n - 1] += 300;
  EXPECT_EQ(agree().worst, m * n - 1);
  y[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(agree().worst, 5u);
}

TEST_F(VerifyOnGpu, FirstDifferenceIsTheHosts) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  for (const Case& one : cases) {
    for (const SpikeShape& shape : shapes) {
      const SpikeTensor a = random_tensor(one, shape, RowOrder::time_major, 1);
      const SpikeTensor b = random_tensor(one, shape, RowOrder::time_major, 2);
      const SpikeTensor device_a = copy_of(context, a.view());
      const SpikeTensor device_b = copy_of(context, b.view());
      EXPECT_EQ(first_difference(context, device_a.view(), device_a.view()), Comparison::none);
      EXPECT_EQ(first_difference(context, device_a.view(), device_b.view()),
                first_difference(HostContext{}, a.view(), b.view()));
    }
  }
}

}  // namespace
}  // namespace spiketune
