// More than 2^32 elements and more than 2^31 nonzeros, through every format.

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

class HugeTensors : public ::testing::Test {
 protected:
  static constexpr SpikeShape shape{2, 65537, 65536};
  static constexpr std::uint32_t n = 4;

  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
    if (small_tests()) GTEST_SKIP() << "SPIKETUNE_SMALL_TESTS";
  }
};

TEST_F(HugeTensors, EncodeDecodeAndMultiply) {
  Registry registry;
  add_cuda_formats(registry);
  const CudaStream stream;
  const CudaContext context = stream.context();
  PatternSpec spec;
  spec.density = 0.3;
  SpikeTensor spikes(context, shape, DType::bit, ValueKind::binary);
  generate(context, spec, spikes.mutable_view());
  const SpikeTensor original = copy_to_host(context, spikes.view());
  const auto* words = static_cast<const std::uint32_t*>(original.view().data);
  const std::uint64_t row_words = shape.k / 32;
  std::vector<std::uint32_t> per_row(shape.m());
  std::uint64_t nnz = 0;
  for (std::uint64_t row = 0; row < shape.m(); ++row) {
    for (std::uint64_t i = 0; i < row_words; ++i) {
      per_row[row] += static_cast<std::uint32_t>(std::popcount(words[row * row_words + i]));
    }
    nnz += per_row[row];
  }
  ASSERT_GT(shape.elements(), std::uint64_t{1} << 32);
  ASSERT_GT(nnz, std::uint64_t{1} << 31);

  // All ones: Y is the number of spikes in each row, exactly.
  const std::vector<float> weights(std::uint64_t{shape.k} * n, 1.0f);
  const Buffer w_memory = allocate(context, weights.size() * 4);
  copy(context, w_memory.data(), weights.data(), weights.size() * 4);
  const WeightView w{w_memory.data(), DType::f32, shape.k, n, Space::device};
  const Buffer y_memory = allocate(context, shape.m() * n * 4);
  const OutputView y{y_memory.data(), DType::f32, shape.m(), n, Space::device};
  std::vector<float> result(shape.m() * n);
  SpikeTensor back(context, shape, DType::bit, ValueKind::binary);
  const EncodedLayout layout = layout_of(spikes.view(), RowOrder::time_major);

  for (const auto& plugin : registry.plugins()) {
    SCOPED_TRACE(plugin->name());
    const auto start = std::chrono::steady_clock::now();
    const nlohmann::json params = plugin->params(layout, w.type).front();
    std::unique_ptr<AnyEncoding> encoding;
    try {
      encoding = plugin->plan(context, layout, params, 0.301, {});
    } catch (const Error& error) {
      // Where a device or an index of the format is too small the refusal must be a sentence.
      EXPECT_NE(error.code(), ErrorCode::internal);
      std::cout << plugin->name() << ": " << error.what() << '\n';
      continue;
    }
    encoding->bind_encode(spikes.view())();
    EncodeStatus status = encoding->status();
    if (status.needed > encoding->capacity()) {
      encoding.reset();
      encoding = plugin->plan(context, layout, params, 0.301, status.needed);
      encoding->bind_encode(spikes.view())();
      status = encoding->status();
    }
    EXPECT_EQ(status.nnz, nnz);
    EXPECT_LE(status.needed, encoding->capacity());
    if (plugin->lossy()) continue;
    fill(context, back.mutable_view().data, 0xa5, back.view().bytes());
    encoding->decode(back.mutable_view());
    const SpikeTensor decoded = copy_to_host(context, back.view());
    EXPECT_EQ(std::memcmp(decoded.view().data, words, original.view().bytes()), 0);
    for (const KernelInfo& kernel : plugin->kernels()) {
      SCOPED_TRACE(kernel.name);
      if (!plugin->why_invalid(kernel.name, kernel.configs.front(), layout, w, y).empty()) continue;
      fill(context, y.data, 0xff, result.size() * 4);
      encoding->bind_spmm(kernel.name, kernel.configs.front(), w, y)();
      copy(context, result.data(), y.data, result.size() * 4);
      synchronize(context);
      std::uint64_t wrong = 0;
      for (std::uint64_t i = 0; i < result.size(); ++i) {
        wrong += result[i] != static_cast<float>(per_row[i / n]);
      }
      EXPECT_EQ(wrong, 0);
    }
    std::cout << plugin->name() << ": "
              << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()
              << " s\n";
  }
}

}  // namespace
}  // namespace spiketune::test
