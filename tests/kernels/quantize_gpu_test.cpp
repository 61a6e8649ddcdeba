#include "spiketune/kernels/quantize.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

TEST(QuantizeOnGpu, IsTheHosts) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  const CudaContext context = stream.context();
  constexpr std::uint32_t k = 77;
  constexpr std::uint32_t n = 133;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> w(k * n);
  for (float& value : w) value = normal(random);
  Buffer device = allocate(context, w.size() * sizeof(float));
  copy(context, device.data(), w.data(), device.bytes());
  synchronize(context);
  for (const DType type : {DType::s8, DType::s4, DType::e4m3}) {
    const QuantisedWeights expected =
        quantize(HostContext{2}, {w.data(), DType::f32, k, n, Space::host}, type);
    const QuantisedWeights got =
        quantize(context, {device.data(), DType::f32, k, n, Space::device}, type);
    std::vector<std::byte> integers(got.view.bytes());
    std::vector<float> scales(n);
    std::vector<float> values(w.size());
    Buffer back = allocate(context, device.bytes());
    dequantize(context, got.view, back.data(), DType::f32);
    copy(context, integers.data(), got.view.data, integers.size());
    copy(context, scales.data(), got.view.scales, n * sizeof(float));
    copy(context, values.data(), back.data(), back.bytes());
    synchronize(context);
    EXPECT_EQ(std::memcmp(integers.data(), expected.view.data, integers.size()), 0);
    EXPECT_EQ(std::memcmp(scales.data(), expected.view.scales, n * sizeof(float)), 0);
    EXPECT_NEAR(got.relative_error, expected.relative_error, 1e-9);
    EXPECT_NEAR(got.largest_error, expected.largest_error, 1e-9);
    std::vector<float> host_values(w.size());
    dequantize(HostContext{1}, expected.view, host_values.data(), DType::f32);
    EXPECT_EQ(values, host_values);
  }
  w[n + 5] = std::numeric_limits<float>::quiet_NaN();
  copy(context, device.data(), w.data(), device.bytes());
  EXPECT_THROW(static_cast<void>(
                   quantize(context, {device.data(), DType::f32, k, n, Space::device}, DType::s8)),
               Error);
}

}  // namespace
}  // namespace spiketune::test
