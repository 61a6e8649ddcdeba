// What the one-pass encoders are made of, each alone: packing, prefix sums, look-back, expansion.

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {
namespace {

std::mt19937& generator() {
  static std::mt19937 numbers(11);
  return numbers;
}

std::vector<std::uint32_t> random_words(std::size_t count, int and_of) {
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) {
    word = ~0u;
    for (int i = 0; i < and_of; ++i) word &= generator()();
  }
  return words;
}

/// 16 bytes of a storage from elements, given as their patterns.
uint4 piece_of(DType storage, const std::vector<std::uint32_t>& patterns) {
  std::uint32_t words[4] = {};
  const std::uint32_t bits = bits_of(storage);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    words[i * bits / 32] |= patterns[i] << (i * bits % 32);
  }
  return {words[0], words[1], words[2], words[3]};
}

template <DType storage>
void check_packing(std::uint32_t one, std::uint32_t two, std::uint32_t negative_zero) {
  const std::uint32_t count = 128 / bits_of(storage);
  for (int round = 0; round < 200; ++round) {
    const ValueKind kind = round % 2 == 0 ? ValueKind::binary : ValueKind::graded2;
    std::vector<std::uint32_t> patterns(count);
    std::uint64_t expected = 0;
    bool valid = true;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t draw = generator()() % 16;
      patterns[i] = draw < 5                     ? one
                    : draw == 5                  ? negative_zero
                    : draw == 6 && round % 8 > 5 ? two
                                                 : 0;
      if (patterns[i] == one || patterns[i] == two) expected |= std::uint64_t{1} << i;
      if (patterns[i] == two && kind == ValueKind::binary) valid = false;
    }
    const auto packed = pack_piece<storage>(piece_of(storage, patterns), kind);
    EXPECT_EQ(packed.invalid == 0, valid) << to_string(storage) << ", round " << round;
    if (valid) EXPECT_EQ(packed.bits, expected) << to_string(storage) << ", round " << round;
  }
}

TEST(Primitives, PackPiecesToBits) {
  check_packing<DType::u2>(1, 2, 0);
  check_packing<DType::u8>(1, 2, 0);
  check_packing<DType::f16>(0x3c00u, 0x4000u, 0x8000u);
  check_packing<DType::bf16>(0x3f80u, 0x4000u, 0x8000u);
  check_packing<DType::f32>(0x3f800000u, 0x40000000u, 0x80000000u);
}

TEST(Primitives, SumsOfLanesAndThreadsBefore) {
  std::vector<std::uint32_t> values(tile_threads);
  for (std::uint32_t& value : values) value = generator()() % 1000;
  std::vector<std::uint32_t> in_warp(tile_threads);
  std::vector<std::uint32_t> in_block(tile_threads);
  std::uint32_t total = 0;
  emulation::launch(
      [&] {
        in_warp[threadIdx.x] = warp_exclusive_sum(values[threadIdx.x]);
        std::uint32_t all = 0;
        in_block[threadIdx.x] = block_exclusive_sum(values[threadIdx.x], &all);
        if (threadIdx.x == 17) total = all;
      },
      1, tile_threads);
  std::uint32_t of_warp = 0;
  std::uint32_t of_block = 0;
  for (int i = 0; i < tile_threads; ++i) {
    if (i % 32 == 0) of_warp = 0;
    EXPECT_EQ(in_warp[i], of_warp) << i;
    EXPECT_EQ(in_block[i], of_block) << i;
    of_warp += values[i];
    of_block += values[i];
  }
  EXPECT_EQ(total, of_block);
}

// Blocks take tiles in order, tell their sums late and in any order, and sums exceed 32 bits.
TEST(Primitives, LookBackFindsWhatIsBefore) {
  constexpr std::uint32_t tiles = 300;
  std::vector<std::uint64_t> sums(tiles);
  for (std::uint64_t& sum : sums) sum = generator()() % 65536;
  sums[0] = std::uint64_t{1} << 40;
  std::vector<std::uint64_t> states(tiles, 0);
  std::vector<std::uint64_t> before(tiles);
  std::uint32_t taken = 0;
  emulation::launch(
      [&] {
        for (;;) {
          const std::uint32_t tile =
              __shfl_sync(all_lanes, threadIdx.x == 0 ? atomicAdd(&taken, 1u) : 0u, 0);
          if (tile >= tiles) return;
          if (threadIdx.x == 0) publish(states.data(), tile, sums[tile]);
          const std::uint64_t sum = look_back(states.data(), tile, sums[tile]);
          if (threadIdx.x == 31) before[tile] = sum;
        }
      },
      40, 32);
  std::uint64_t expected = 0;
  for (std::uint32_t tile = 0; tile < tiles; ++tile) {
    EXPECT_EQ(before[tile], expected) << tile;
    expected += sums[tile];
    EXPECT_EQ(states[tile], expected << 2 | 2) << tile;
  }
}

// Where no state but the first holds a sum up to its end, one look goes over all of them.
TEST(Primitives, LookBackGoesAsFarAsItMust) {
  constexpr std::uint32_t tiles = 200;
  std::vector<std::uint64_t> states(tiles, 3 << 2 | 1);
  states[0] = 5 << 2 | 2;
  std::uint64_t before = 0;
  emulation::launch(
      [&] {
        const std::uint64_t sum = look_back(states.data(), tiles - 1, 7);
        if (threadIdx.x == 0) before = sum;
      },
      1, 32);
  EXPECT_EQ(before, 5u + 3u * (tiles - 2));
  EXPECT_EQ(states.back(), (before + 7) << 2 | 2);
}

/// The units of words in groups of `per_group`, in order.
std::vector<std::uint32_t> units_of(const std::vector<std::uint32_t>& words,
                                    std::uint32_t per_group) {
  std::vector<std::uint32_t> units;
  for (std::uint32_t i = 0; i < words.size(); ++i) {
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      if ((words[i] >> bit & 1u) != 0) {
        units.push_back(i / per_group << 16 | (32 * (i % per_group) + bit));
      }
    }
  }
  return units;
}

TEST(Primitives, ExpandsBits) {
  constexpr std::uint32_t run = 4;
  for (const std::uint32_t per_group : {1u, 3u, 4u, 24u, 331u}) {
    for (const int density : {1, 2, 5}) {
      const std::vector<std::uint32_t> words = random_words(993, density);
      const std::vector<std::uint32_t> expected = units_of(words, per_group);
      std::vector<std::uint32_t> units(expected.size());
      std::vector<std::uint32_t> starts(993 / per_group, ~0u);
      emulation::launch(
          [&] {
            const OwnedUnits<run> own(words.data(), 993, per_group);
            std::uint32_t all = 0;
            const std::uint32_t mine = block_exclusive_sum(own.count, &all);
            own.store_starts(10 + mine, starts.data());
            own.for_each(mine, [&](std::uint32_t word, std::uint32_t group, std::uint32_t w,
                                   std::uint32_t before) {
              std::uint32_t at = before + count_bits(word);
              for_each_bit_down(
                  word, [&](std::uint32_t bit) { units.at(--at) = group << 16 | (32 * w + bit); });
            });
          },
          1, tile_threads);
      EXPECT_EQ(units, expected) << per_group;
      for (std::uint32_t group = 0; group < starts.size(); ++group) {
        const auto before =
            std::count_if(expected.begin(), expected.end(),
                          [&](std::uint32_t unit) { return group_of(unit) < group; });
        EXPECT_EQ(starts[group], 10 + before) << per_group << ", group " << group;
      }
    }
  }
}

TEST(Primitives, StoresStagedUnitsInFours) {
  for (std::uint64_t first = 8; first < 13; ++first) {
    for (const std::uint32_t count : {0u, 1u, 2u, 3u, 4u, 5u, 9u, 1500u}) {
      for (const std::uint64_t limit : {first + count, first + count / 2, first}) {
        std::vector<uint4> memory(400);
        auto* staged = reinterpret_cast<std::uint32_t*>(memory.data());
        for (std::uint32_t i = 0; i < count; ++i) staged[i] = 100 + i;
        std::vector<std::uint32_t> stored(first + count + 8, 0);
        int misaligned = 0;
        emulation::launch(
            [&] {
              store_units(
                  staged, first, count, limit, true,
                  [&](std::uint64_t at, std::uint32_t unit) { stored[at] += unit; },
                  [&](std::uint64_t at, const uint4& units) {
                    misaligned += at % 4 != 0;
                    const std::uint32_t four[4] = {units.x, units.y, units.z, units.w};
                    for (int i = 0; i < 4; ++i) stored[at + i] += four[i];
                  });
            },
            1, tile_threads);
        EXPECT_EQ(misaligned, 0);
        for (std::uint64_t at = 0; at < stored.size(); ++at) {
          const bool there = at >= first && at < std::min<std::uint64_t>(first + count, limit);
          EXPECT_EQ(stored[at], there ? 100 + at - first : 0)
              << first << ", " << count << ", " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace spiketune::cuda
