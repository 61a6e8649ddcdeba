#include "spiketune/encoders/bitmap.hpp"

#include <cstring>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"

namespace spiketune {
namespace {

void encode_tiles(const HostContext& context, const BitRows& bits, const Bitmap& bitmap) {
  constexpr std::uint32_t size = Bitmap::tile_size;
  const std::uint64_t columns = bitmap.tile_columns();
  parallel_for(context, bitmap.occupied.size, 16, [&](std::uint64_t tile) {
    std::uint32_t* words = &bitmap.words[tile * 2 * size];
    std::uint32_t any = 0;
    for (std::uint32_t i = 0; i < 2 * size; ++i) {
      const std::uint64_t row = tile / columns * size + i / 2;
      const auto w = static_cast<std::uint32_t>(tile % columns * 2 + i % 2);
      words[i] = row < bits.m && w < bits.words_per_row() ? bits.word(row, w) : 0;
      any |= words[i];
    }
    bitmap.occupied[tile] = any != 0;
  });
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes,
                                   const Bitmap& bitmap) {
  WorkspaceCarver carver;
  if (bitmap.params.tiles) {
    carver.take<std::uint32_t>(packed_words(spikes));
  }
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Bitmap& bitmap,
            Workspace workspace) {
  check_encode(spikes, bitmap, Space::host);
  const RowOrder order = bitmap.layout.row_order;
  BitRows bits{bitmap.words.data,
               spikes.shape.m(),
               spikes.shape.k,
               {spikes.shape.timesteps, spikes.shape.rows, order, order}};
  if (!bitmap.params.tiles) {
    pack_into(context, spikes, order, bitmap.words.data, bitmap.status);
  } else {
    WorkspaceCarver carver(workspace);
    bits = pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)),
                bitmap.status);
    encode_tiles(context, bits, bitmap);
  }
  if (bitmap.values.type == DType::bit) return;
  const ValueSource source = value_source(spikes, order);
  fill(context, bitmap.values.data, 0, bitmap.values.bytes());
  parallel_for(context, bits.m, 64, [&](std::uint64_t row) {
    host::for_each_bit(bits, row, [&](std::uint32_t column) {
      source.copy_to(bitmap.values, row * bits.k + column, row, column);
    });
  });
}

template void decode(const HostContext&, const Bitmap&, const MutableSpikeView&);

}  // namespace spiketune
