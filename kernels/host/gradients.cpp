#include "spiketune/kernels/gradients.hpp"

#include <algorithm>
#include <type_traits>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/host/gather.hpp"

namespace spiketune {
namespace {

/// dY, as weights_as_float() takes it.
WeightView matrix_of(const GradientView& gradient) {
  return {gradient.data, gradient.type, static_cast<std::uint32_t>(gradient.m), gradient.n,
          gradient.space};
}

/// visit(row, column, value) of all spikes, rows of each column ascending.
template <class Format, class Visit>
void for_each_spike(const Format& spikes, Visit&& visit) {
  if constexpr (std::is_same_v<Format, Csc>) {
    for (std::uint32_t column = 0; column < spikes.layout.k(); ++column) {
      for_each_in_column(spikes, column,
                         [&](std::uint32_t row, float value) { visit(row, column, value); });
    }
  } else {
    for (std::uint64_t row = 0; row < spikes.layout.m(); ++row) {
      for_each_in_row(spikes, row,
                      [&](std::uint32_t column, float value) { visit(row, column, value); });
    }
  }
}

template <class T>
float load_as(const void* data, std::uint64_t i) {
  return to_float(static_cast<const T*>(data)[i]);
}

float load_float(const void* data, DType type, std::uint64_t i) {
  return type == DType::f16    ? load_as<Half>(data, i)
         : type == DType::bf16 ? load_as<Bfloat16>(data, i)
                               : static_cast<const float*>(data)[i];
}

void store_float(const OutputView& output, std::uint64_t i, float value) {
  switch (output.type) {
    case DType::f16:
      static_cast<Half*>(output.data)[i] = to_half(value);
      break;
    case DType::bf16:
      static_cast<Bfloat16*>(output.data)[i] = to_bfloat16(value);
      break;
    default:
      static_cast<float*>(output.data)[i] = value;
  }
}

}  // namespace

template <class Format>
std::size_t weight_gradient_workspace_bytes(const HostContext&, const Format&,
                                            const GradientView& gradient) {
  WorkspaceCarver carver;
  carver.take<float>(host::float_scratch(matrix_of(gradient)));
  return carver.bytes();
}

// A task owns some columns of dW, so that no two threads write the same sum.
template <class Format>
void weight_gradient(const HostContext& context, const Format& spikes, const GradientView& gradient,
                     const OutputView& result, Workspace workspace) {
  check_weight_gradient(spikes, gradient, result, Space::host);
  WorkspaceCarver carver(workspace);
  auto* scratch = carver.take<float>(host::float_scratch(matrix_of(gradient)));
  const float* dy = host::weights_as_float(context, matrix_of(gradient), scratch);
  auto* dw = static_cast<float*>(result.data);
  const std::uint64_t n = result.n;
  parallel_ranges(context, n, 64, [&](std::uint64_t begin, std::uint64_t end) {
    const auto count = static_cast<std::uint32_t>(end - begin);
    for (std::uint64_t row = 0; row < result.m; ++row) {
      std::fill_n(dw + row * n + begin, count, 0.0f);
    }
    for_each_spike(spikes, [&](std::uint64_t row, std::uint32_t column, float value) {
      host::add_scaled(value, dy + row * n + begin, count, dw + column * n + begin);
    });
  });
}

void spike_gradient(const HostContext& context, const GradientView& gradient,
                    const WeightView& weights, const SurrogateView& surrogate,
                    const OutputView& result) {
  check_spike_gradient(gradient, weights, surrogate, result, Space::host);
  const std::uint64_t n = weights.n;
  const std::uint64_t words = ceil_div(weights.k, 32);
  parallel_for(context, result.m, 16, [&](std::uint64_t row) {
    for (std::uint32_t k = 0; k < weights.k; ++k) {
      float sum = 0;
      const std::uint64_t at = row * weights.k + k;
      if ((surrogate.mask[row * words + k / 32] >> k % 32 & 1u) != 0) {
        for (std::uint64_t j = 0; j < n; ++j) {
          sum += load_float(gradient.data, gradient.type, row * n + j) *
                 load_float(weights.data, weights.type, k * n + j);
        }
        if (surrogate.values != nullptr) sum *= load_float(surrogate.values, surrogate.type, at);
      }
      store_float(result, at, sum);
    }
  });
}

template std::size_t weight_gradient_workspace_bytes(const HostContext&, const Bitmap&,
                                                     const GradientView&);
template std::size_t weight_gradient_workspace_bytes(const HostContext&, const Csr&,
                                                     const GradientView&);
template std::size_t weight_gradient_workspace_bytes(const HostContext&, const Csc&,
                                                     const GradientView&);
template void weight_gradient(const HostContext&, const Bitmap&, const GradientView&,
                              const OutputView&, Workspace);
template void weight_gradient(const HostContext&, const Csr&, const GradientView&,
                              const OutputView&, Workspace);
template void weight_gradient(const HostContext&, const Csc&, const GradientView&,
                              const OutputView&, Workspace);

}  // namespace spiketune
