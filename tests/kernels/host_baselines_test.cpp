#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/baselines/host/eigen_spmm.hpp"
#include "spiketune/kernels/baselines/host/float_operands.hpp"
#include "spiketune/kernels/baselines/host/openblas.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

const HostContext two_threads{2};

/// What the libraries see: spikes as dense f32 and as CSR with a value for each, W, and room for Y.
struct Operands {
  Operands(SpikeShape shape, double density, std::uint32_t columns)
      : logical(random_spikes(shape, density, ValueKind::graded2, 3)),
        weights(integer_weights(std::uint64_t{shape.k} * columns, 4)),
        n(columns),
        expected(oracle(logical, RowOrder::time_major, weights, columns)),
        y(expected.size(), std::numeric_limits<float>::quiet_NaN()) {
    row_offsets.push_back(0);
    for (std::uint64_t row = 0; row < shape.m(); ++row) {
      for (std::uint32_t k = 0; k < shape.k; ++k) {
        const float value = logical.values[row * shape.k + k];
        if (value == 0.0f) continue;
        column_indices.push_back(static_cast<std::int32_t>(k));
        values.push_back(value);
      }
      row_offsets.push_back(static_cast<std::int32_t>(values.size()));
    }
  }

  void expect_exact() const {
    for (std::size_t i = 0; i < y.size(); ++i) {
      ASSERT_EQ(y[i], expected[i]) << "row " << i / n << " column " << i % n;
    }
  }

  Logical logical;
  std::vector<float> weights;
  std::uint32_t n;
  std::vector<double> expected;
  std::vector<float> y;
  std::vector<std::int32_t> row_offsets;
  std::vector<std::int32_t> column_indices;
  std::vector<float> values;
};

std::vector<SpikeShape> shapes() {
  return {{1, 0, 5}, {1, 5, 0}, {1, 1, 1}, {2, 19, 70}, {1, 300, 96}};
}

TEST(OpenBlas, EqualsTheDoubleLoop) {
  if (const std::string reason = baselines::openblas_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  for (const SpikeShape& shape : shapes()) {
    for (const std::uint32_t n : {0u, 1u, 33u}) {
      Operands problem(shape, 0.3, n);
      baselines::sgemm(two_threads, shape.m(), n, shape.k, problem.logical.values.data(),
                       problem.weights.data(), problem.y.data());
      problem.expect_exact();
    }
  }
}

TEST(OpenBlas, RefusesDimensionsItCannotCount) {
  EXPECT_THROW(
      baselines::sgemm(two_threads, std::uint64_t{1} << 31, 1, 1, nullptr, nullptr, nullptr),
      Error);
}

TEST(Eigen, EqualsTheDoubleLoop) {
  for (const SpikeShape& shape : shapes()) {
    for (const double density : {0.0, 0.3, 1.0}) {
      for (const std::uint32_t n : {0u, 1u, 33u}) {
        Operands problem(shape, density, n);
        baselines::eigen_spmm(two_threads,
                              {shape.m(), shape.k, problem.row_offsets.data(),
                               problem.column_indices.data(), problem.values.data()},
                              problem.weights.data(), n, problem.y.data());
        problem.expect_exact();
      }
    }
  }
}

TEST(FloatOperands, ConvertsWeightsOnceAndOutputsWhenStored) {
  const std::vector<float> values = {1.0f, -2.5f, 0.0f, 2049.0f, 3.0f, -0.25f};
  for (const DType type : {DType::f16, DType::bf16, DType::f32}) {
    const std::vector<std::byte> w = to_type(values, type);
    std::vector<std::byte> y(w.size());
    const baselines::FloatOperands operands(two_threads, {w.data(), type, 3, 2, Space::host},
                                            {y.data(), type, 2, 3, Space::host});
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(operands.weights()[i], rounded(values[i], type));
    }
    std::copy(values.begin(), values.end(), operands.output());
    operands.store();
    EXPECT_EQ(y, w);  // both are the values, rounded to nearest even
    EXPECT_EQ(operands.columns(), 2u);
  }
}

TEST(HostBaselines, AreListedWhetherOrNotTheyAreBuiltIn) {
  Registry registry;
  add_host_baselines(registry);
  ASSERT_EQ(registry.plugins().size(), 2u);
  for (const auto& plugin : registry.plugins()) {
    EXPECT_TRUE(plugin->baseline());
    EXPECT_EQ(plugin->backend(), "host");
    if (const std::string reason = plugin->why_unavailable(); !reason.empty()) {
      EXPECT_NE(reason.find("install lib"), std::string::npos) << reason;
    }
  }
  EXPECT_EQ(registry.plugins()[0]->kernels().front().name, "openblas.sgemm");
  EXPECT_EQ(registry.plugins()[1]->kernels().front().name, "eigen.rowmajor");
}

}  // namespace
}  // namespace spiketune::test
