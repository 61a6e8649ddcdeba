#include "spiketune/kernels/host/gather.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "spiketune/core/half.hpp"
#include "spiketune/core/parallel.hpp"

// One binary, the widest vectors the machine has. Sanitizers cannot resolve ifuncs this early.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SPIKETUNE_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SPIKETUNE_CLONES
#endif

namespace spiketune::host {
namespace {

/// Columns of Y that stay in registers: 4 of AVX-512, 8 of AVX2.
constexpr std::uint32_t block = 64;

}  // namespace

SPIKETUNE_CLONES
void gather_row(const std::uint32_t* columns, const float* values, std::uint64_t count,
                const float* w, std::uint32_t n, float* y) {
  std::uint32_t j = 0;
  for (; j + block <= n; j += block) {
    float sum[block] = {};
    if (values == nullptr) {
      for (std::uint64_t i = 0; i < count; ++i) {
        const float* row = w + std::uint64_t{columns[i]} * n + j;
        for (std::uint32_t c = 0; c < block; ++c) sum[c] += row[c];
      }
    } else {
      for (std::uint64_t i = 0; i < count; ++i) {
        const float* row = w + std::uint64_t{columns[i]} * n + j;
        for (std::uint32_t c = 0; c < block; ++c) sum[c] += values[i] * row[c];
      }
    }
    std::memcpy(y + j, sum, sizeof sum);
  }
  if (j == n) return;
  std::fill(y + j, y + n, 0.0f);
  for (std::uint64_t i = 0; i < count; ++i) {
    const float* row = w + std::uint64_t{columns[i]} * n;
    const float value = values == nullptr ? 1.0f : values[i];
    for (std::uint32_t c = j; c < n; ++c) y[c] += value * row[c];
  }
}

SPIKETUNE_CLONES
void add_scaled(float value, const float* x, std::uint32_t n, float* y) {
  for (std::uint32_t j = 0; j < n; ++j) y[j] += value * x[j];
}

const float* weights_as_float(const HostContext& context, const WeightView& weights,
                              float* scratch) {
  if (weights.type == DType::f32) return static_cast<const float*>(weights.data);
  const std::uint64_t count = std::uint64_t{weights.k} * weights.n;
  const bool half = weights.type == DType::f16;
  parallel_for(context, count, 16384, [&](std::uint64_t i) {
    scratch[i] = half ? to_float(static_cast<const Half*>(weights.data)[i])
                      : to_float(static_cast<const Bfloat16*>(weights.data)[i]);
  });
  return scratch;
}

void store_row(const float* values, std::uint32_t n, const OutputView& output,
               std::uint64_t first) {
  switch (output.type) {
    case DType::f16:
      std::transform(values, values + n, static_cast<Half*>(output.data) + first, to_half);
      break;
    case DType::bf16:
      std::transform(values, values + n, static_cast<Bfloat16*>(output.data) + first, to_bfloat16);
      break;
    default:
      std::copy(values, values + n, static_cast<float*>(output.data) + first);
  }
}

}  // namespace spiketune::host
