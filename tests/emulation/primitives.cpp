// What the one-pass encoders are made of, each alone: packing, prefix sums, look-back, expansion.

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

#include "spiketune/encoders/cuda/batches.cuh"
#include "spiketune/encoders/cuda/groups.cuh"

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

template <DType storage>
void check_octets(std::uint32_t one) {
  constexpr std::uint32_t columns = 128 / bits_of(storage);
  for (int round = 0; round < 100; ++round) {
    const ValueKind kind = round % 2 == 0 ? ValueKind::binary : ValueKind::graded2;
    uint4 rows[8];
    std::uint32_t expected[4] = {};
    for (std::uint32_t r = 0; r < 8; ++r) {
      std::vector<std::uint32_t> patterns(columns);
      for (std::uint32_t c = 0; c < columns; ++c) {
        const bool spike = generator()() % 3 == 0;
        patterns[c] = spike ? one : 0;
        expected[c / 4] |= std::uint32_t{spike} << (8 * (c % 4) + r);
      }
      rows[r] = piece_of(storage, patterns);
    }
    const OctetMasks<storage> masks([&](std::uint32_t r) { return rows[r]; }, kind);
    EXPECT_EQ(masks.invalid, 0u);
    for (std::uint32_t i = 0; i < masks.count; ++i) EXPECT_EQ(masks.words[i], expected[i]) << i;
  }
}

TEST(Primitives, TransposeOctetsToMasks) {
  check_octets<DType::u8>(1);
  check_octets<DType::f16>(0x3c00);
  check_octets<DType::bf16>(0x3f80);
  check_octets<DType::f32>(0x3f800000);
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

// Tiles tell their counts late and in any order; the block that adds them up answers each, and
// sums exceed 32 bits.
TEST(Primitives, ScanFindsPositionsOfTiles) {
  for (const std::uint32_t tiles : {1u, 2u, 63u, 64u, 65u, 1300u}) {
    std::vector<std::uint32_t> counts(tiles);
    for (std::uint32_t& count : counts) count = generator()() % 65537;
    std::vector<std::uint64_t> states(tiles, 0);
    std::vector<std::uint64_t> positions(tiles);
    std::uint32_t taken = 0;
    std::uint64_t total = 0;
    emulation::launch(
        [&] {
          if (blockIdx.x == 0) {
            const std::uint64_t all = scan_tiles(states.data(), tiles);
            if (threadIdx.x == 77) total = all;
            return;
          }
          if (threadIdx.x != 0) return;
          std::uint32_t own[2];  // two at a time, counted in the wrong order
          while ((own[0] = atomicAdd(&taken, 1u)) < tiles) {
            own[1] = atomicAdd(&taken, 1u);
            if (own[1] < tiles) publish(states.data(), own[1], counts[own[1]]);
            publish(states.data(), own[0], counts[own[0]]);
            for (const std::uint32_t tile : own) {
              if (tile >= tiles) continue;
              std::uint64_t state = 0;
              while ((state & 2) == 0) state = load_state(states.data(), tile);
              positions[tile] = state >> 2;
            }
          }
        },
        9, tile_threads);
    std::uint64_t expected = 0;
    for (std::uint32_t tile = 0; tile < tiles; ++tile) {
      EXPECT_EQ(positions[tile], expected) << tile;
      expected += counts[tile];
    }
    EXPECT_EQ(total, expected);
  }
}

// Blocks look back for the units before their tiles, where none adds up for all; sums exceed 32
// bits.
TEST(Primitives, LookBackFindsPositionsOfTiles) {
  for (const std::uint32_t tiles : {1u, 2u, 32u, 257u, 700u}) {
    std::vector<std::uint64_t> counts(tiles);
    for (std::uint64_t& count : counts) count = std::uint64_t{generator()()} << 8;
    std::vector<std::uint64_t> states(tiles, 0);
    std::vector<std::uint64_t> positions(tiles);
    emulation::launch(
        [&] {
          const std::uint32_t tile = blockIdx.x;
          if (threadIdx.x == 0) publish(states.data(), tile, counts[tile]);
          const std::uint64_t before = look_back(states.data(), tile);
          if (threadIdx.x == 9) positions[tile] = before;
          if (threadIdx.x == 0 && tile % 3 != 1) {
            publish(states.data(), tile, before + counts[tile], 2);
          }
        },
        tiles, 32);
    std::uint64_t expected = 0;
    for (std::uint32_t tile = 0; tile < tiles; ++tile) {
      EXPECT_EQ(positions[tile], expected) << tile;
      expected += counts[tile];
    }
  }
}

TEST(Primitives, PositionsExceed32Bits) {
  constexpr std::uint32_t tiles = 80000;
  std::vector<std::uint64_t> states(tiles, std::uint64_t{65536} << 2 | 1);
  std::uint64_t total = 0;
  emulation::launch(
      [&] {
        const std::uint64_t all = scan_tiles(states.data(), tiles);
        if (threadIdx.x == 0) total = all;
      },
      1, tile_threads);
  EXPECT_EQ(total, std::uint64_t{tiles} * 65536);
  EXPECT_EQ(states.back(), std::uint64_t{tiles - 1} * 65536 << 2 | 2);
}

/// Lane by lane what a strip holds before its units are stored.
template <DType storage>
void check_strip(int density) {
  constexpr std::uint32_t owned = owned_words<storage>;
  const std::vector<std::uint32_t> words = random_words(strip_words<storage>, density);
  std::vector<std::uint32_t> expected;
  alignas(16) StripMemory<storage> memory;
  for (std::uint32_t w = 0; w < words.size(); ++w) {
    memory.words[w] = words[w];
    if (w % owned == 0) memory.before[w / owned] = static_cast<std::uint32_t>(expected.size());
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      if ((words[w] >> bit & 1u) != 0) expected.push_back(32 * w + bit);
    }
  }
  const auto count = static_cast<std::uint32_t>(expected.size());
  for (std::uint64_t first = 16; first < 24; ++first) {
    for (const std::uint64_t limit : {first + count, first + count / 2, first}) {
      std::vector<uint4> staged(strip_window<storage> / 8 + 1);
      std::vector<std::uint32_t> stored(first + count + 8, ~0u);
      int misaligned = 0;
      emulation::launch(
          [&] {
            const StripUnits<storage> units{count, &memory,
                                            reinterpret_cast<std::uint16_t*>(staged.data())};
            store_strip<storage>(
                units, first, limit, true,
                [&](std::uint64_t at, std::uint32_t unit) { stored.at(at) = unit; },
                [&](std::uint64_t at, const uint4& eight) {
                  misaligned += at % 8 != 0;
                  const std::uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
                  for (int i = 0; i < 8; ++i)
                    stored.at(at + i) = pairs[i / 2] >> 16 * (i % 2) & 0xffffu;
                });
          },
          1, 32);
      EXPECT_EQ(misaligned, 0);
      for (std::uint64_t at = 0; at < stored.size(); ++at) {
        const bool there = at >= first && at < std::min<std::uint64_t>(first + count, limit);
        EXPECT_EQ(stored[at], there ? expected[at - first] : ~0u) << first << ", " << at;
      }
      const StripUnits<storage> units{count, &memory, nullptr};
      for (std::uint32_t w = 0; w < words.size(); w += 3) {
        const auto before = std::lower_bound(expected.begin(), expected.end(), 32 * w);
        EXPECT_EQ(units.before_word(w), before - expected.begin()) << w;
      }
    }
  }
}

TEST(Primitives, StoresStripsInEights) {
  for (const int density : {0, 1, 2, 5, 9}) {  // a unit in one, two, four ... bits
    check_strip<DType::bit>(density);
    check_strip<DType::u8>(density);
    check_strip<DType::f16>(density);
    check_strip<DType::f32>(density);
  }
}

/// Keeps the row and the column of each unit.
struct EmitPlaces {
  static constexpr bool each_spike = true;
  std::vector<std::pair<std::uint64_t, std::uint32_t>>* places;

  template <DType storage, bool pattern>
  void store(const Strip& strip, const StripUnits<storage>& units, std::uint64_t first) const {
    store_strip<storage>(
        units, first, places->size(), false,
        [&](std::uint64_t at, std::uint32_t unit) {
          places->at(at) = {strip.first_row + strip.row_of(unit), strip.column_of(unit)};
        },
        [](std::uint64_t, const uint4&) {});
  }
};

template <bool quick>
void check_spans(std::uint32_t m, std::uint32_t k, std::uint32_t chunk_strips) {
  const std::uint32_t row_words = (k + 31) / 32;
  const std::vector<std::uint32_t> words = random_words(std::size_t{m} * row_words, 3);
  std::vector<std::uint32_t> padded = words;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> expected;
  std::vector<std::uint32_t> expected_offsets;
  for (std::uint32_t row = 0; row < m; ++row) {
    expected_offsets.push_back(static_cast<std::uint32_t>(expected.size()));
    for (std::uint32_t column = 0; column < 32 * row_words; ++column) {
      std::uint32_t& word = padded[row * row_words + column / 32];
      if (column >= k) word &= ~(1u << column % 32);
      if ((word >> column % 32 & 1u) != 0) expected.emplace_back(row, column);
    }
  }
  expected_offsets.push_back(static_cast<std::uint32_t>(expected.size()));

  EncodeStatus status{1, 2, 3, 4};
  std::vector<std::uint32_t> offsets(m + 1);
  TileTask task = plan_strips({padded.data(),
                               {1, m, k},
                               DType::bit,
                               ValueKind::binary,
                               RowOrder::time_major,
                               Space::device},
                              RowOrder::time_major);
  EXPECT_EQ(is_quick(task), quick);
  task.offsets = offsets.data();
  task.status = &status;
  const auto count = static_cast<std::uint32_t>(ceil_div(task.tiles, span_chunks * chunk_strips));
  std::vector<std::uint32_t> spikes(count * (1 + span_chunks));
  const Spans spans{chunk_strips, count, spikes.data()};
  std::vector<std::pair<std::uint64_t, std::uint32_t>> places(expected.size());
  emulation::launch([&] { count_spans<quick>(task, spans, true); }, count, strip_threads);
  emulation::launch([&] { write_spans<quick>(task, EmitPlaces{&places}, spans); }, count,
                    strip_threads, span_chunks * sizeof(SpanMember));
  EXPECT_EQ(places, expected) << m << ", " << k << ", " << chunk_strips;
  EXPECT_EQ(offsets, expected_offsets) << m << ", " << k << ", " << chunk_strips;
  EXPECT_EQ(status.nnz, expected.size());
  EXPECT_EQ(status.needed, expected.size());
  EXPECT_EQ(status.lost, 0u);
  EXPECT_EQ(status.first_invalid, EncodeStatus::none_invalid);
}

TEST(Primitives, SpansAreWrittenWhereTheirCountsSay) {
  for (const std::uint32_t chunk_strips : {1u, 3u, 7u}) {
    check_spans<true>(700, 256, chunk_strips);
    check_spans<true>(5, 20096, chunk_strips);  // parts of rows
    check_spans<false>(431, 300, chunk_strips);
    check_spans<false>(3, 9001, chunk_strips);
  }
}

}  // namespace
}  // namespace spiketune::cuda
