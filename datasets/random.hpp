#pragma once
/// \file
/// Random numbers by position: a draw is a function of (seed, stream, index) and of nothing before
/// it, so any thread of any device makes the same one. Integers only: no rounding to disagree on.

#include <cstdint>

#include "spiketune/core/portable.hpp"

namespace spiketune {

/// The output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, OOPSLA 2014), a bijection of 64-bit words.
SPIKETUNE_HD constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// Independent sequences of one seed: one stream for each question that is asked of chance.
struct RandomStream {
  std::uint64_t key = 0;

  RandomStream() = default;
  SPIKETUNE_HD constexpr RandomStream(std::uint64_t seed, std::uint64_t stream)
      : key(mix_bits(mix_bits(seed + 0x9e3779b97f4a7c15ull) + stream)) {}

  /// 64 random bits: element `index` of the SplitMix64 sequence that starts at `key`.
  [[nodiscard]] SPIKETUNE_HD constexpr std::uint64_t bits(std::uint64_t index) const {
    return mix_bits(key + (index + 1) * 0x9e3779b97f4a7c15ull);
  }
  /// True with probability threshold / 2^63.
  [[nodiscard]] SPIKETUNE_HD constexpr bool below(std::uint64_t threshold,
                                                  std::uint64_t index) const {
    return (bits(index) >> 1) < threshold;
  }
};

/// The threshold for a probability in [0, 1]: 2^63 · probability, so that 1 is always met.
constexpr std::uint64_t probability_threshold(double probability) {
  return static_cast<std::uint64_t>(probability * 0x1p63);
}

}  // namespace spiketune
