// Spikes to CSC: a transposition of bits.
//
// Bytes: the packed bits twice (they stay in L2), a count for each column of each tile of 128 rows
// (1/4 of the bits), and the result once. A warp takes a tile of one word column, 32 rows at a
// time: each lane loads the word of a row, shuffles transpose the 32 × 32 bits, and each lane then
// has the rows of a column. Neighbouring warps of a block take neighbouring words, so that a sector
// of L2 that one lane asks for serves eight of them from L1.

#include "spiketune/encoders/csc.hpp"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t tile_rows = 128;

/// Bit b of lane a to bit a of lane b; all lanes call. Swaps ever smaller off-diagonal blocks
/// (Warren, Hacker's Delight, 7-3) with the lane that holds the other one.
__device__ std::uint32_t transpose(std::uint32_t word) {
  const std::uint32_t lane = threadIdx.x % 32;
  const auto swap = [&](std::uint32_t size, std::uint32_t low) {
    const std::uint32_t other = __shfl_xor_sync(all_lanes, word, size);
    word = (lane & size) != 0 ? (word & ~low) | (other & ~low) >> size
                              : (word & low) | (other & low) << size;
  };
  swap(16, 0x0000ffffu);
  swap(8, 0x00ff00ffu);
  swap(4, 0x0f0f0f0fu);
  swap(2, 0x33333333u);
  swap(1, 0x55555555u);
  return word;
}

/// Where a warp works: tile by tile, words of a tile side by side.
struct Place {
  __device__ explicit Place(const BitRows& bits)
      : tile(global_warp() / bits.words_per_row()),
        w(static_cast<std::uint32_t>(global_warp() % bits.words_per_row())),
        column(32 * w + threadIdx.x % 32) {}
  std::uint64_t tile;
  std::uint32_t w;
  std::uint32_t column;  ///< of the lane; may be K or above
};

/// visit(first_row, rows) for each 32 rows of the tile: bit i is the lane's column of row
/// first_row + i. All lanes call.
template <class Visit>
__device__ void for_each_block(const BitRows& bits, const Place& place, Visit&& visit) {
  for (std::uint32_t i = 0; i < tile_rows; i += 32) {
    const std::uint64_t first = place.tile * tile_rows + i;
    const std::uint64_t row = first + threadIdx.x % 32;
    visit(first, transpose(row < bits.m ? bits.word(row, place.w) : 0));
  }
}

/// counts[column][tile]
__global__ void count_tiles(const BitRows bits, std::uint64_t tiles, std::uint32_t* counts) {
  const Place place(bits);
  if (place.tile >= tiles) return;
  std::uint32_t count = 0;
  for_each_block(bits, place,
                 [&](std::uint64_t, std::uint32_t rows) { count += count_bits(rows); });
  if (place.column < bits.k) counts[place.column * tiles + place.tile] = count;
}

__global__ void fill_tiles(const BitRows bits, const ValueSource source, std::uint64_t tiles,
                           const std::uint32_t* offsets, const Csc csc) {
  const std::uint64_t nnz = csc.status->nnz;
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    csc.status->needed = nnz;
    csc.column_offsets[bits.k] = static_cast<std::uint32_t>(nnz);
  }
  const Place place(bits);
  if (place.tile >= tiles) return;
  std::uint64_t at = place.column < bits.k ? offsets[place.column * tiles + place.tile] : 0;
  if (place.tile == 0 && place.column < bits.k) {
    csc.column_offsets[place.column] = static_cast<std::uint32_t>(at);
  }
  if (nnz > csc.capacity) return;
  for_each_block(bits, place, [&](std::uint64_t first_row, std::uint32_t rows) {
    for (; rows != 0; rows &= rows - 1) {
      const std::uint64_t row = first_row + lowest_bit(rows);
      store_index(csc.row_indices, at, static_cast<std::uint32_t>(row));
      source.copy_to(csc.values, at, row, place.column);
      ++at;
    }
  });
}

/// A warp writes the spikes of a column.
__global__ void decode_columns(const Csc csc, const MutableSpikeView spikes, const RowMap map) {
  const std::uint64_t column = global_warp();
  if (column >= spikes.shape.k) return;
  const std::uint64_t end = csc.column_offsets[column + 1];
  for (std::uint64_t i = std::uint64_t{csc.column_offsets[column]} + threadIdx.x % 32; i < end;
       i += 32) {
    store_spike(spikes.data, spikes.storage, spikes.shape.k,
                map.source(load_index(csc.row_indices, i)), static_cast<std::uint32_t>(column),
                load_value(csc.values, i));
  }
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : tiles(ceil_div(spikes.shape.m(), tile_rows)),
        words(carver.take<std::uint32_t>(packed_words(spikes))),
        counts(carver.take<std::uint32_t>(tiles * spikes.shape.k)),
        scan_size(scan_bytes(tiles * spikes.shape.k)),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint64_t tiles;
  std::uint32_t* words;
  std::uint32_t* counts;
  std::size_t scan_size;
  void* scan;
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Csc&) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Csc& csc,
            Workspace workspace) {
  check_encode(spikes, csc, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes);
  const RowOrder order = csc.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, csc.status);
  if (spikes.shape.elements() == 0) {  // pack() left needed at 0
    fill(context, csc.column_offsets.data, 0, csc.column_offsets.bytes());
    return;
  }
  const unsigned blocks = cuda::warp_blocks(scratch.tiles * bits.words_per_row());
  cuda::count_tiles<<<blocks, cuda::block_threads, 0, context.stream>>>(bits, scratch.tiles,
                                                                        scratch.counts);
  cuda::check_launch();
  cuda::exclusive_scan(context, scratch.counts, scratch.tiles * bits.k, scratch.scan,
                       scratch.scan_size);
  cuda::fill_tiles<<<blocks, cuda::block_threads, 0, context.stream>>>(
      bits, value_source(spikes, order), scratch.tiles, scratch.counts, csc);
  cuda::check_launch();
}

template <>
void decode(const CudaContext& context, const Csc& csc, const MutableSpikeView& spikes) {
  check_decode(csc, spikes, Space::device);
  if (spikes.bytes() == 0) return;
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, csc.layout.row_order};
  fill(context, spikes.data, 0, spikes.bytes());
  cuda::decode_columns<<<cuda::warp_blocks(shape.k), cuda::block_threads, 0, context.stream>>>(
      csc, spikes, map);
  cuda::check_launch();
}

}  // namespace spiketune
