#include "spiketune/encoders/bsr.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/place.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a block, bit i of the word in which it begins: the i-th block of that word.
struct EmitBsr {
  static constexpr bool each_spike = false;
  static constexpr bool unites_rows = true;
  static constexpr bool needs_spare = false;
  Bsr bsr;
  ValueSource source;

  __device__ const std::uint32_t* units(const TileBits& bits, std::uint32_t* scratch,
                                        Tally* tally) const {
    const std::uint32_t b = bsr.block_size();
    return unite_rows(bits, b, (b + 31) / 32, scratch, tally, [&](std::uint32_t any) {
      std::uint32_t blocks = 0;
      for (std::uint32_t i = 0; i * b < 32; ++i) {
        blocks |= std::uint32_t{(any >> (i * b) & low_mask(b)) != 0} << i;
      }
      return blocks;
    });
  }
  /// Word `i` of the pattern of a block.
  template <std::uint32_t b>
  static __device__ std::uint32_t pattern(const TileBits& bits, std::uint32_t unit,
                                          std::uint32_t i) {
    const std::uint32_t first = group_of(unit) * b;
    const std::uint32_t w = column_of(unit) / 32;
    if constexpr (b == 64) return bits.word(first + i / 2, w + i % 2);
    constexpr std::uint32_t rows = 32 / std::min(b, 32u);  // in a word of pattern
    const std::uint32_t shift = column_of(unit) % 32 * b;
    std::uint32_t result = 0;
#pragma unroll
    for (std::uint32_t r = 0; r < rows; ++r) {
      const std::uint32_t word = bits.word(first + i * rows + r, w);
      result |= (word >> shift & low_mask(b)) << (r * b % 32);
    }
    return result;
  }
  __device__ void store(const TileBits& bits, const Units& units, const std::uint32_t*,
                        std::uint64_t first) const {
    if (first >= bsr.capacity) return;
    const auto count =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(units.total, bsr.capacity - first));
    const std::uint32_t b = bsr.block_size();
    const auto block_column = [&](std::uint32_t unit) {
      const std::uint32_t column = 32 * (bits.first_word + column_of(unit) / 32);
      return column / b + column_of(unit) % 32;
    };
    for (std::uint32_t i = threadIdx.x; i < count; i += tile_threads) {
      store_index(bsr.block_column_indices, first + i, block_column(units.find(i).next()));
    }
    std::uint32_t* patterns = bsr.patterns.data + first * bsr.words_per_block();
    detail::with_block_size(bsr, [&]<std::uint32_t size>() {
      constexpr std::uint32_t per_block = size * size / 32;
      using Piece = std::conditional_t<per_block == 2, uint2, uint4>;  // of a block
      constexpr std::uint32_t words = sizeof(Piece) / sizeof(std::uint32_t);
      for (std::uint32_t i = threadIdx.x; i < count * (per_block / words); i += tile_threads) {
        const std::uint32_t unit = units.find(i / (per_block / words)).next();
        const std::uint32_t begin = i % (per_block / words) * words;
        Piece piece{pattern<size>(bits, unit, begin), pattern<size>(bits, unit, begin + 1)};
        if constexpr (words == 4) {
          piece.z = pattern<size>(bits, unit, begin + 2);
          piece.w = pattern<size>(bits, unit, begin + 3);
        }
        reinterpret_cast<Piece*>(patterns)[i] = piece;
      }
    });
    if (bsr.values.type == DType::bit) return;
    for (std::uint32_t i = threadIdx.x; i < count * b * b; i += tile_threads) {
      const std::uint32_t unit = units.find(i / (b * b)).next();
      const std::uint32_t r = i % (b * b) / b;
      const std::uint32_t column = block_column(unit) * b + i % b;
      const std::uint32_t word = bits.word(group_of(unit) * b + r, column / 32 - bits.first_word);
      copy_or_clear(source, bsr.values, first * b * b + i, bits.first_row + group_of(unit) * b + r,
                    column, (word >> (column % 32) & 1u) != 0);
    }
  }
};

TileTask plan_bsr(const SpikeView& spikes, const Bsr& bsr) {
  return plan_tiles(spikes, bsr.layout.row_order, bsr.block_size());
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Bsr& bsr) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::tile_states(cuda::plan_bsr(spikes, bsr)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Bsr& bsr,
            Workspace workspace) {
  check_encode(spikes, bsr, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_bsr(spikes, bsr);
  auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitBsr{bsr, value_source(spikes, bsr.layout.row_order)},
                  bsr.block_row_offsets.data, bsr.status, states);
}

template void decode(const CudaContext&, const Bsr&, const MutableSpikeView&);

}  // namespace spiketune
