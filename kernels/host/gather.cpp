#include "spiketune/kernels/host/gather.hpp"

#include <algorithm>

#include "spiketune/core/half.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/kernels/quantize.hpp"

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

/// Columns of Y worked on at a time: 4 KiB of f32 stay in the first-level cache.
constexpr std::uint32_t block = 1024;

}  // namespace

// Four rows of W at once: Y is loaded and stored once for four, and each row of W is read as one
// run, which hardware prefetchers follow.
SPIKETUNE_CLONES
void gather_row(const std::uint32_t* columns, const float* values, std::uint64_t count,
                const float* w, std::uint32_t n, float* y) {
  for (std::uint32_t begin = 0; begin < n; begin += block) {
    const std::uint32_t width = std::min(block, n - begin);
    float* __restrict__ out = y + begin;
    const auto row = [&](std::uint64_t i) { return w + std::uint64_t{columns[i]} * n + begin; };
    std::fill(out, out + width, 0.0f);
    std::uint64_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const float* a = row(i);
      const float* b = row(i + 1);
      const float* c = row(i + 2);
      const float* d = row(i + 3);
      if (values == nullptr) {
        for (std::uint32_t j = 0; j < width; ++j) out[j] += (a[j] + b[j]) + (c[j] + d[j]);
      } else {
        const float* v = values + i;
        for (std::uint32_t j = 0; j < width; ++j) {
          out[j] += (v[0] * a[j] + v[1] * b[j]) + (v[2] * c[j] + v[3] * d[j]);
        }
      }
    }
    for (; i < count; ++i) {
      const float* a = row(i);
      const float value = values == nullptr ? 1.0f : values[i];
      for (std::uint32_t j = 0; j < width; ++j) out[j] += value * a[j];
    }
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
  if (is_quantised(weights.type)) {
    dequantize(context, weights, scratch, DType::f32);
    return scratch;
  }
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
