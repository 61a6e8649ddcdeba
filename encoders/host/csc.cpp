#include "spiketune/encoders/csc.hpp"

#include <algorithm>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/pack.hpp"

namespace spiketune {
namespace {

/// The bits cut into tiles: counts[tile][column] says first how many spikes a tile has, then where
/// they go in the column.
struct Tiles {
  static constexpr std::uint32_t words = 16;  ///< per tile: a cache line of each row

  explicit Tiles(const SpikeShape& shape)
      : m(shape.m()),
        k(shape.k),
        rows(std::max<std::uint64_t>(256, ceil_div(m, 64))),
        row_tiles(ceil_div(m, rows)),
        column_tiles(ceil_div(k, 32 * words)) {}

  [[nodiscard]] std::uint64_t size() const { return row_tiles * column_tiles; }
  [[nodiscard]] std::uint64_t counts() const { return row_tiles * k; }
  /// Which counts belong to a tile.
  [[nodiscard]] std::uint64_t first_count(std::uint64_t tile) const {
    return tile / column_tiles * k + tile % column_tiles * (32 * words);
  }

  /// visit(row, column, column within the tile), rows ascending.
  template <class Visit>
  void for_each_bit(const BitRows& bits, std::uint64_t tile, Visit&& visit) const {
    const std::uint64_t first_row = tile / column_tiles * rows;
    const auto first_word = static_cast<std::uint32_t>(tile % column_tiles * words);
    const std::uint32_t last_word = std::min(first_word + words, bits.words_per_row());
    for (std::uint64_t row = first_row; row < std::min(m, first_row + rows); ++row) {
      for (std::uint32_t w = first_word; w < last_word; ++w) {
        for (std::uint32_t word = bits.word(row, w); word != 0; word &= word - 1) {
          const std::uint32_t column = 32 * w + lowest_bit(word);
          visit(row, column, column - 32 * first_word);
        }
      }
    }
  }

  std::uint64_t m;
  std::uint32_t k;
  std::uint64_t rows;  ///< per tile
  std::uint64_t row_tiles;
  std::uint64_t column_tiles;
};

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        counts(carver.take<std::uint32_t>(Tiles(spikes.shape).counts())) {}
  std::uint32_t* words;
  std::uint32_t* counts;
};

/// Turns counts into what the tiles above hold of each column, and makes column_offsets.
void scan_tiles(const HostContext& context, const Tiles& tiles, std::uint32_t* counts,
                const Csc& csc) {
  parallel_ranges(context, tiles.k, 4096, [&](std::uint64_t begin, std::uint64_t end) {
    std::fill(csc.column_offsets.data + begin, csc.column_offsets.data + end, 0u);
    for (std::uint64_t tile = 0; tile < tiles.row_tiles; ++tile) {
      for (std::uint64_t column = begin; column < end; ++column) {
        std::uint32_t& above = csc.column_offsets[column];
        const std::uint32_t here = counts[tile * tiles.k + column];
        counts[tile * tiles.k + column] = above;
        above += here;
      }
    }
  });
  std::uint32_t total = 0;
  for (std::uint64_t column = 0; column < tiles.k; ++column) {
    const std::uint32_t here = csc.column_offsets[column];
    csc.column_offsets[column] = total;
    total += here;
  }
  csc.column_offsets[tiles.k] = total;
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Csc&) {
  WorkspaceCarver carver;
  Scratch(carver, spikes);
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Csc& csc,
            Workspace workspace) {
  check_encode(spikes, csc, Space::host);
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, spikes);
  const RowOrder order = csc.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, csc.status);
  csc.status->needed = csc.status->nnz;
  if (csc.status->nnz > csc.capacity) return;
  const Tiles tiles(spikes.shape);
  fill(context, scratch.counts, 0, tiles.counts() * sizeof(std::uint32_t));
  parallel_for(context, tiles.size(), 1, [&](std::uint64_t tile) {
    std::uint32_t* counts = scratch.counts + tiles.first_count(tile);
    tiles.for_each_bit(bits, tile,
                       [&](std::uint64_t, std::uint32_t, std::uint32_t local) { ++counts[local]; });
  });
  scan_tiles(context, tiles, scratch.counts, csc);
  const ValueSource source = value_source(spikes, order);
  parallel_for(context, tiles.size(), 1, [&](std::uint64_t tile) {
    std::uint32_t* used = scratch.counts + tiles.first_count(tile);
    tiles.for_each_bit(
        bits, tile, [&](std::uint64_t row, std::uint32_t column, std::uint32_t local) {
          const std::uint64_t at = std::uint64_t{csc.column_offsets[column]} + used[local]++;
          store_index(csc.row_indices, at, static_cast<std::uint32_t>(row));
          source.copy_to(csc.values, at, row, column);
        });
  });
}

template <>
void decode(const HostContext& context, const Csc& csc, const MutableSpikeView& spikes) {
  check_decode(csc, spikes, Space::host);
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, csc.layout.row_order};
  fill(context, spikes.data, 0, spikes.bytes());
  // 32 columns are whole words of packed storage, so that no two threads write the same word.
  parallel_for(context, shape.k, 32, [&](std::uint64_t k) {
    const auto column = static_cast<std::uint32_t>(k);
    for_each_in_column(csc, column, [&](std::uint32_t row, float value) {
      store_spike(spikes.data, spikes.storage, shape.k, map.source(row), column, value);
    });
  });
}

}  // namespace spiketune
