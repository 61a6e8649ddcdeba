#include "spiketune/encoders/two_four.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/tile.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a spike of the residual. Slots are where they are whatever the other rows hold, so the
/// tile writes them on the side.
struct EmitTwoFour {
  TwoFour two_four;
  ValueSource source;

  __device__ std::uint32_t mask(const TileBits& bits, std::uint32_t row, std::uint32_t w) const {
    return two_four.prune() ? 0 : split_groups(bits.words[row * bits.words_per_row + w]).residual;
  }
  __device__ void store(std::uint64_t position, const TileBits& bits, std::uint32_t row,
                        std::uint32_t column) const {
    store_index(two_four.residual_column_indices, position, column);
    source.copy_to(two_four.residual_values, position, bits.first_row + row, column);
  }
  /// A thread makes a word of presence, from two words of spikes.
  __device__ void rest(const TileBits& bits) const {
    if (two_four.words_per_row == 0) return;  // no columns: the tile's word is not there
    const std::uint32_t pairs = (bits.words_per_row + 1) / 2;
    std::uint32_t beyond = 0;
    for (std::uint32_t i = threadIdx.x; i < bits.rows * pairs; i += tile_threads) {
      const std::uint32_t row = i / pairs;
      const std::uint32_t pair = i - row * pairs;
      const std::uint64_t out = bits.first_row + row;
      const std::uint32_t first_word = bits.first_word + 2 * pair;
      std::uint32_t presence = 0;
      for (std::uint32_t half = 0; half < 2 && 2 * pair + half < bits.words_per_row; ++half) {
        const SplitGroups split = split_groups(bits.word(row, 2 * pair + half));
        two_four.metadata[out * two_four.words_per_row + first_word + half] = split.metadata;
        presence |= split.presence << (16 * half);
        beyond += count_bits(split.residual);
        store_slot_values(two_four, source, out, first_word + half, split.metadata, split.presence);
      }
      two_four.presence[out * two_four.presence_words_per_row() + first_word / 2] = presence;
    }
    if (two_four.prune()) add_to(&two_four.status->lost, beyond);
  }
  __device__ std::uint64_t capacity() const { return two_four.capacity; }
};

TileTask plan_two_four(const SpikeView& spikes, const TwoFour& two_four) {
  return plan_tiles(spikes, two_four.layout.row_order, 1, 1);
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes,
                                   const TwoFour& two_four) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::tile_states(cuda::plan_two_four(spikes, two_four)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const TwoFour& two_four,
            Workspace workspace) {
  check_encode(spikes, two_four, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_two_four(spikes, two_four);
  auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitTwoFour{two_four, value_source(spikes, two_four.layout.row_order)},
                  two_four.prune() ? nullptr : two_four.residual_row_offsets.data, two_four.status,
                  states);
}

template void decode(const CudaContext&, const TwoFour&, const MutableSpikeView&);

}  // namespace spiketune
