#pragma once
/// \file
/// Problems of training for the tests of gradients on the host and on a device.

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/csc.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/kernels/gradients.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

/// One row order throughout, so that a row of S, of dY and of the mask are the same neuron.
struct TrainingProblem {
  TrainingProblem(std::uint64_t m, std::uint32_t k, std::uint32_t columns, double density,
                  DType dtype, ValueKind value_kind = ValueKind::binary)
      : logical(random_spikes({1, m, k}, density, value_kind, 3)),
        n(columns),
        type(dtype),
        kind(value_kind),
        gradient(integer_weights(m * columns, 4)),
        weights(integer_weights(std::uint64_t{k} * columns, 5)),
        surrogate(integer_weights(m * k, 6)),
        mask(store(random_spikes({1, m, k}, density, ValueKind::binary, 8), DType::bit,
                   ValueKind::binary, RowOrder::time_major)) {}

  [[nodiscard]] std::uint64_t m() const { return logical.shape.m(); }
  [[nodiscard]] std::uint32_t k() const { return logical.shape.k; }
  [[nodiscard]] SpikeTensor spikes() const {
    return store(logical, kind == ValueKind::binary ? DType::bit : DType::u8, kind,
                 RowOrder::time_major);
  }
  /// dW[k·N + n] in double.
  [[nodiscard]] std::vector<double> weight_oracle() const {
    std::vector<double> result(std::uint64_t{k()} * n, 0.0);
    for (std::uint64_t row = 0; row < m(); ++row) {
      for (std::uint32_t column = 0; column < k(); ++column) {
        const double value = logical.values[row * k() + column];
        for (std::uint32_t j = 0; value != 0 && j < n; ++j) {
          result[std::uint64_t{column} * n + j] += value * gradient[row * n + j];
        }
      }
    }
    return result;
  }
  /// dS[m·K + k] in double, before the values of the surrogate.
  [[nodiscard]] std::vector<double> spike_oracle() const {
    std::vector<double> result(m() * k(), 0.0);
    for (std::uint64_t row = 0; row < m(); ++row) {
      for (std::uint32_t column = 0; column < k(); ++column) {
        if (load_spike(mask.view().data, DType::bit, k(), row, column) == 0) continue;
        double sum = 0;
        for (std::uint32_t j = 0; j < n; ++j) {
          sum +=
              static_cast<double>(gradient[row * n + j]) * weights[column * std::uint64_t{n} + j];
        }
        result[row * k() + column] = sum;
      }
    }
    return result;
  }

  Logical logical;
  std::uint32_t n;
  DType type;  ///< of dY and W
  ValueKind kind;
  std::vector<float> gradient;
  std::vector<float> weights;
  std::vector<float> surrogate;
  SpikeTensor mask;
};

/// Runs weight_gradient() over memory that was full of NaN, and compares exactly with
/// problem.weight_oracle().
template <class Format, class ContextT>
void expect_weight_gradient(const ContextT& context, const TrainingProblem& problem,
                            const std::vector<double>& expected,
                            const typename Format::Params& params = {}) {
  const SpikeTensor spikes = problem.spikes();
  const Buffer memory = upload(context, spikes.view().data, spikes.view().bytes());
  SpikeView view = spikes.view();
  view.data = memory.data();
  view.space = ContextT::space;
  const auto encoded = encode_to_fit<Format>(context, view, params);
  const std::vector<std::byte> dy = to_type(problem.gradient, problem.type);
  const Buffer dy_memory = upload(context, dy.data(), dy.size());
  std::vector<float> dw(expected.size());
  const Buffer dw_memory = allocate(context, dw.size() * sizeof(float));
  fill(context, dw_memory.data(), 0xff, dw_memory.bytes());
  const GradientView gradient{dy_memory.data(), problem.type, problem.m(), problem.n,
                              ContextT::space};
  const Buffer workspace =
      allocate(context, weight_gradient_workspace_bytes(context, *encoded, gradient));
  fill(context, workspace.data(), 0xcd, workspace.bytes());
  weight_gradient(context, *encoded, gradient,
                  {dw_memory.data(), DType::f32, problem.k(), problem.n, ContextT::space},
                  workspace.workspace());
  copy(context, dw.data(), dw_memory.data(), dw_memory.bytes());
  synchronize(context);
  for (std::size_t i = 0; i < dw.size(); ++i) {
    ASSERT_EQ(dw[i], expected[i]) << Format::name << ": row " << i / problem.n << " column "
                                  << i % problem.n;
  }
}

/// Element i of an array of f32, f16 or bf16.
inline float element(const std::vector<std::byte>& array, DType type, std::size_t i) {
  const void* data = array.data();
  if (type == DType::f32) return static_cast<const float*>(data)[i];
  if (type == DType::f16) return to_float(static_cast<const Half*>(data)[i]);
  return to_float(static_cast<const Bfloat16*>(data)[i]);
}

/// The same for spike_gradient() and problem.spike_oracle(), with values of the surrogate in
/// `values`, or without where bit.
template <class ContextT>
void expect_spike_gradient(const ContextT& context, const TrainingProblem& problem,
                           std::vector<double> expected, DType output, DType values) {
  const bool with_values = values != DType::bit;
  const std::vector<std::byte> dy = to_type(problem.gradient, problem.type);
  const std::vector<std::byte> w = to_type(problem.weights, problem.type);
  const std::vector<std::byte> factors =
      to_type(problem.surrogate, with_values ? values : DType::f32);
  const Buffer dy_memory = upload(context, dy.data(), dy.size());
  const Buffer w_memory = upload(context, w.data(), w.size());
  const Buffer factor_memory = upload(context, factors.data(), factors.size());
  const Buffer mask_memory = upload(context, problem.mask.view().data, problem.mask.view().bytes());
  for (std::size_t i = 0; with_values && i < expected.size(); ++i) {
    expected[i] *= problem.surrogate[i];
  }
  std::vector<std::byte> ds(expected.size() * bits_of(output) / 8);
  const Buffer ds_memory = allocate(context, ds.size());
  fill(context, ds_memory.data(), 0xff, ds.size());
  spike_gradient(context, {dy_memory.data(), problem.type, problem.m(), problem.n, ContextT::space},
                 {w_memory.data(), problem.type, problem.k(), problem.n, ContextT::space},
                 {static_cast<const std::uint32_t*>(mask_memory.data()),
                  with_values ? factor_memory.data() : nullptr, values, ContextT::space},
                 {ds_memory.data(), output, problem.m(), problem.k(), ContextT::space});
  copy(context, ds.data(), ds_memory.data(), ds.size());
  synchronize(context);
  // As numbers: a zero may have either sign.
  const std::vector<std::byte> rounded =
      to_type(std::vector<float>(expected.begin(), expected.end()), output);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(element(ds, output, i), element(rounded, output, i))
        << "row " << i / problem.k() << " column " << i % problem.k();
  }
}

struct TrainingShape {
  std::uint64_t m;
  std::uint32_t k;
  std::uint32_t n;
};

/// Calls use(problem) for each shape and density. The oracle of a problem serves all types of dY.
template <class Use>
void for_training_problems(const std::vector<TrainingShape>& shapes,
                           const std::vector<double>& densities, const Use& use) {
  for (const TrainingShape& shape : shapes) {
    for (const double density : densities) {
      SCOPED_TRACE(::testing::Message()
                   << shape.m << " x " << shape.k << " x " << shape.n << ", density " << density);
      TrainingProblem problem(shape.m, shape.k, shape.n, density, DType::f32);
      use(problem);
    }
  }
}

template <class ContextT>
void expect_weight_gradients(const ContextT& context, const std::vector<TrainingShape>& shapes,
                             const std::vector<double>& densities) {
  for_training_problems(shapes, densities, [&](TrainingProblem& problem) {
    const std::vector<double> expected = problem.weight_oracle();
    for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
      SCOPED_TRACE(to_string(type));
      problem.type = type;
      expect_weight_gradient<Bitmap>(context, problem, expected, {false});
      expect_weight_gradient<Bitmap>(context, problem, expected, {true});
      expect_weight_gradient<Csr>(context, problem, expected);
      expect_weight_gradient<Csc>(context, problem, expected);
    }
  });
}

template <class ContextT>
void expect_spike_gradients(const ContextT& context, const std::vector<TrainingShape>& shapes,
                            const std::vector<double>& densities) {
  for_training_problems(shapes, densities, [&](TrainingProblem& problem) {
    const std::vector<double> expected = problem.spike_oracle();
    for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
      SCOPED_TRACE(to_string(type));
      problem.type = type;
      for (const DType values : {DType::bit, DType::f32, DType::f16, DType::bf16}) {
        expect_spike_gradient(context, problem, expected, DType::f32, values);
        expect_spike_gradient(context, problem, expected, type, values);
      }
    }
  });
}

}  // namespace spiketune::test
