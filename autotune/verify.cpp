#include "spiketune/autotune/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/datasets/random.hpp"

namespace spiketune {
namespace {

constexpr std::uint64_t weight_stream = 0x77;  // another than any generator of spikes uses

template <class T>
void fill_weights(std::vector<std::byte>& bytes, std::uint64_t seed) {
  const RandomStream random(seed, weight_stream);
  for (std::uint64_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    const auto numerator = static_cast<int>((random.bits(i) >> 32) % 129) - 64;
    const T weight = from_float<T>(static_cast<float>(numerator) / 64.0f);
    std::memcpy(bytes.data() + i * sizeof(T), &weight, sizeof(T));
  }
}

/// Integers up to 8.
void fill_e4m3(std::vector<std::byte>& bytes, std::uint64_t seed) {
  const RandomStream random(seed, weight_stream);
  for (std::uint64_t i = 0; i < bytes.size(); ++i) {
    const auto drawn = static_cast<int>((random.bits(i) >> 32) % 17) - 8;
    bytes[i] = static_cast<std::byte>(to_e4m3(static_cast<float>(drawn)).bits);
  }
}

/// Every byte is one s8 or two s4.
void fill_integers(std::vector<std::byte>& bytes, std::uint64_t seed) {
  const RandomStream random(seed, weight_stream);
  for (std::uint64_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(random.bits(i) >> 56);
  }
}

}  // namespace

std::vector<std::byte> random_weights(DType type, std::uint32_t k, std::uint32_t n,
                                      std::uint64_t seed) {
  require(is_floating(type) || is_quantised(type), ErrorCode::invalid_argument,
          "weights must be f32, f16, bf16, s8, s4 or e4m3");
  std::vector<std::byte> bytes(WeightView{nullptr, type, k, n, Space::host}.bytes());
  switch (type) {
    case DType::s8:
    case DType::s4:
      fill_integers(bytes, seed);
      break;
    case DType::e4m3:
      fill_e4m3(bytes, seed);
      break;
    case DType::f16:
      fill_weights<Half>(bytes, seed);
      break;
    case DType::bf16:
      fill_weights<Bfloat16>(bytes, seed);
      break;
    default:
      fill_weights<float>(bytes, seed);
  }
  return bytes;
}

std::vector<float> random_scales(std::uint32_t n) {
  std::vector<float> scales(n);
  for (std::uint32_t j = 0; j < n; ++j) scales[j] = j % 3 == 0 ? 1.0f / 32 : 1.0f / 64;
  return scales;
}

double tolerance(const Problem& problem) {
  if (problem.output == DType::f16) return 1e-3;
  if (problem.output == DType::bf16) return 1e-2;
  const std::uint64_t largest = problem.value == ValueKind::graded2 ? 3 : 1;
  // The tensor cores keep some 14 bits of a sum of e4m3.
  const bool few_bits = problem.weights == DType::e4m3;
  const std::uint64_t terms = few_bits                       ? 1u << 10
                              : problem.weights == DType::s8 ? 1u << 17
                                                             : 1u << 18;
  const bool exact = problem.value != ValueKind::graded && problem.k * largest <= terms;
  if (exact) return 0;
  if (few_bits) return 1e-3;
  // Rounding errors of a sum of K reals grow like a random walk.
  return 1e-5 * std::max(1.0, std::sqrt(problem.k / 256.0));
}

std::string describe(const Comparison& comparison, std::uint32_t n) {
  if (comparison.worst == Comparison::none) return "Y equals the reference";
  return fmt::format("Y[{}, {}] is {}, not {}", comparison.worst / n, comparison.worst % n,
                     comparison.got, comparison.expected);
}

void detail::check_same_layout(const SpikeView& a, const SpikeView& b) {
  require(a.shape == b.shape && a.storage == b.storage && a.row_order == b.row_order &&
              a.space == b.space,
          ErrorCode::invalid_argument,
          "tensors of different shape, storage, row order or memory cannot be compared");
}

}  // namespace spiketune
