#pragma once
/// \file
/// What tests share: spikes made by hand, a context with memory, an oracle in double precision.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::test {

/// Set where a tool makes every access slow: fewer shapes, each with some of the types and widths
/// instead of all, the same code.
inline bool small_tests() {
  return std::getenv("SPIKETUNE_SMALL_TESTS") != nullptr;
}

/// Logical spikes: element (t, row, k) as float, whatever the storage and row order.
struct Logical {
  SpikeShape shape;
  std::vector<float> values;  ///< [(t·rows + row)·K + k]

  [[nodiscard]] float at(std::uint64_t row, std::uint32_t k, RowOrder order) const {
    const RowMap map{shape.timesteps, shape.rows, RowOrder::time_major, order};
    return values[map.source(row) * shape.k + k];
  }
  [[nodiscard]] std::uint64_t nnz() const {
    std::uint64_t count = 0;
    for (const float value : values) count += value != 0.0f;
    return count;
  }
};

inline Logical random_spikes(SpikeShape shape, double density, ValueKind kind, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::uniform_int_distribution<int> small(1, 3);
  Logical result{shape, std::vector<float>(shape.elements())};
  for (float& value : result.values) {
    if (uniform(random) >= density) continue;
    value = kind == ValueKind::binary    ? 1.0f
            : kind == ValueKind::graded2 ? static_cast<float>(small(random))
                                         : static_cast<float>(small(random)) * 0.25f - 0.875f;
  }
  return result;
}

/// The same spikes in host memory, in any storage and order.
inline SpikeTensor store(const Logical& logical, DType storage, ValueKind kind, RowOrder order) {
  SpikeTensor tensor(HostContext{}, logical.shape, storage, kind, order);
  const MutableSpikeView view = tensor.mutable_view();
  fill(HostContext{}, view.data, 0, view.bytes());
  for (std::uint64_t row = 0; row < logical.shape.m(); ++row) {
    for (std::uint32_t k = 0; k < logical.shape.k; ++k) {
      const float value = logical.at(row, k, order);
      if (value != 0.0f) store_spike(view.data, storage, logical.shape.k, row, k, value);
    }
  }
  return tensor;
}

/// Small integers, so that sums are exact in f32; nonzero, so that a missed spike shows.
inline std::vector<float> integer_weights(std::uint64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> small(-3, 3);
  std::vector<float> result(count);
  for (float& value : result) {
    const int drawn = small(random);
    value = static_cast<float>(drawn == 0 ? 4 : drawn);
  }
  return result;
}

/// Of a quantised type, every value that it has, of e4m3 integers up to 4; the sums of a test stay
/// exact in f32, and in the fewer bits that tensor cores keep of sums of e4m3.
inline std::vector<float> quantised_weights(std::uint64_t count, DType type, unsigned seed) {
  if (type == DType::e4m3) return integer_weights(count, seed);
  std::mt19937 random(seed);
  const int top = type == DType::s8 ? 127 : 7;
  std::uniform_int_distribution<int> any(-top - 1, top);
  std::vector<float> result(count);
  for (float& value : result) value = static_cast<float>(any(random));
  return result;
}

inline std::vector<std::byte> to_type(const std::vector<float>& values, DType type) {
  std::vector<std::byte> bytes((values.size() * bits_of(type) + 7) / 8);
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (type) {
      case DType::f16:
        reinterpret_cast<Half*>(bytes.data())[i] = to_half(values[i]);
        break;
      case DType::bf16:
        reinterpret_cast<Bfloat16*>(bytes.data())[i] = to_bfloat16(values[i]);
        break;
      case DType::s8:
        bytes[i] = static_cast<std::byte>(static_cast<int>(values[i]));
        break;
      case DType::e4m3:
        bytes[i] = static_cast<std::byte>(to_e4m3(values[i]).bits);
        break;
      case DType::s4:
        bytes[i / 2] |= static_cast<std::byte>((static_cast<int>(values[i]) & 15) << i % 2 * 4);
        break;
      default:
        reinterpret_cast<float*>(bytes.data())[i] = values[i];
    }
  }
  return bytes;
}

/// Bytes in the memory of a context. CUDA: synchronises.
template <class ContextT>
Buffer upload(const ContextT& context, const void* data, std::size_t bytes) {
  Buffer buffer = allocate(context, bytes);
  copy(context, buffer.data(), data, bytes);
  synchronize(context);
  return buffer;
}

/// Y[row·N + n] in double, rows in `order`.
inline std::vector<double> oracle(const Logical& logical, RowOrder order,
                                  const std::vector<float>& weights, std::uint32_t n) {
  std::vector<double> y(logical.shape.m() * n, 0.0);
  for (std::uint64_t row = 0; row < logical.shape.m(); ++row) {
    for (std::uint32_t k = 0; k < logical.shape.k; ++k) {
      const double value = logical.at(row, k, order);
      if (value == 0.0) continue;
      for (std::uint32_t j = 0; j < n; ++j) {
        y[row * n + j] += value * weights[std::uint64_t{k} * n + j];
      }
    }
  }
  return y;
}

/// `exact` rounded to the type of Y.
inline float rounded(double exact, DType type) {
  const auto value = static_cast<float>(exact);
  return type == DType::f16    ? to_float(to_half(value))
         : type == DType::bf16 ? to_float(to_bfloat16(value))
                               : value;
}

}  // namespace spiketune::test
