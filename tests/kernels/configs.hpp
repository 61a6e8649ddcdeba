#pragma once
/// \file
/// What the GPU tests of single kernels share: a product by each config that a kernel offers,
/// compared exactly with the oracle.

#include <string>
#include <vector>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

struct SpmmShape {
  std::uint64_t rows;
  std::uint32_t k;
  std::uint32_t n;
};

/// Whether compute-sanitizer would take minutes over it, which SPIKETUNE_SMALL_TESTS leaves out.
inline bool too_large(const SpmmShape& shape) {
  return small_tests() && shape.rows * shape.k * shape.n > 200'000'000;
}

/// Small integers as W [K, N], and the Y [rows, N] that the spikes must give with it.
struct ExactProduct {
  ExactProduct(const Logical& spikes, std::uint32_t columns, unsigned seed)
      : k(spikes.shape.k),
        n(columns),
        weights(integer_weights(std::uint64_t{k} * n, seed)),
        expected(oracle(spikes, RowOrder::time_major, weights, n)) {}

  std::uint32_t k;
  std::uint32_t n;
  std::vector<float> weights;
  std::vector<double> expected;
};

/// Elements of Y that are not what is expected, rounded to their type.
inline std::size_t count_wrong(const std::vector<double>& expected, const AnyArray& y) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float got = y.type == DType::f32 ? y.as<float>()[i] : load_value(y, i);
    wrong += got != rounded(expected[i], y.type);
  }
  return wrong;
}

/// By each config of `Config` that can run, W in f16 and bf16, Y in f32 and as W, full of NaN
/// before. `name(config)` is what a failure calls it.
template <class Config, class Format, class Name>
void expect_exact_by_each(const CudaContext& context, const Format& encoded,
                          const ExactProduct& product, const Name& name) {
  const std::uint64_t rows = encoded.layout.shape.m();
  int ran = 0;
  for (const DType type : {DType::f16, DType::bf16}) {
    const std::vector<std::byte> stored = to_type(product.weights, type);
    const Buffer w_memory = upload(context, stored.data(), stored.size());
    const WeightView weights{w_memory.data(), type, product.k, product.n, Space::device};
    for (const DType to : {DType::f32, type}) {
      std::vector<std::byte> y(product.expected.size() * bits_of(to) / 8);
      const Buffer y_memory = allocate(context, y.size());
      const OutputView output{y_memory.data(), to, rows, product.n, Space::device};
      for (const Config& config : Config::all()) {
        if (!config.why_invalid(encoded.layout, weights, output).empty()) continue;
        SCOPED_TRACE(::testing::Message()
                     << rows << " x " << product.k << " x " << product.n << ", " << to_string(type)
                     << " to " << to_string(to) << ", " << name(config));
        ++ran;
        fill(context, y_memory.data(), 0xff, y_memory.bytes());
        const Buffer workspace =
            allocate(context, spmm_workspace_bytes(context, encoded, weights, output, config));
        spmm(context, encoded, weights, output, config, workspace.workspace());
        copy(context, y.data(), y_memory.data(), y_memory.bytes());
        synchronize(context);
        EXPECT_EQ(count_wrong(product.expected, {y.data(), to, product.expected.size()}), 0u);
      }
    }
  }
  EXPECT_GT(ran, 0) << "no config of " << rows << " x " << product.k << " x " << product.n;
}

/// The same with W in s8 and e4m3 with scales, and in s4 without, Y in f32 and f16. Returns how
/// many products there were.
template <class Config, class Format, class Name>
int expect_exact_quantised(const CudaContext& context, const Format& encoded, const Logical& spikes,
                           std::uint32_t n, unsigned seed, const Name& name) {
  const std::uint32_t k = spikes.shape.k;
  std::vector<float> scales(n);
  for (std::uint32_t i = 0; i < n; ++i) scales[i] = 1.0f / static_cast<float>(1 << i % 4);
  const Buffer device_scales = upload(context, scales.data(), scales.size() * sizeof(float));
  int ran = 0;
  for (const DType type : {DType::s8, DType::s4, DType::e4m3}) {
    const std::vector<float> values = quantised_weights(std::uint64_t{k} * n, type, seed);
    std::vector<double> expected = oracle(spikes, RowOrder::time_major, values, n);
    const std::vector<std::byte> stored = to_type(values, type);
    const Buffer w_memory = upload(context, stored.data(), stored.size());
    WeightView weights{w_memory.data(), type, k, n, Space::device};
    if (type != DType::s4) {
      weights.scales = static_cast<const float*>(device_scales.data());
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] *= scales[i % n];
    }
    for (const DType to : {DType::f32, DType::f16}) {
      std::vector<std::byte> y(expected.size() * bits_of(to) / 8);
      const Buffer y_memory = allocate(context, y.size());
      const OutputView output{y_memory.data(), to, spikes.shape.m(), n, Space::device};
      for (const Config& config : Config::all()) {
        if (!config.why_invalid(encoded.layout, weights, output).empty()) continue;
        SCOPED_TRACE(::testing::Message()
                     << spikes.shape.m() << " x " << k << " x " << n << ", " << to_string(type)
                     << " to " << to_string(to) << ", " << name(config));
        ++ran;
        const Buffer workspace =
            allocate(context, spmm_workspace_bytes(context, encoded, weights, output, config));
        prepare(context, weights, config, workspace.workspace());
        fill(context, y_memory.data(), 0xff, y_memory.bytes());
        spmm(context, encoded, weights, output, config, workspace.workspace());
        copy(context, y.data(), y_memory.data(), y_memory.bytes());
        synchronize(context);
        EXPECT_EQ(count_wrong(expected, {y.data(), to, expected.size()}), 0u);
      }
    }
  }
  EXPECT_GT(ran, 0) << "no config of " << spikes.shape.m() << " x " << k << " x " << n;
  return ran;
}

/// The same of a bitmap, in rows and in tiles, of which a fifth is spikes.
template <class Config>
void expect_exact_bitmaps(const SpmmShape& shape, unsigned seed) {
  const Logical logical = random_spikes({1, shape.rows, shape.k}, 0.2, ValueKind::binary, seed);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeTensor spikes =
      copy_of(context, store(logical, DType::bit, ValueKind::binary, RowOrder::time_major).view());
  for (const bool tiles : {false, true}) {
    const auto bitmap = encode_to_fit<Bitmap>(context, spikes.view(), {tiles});
    expect_exact_quantised<Config>(
        context, *bitmap, logical, shape.n, seed, [&](const Config& config) {
          return "tiles " + std::to_string(tiles) + ", config " + std::to_string(config.tile_m) +
                 " x " + std::to_string(config.tile_n);
        });
  }
}

}  // namespace spiketune::test
