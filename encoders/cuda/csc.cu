// Spikes to CSC: a transposition of bits, then CSR of the result.
//
// Bytes: the input once, its bits written and read once more (they mostly stay in L2), and the
// result once.

#include "spiketune/encoders/csc.hpp"

#include "spiketune/encoders/cuda/place.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t rows_per_tile = 256;  ///< or a multiple

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

/// Packs a tile and writes it as bits of its columns: [K][ceil(M / 32)]. A warp transposes four
/// blocks of 32 × 32 bits, one below the other, of which each lane then has a piece of a column.
template <DType storage>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    pack_columns(const __grid_constant__ TileTask task, std::uint32_t* columns) {
  extern __shared__ uint4 shared[];
  auto* words = reinterpret_cast<std::uint32_t*>(shared);
  const TileBits bits(task, blockIdx.x, words);
  pack_tile<storage>(task, bits, words);
  __syncthreads();
  constexpr std::uint32_t blocks = 4;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t column_words = ceil_div(task.m, 32);
  const std::uint32_t items = (bits.rows + 32 * blocks - 1) / (32 * blocks) * bits.words_per_row;
  for (std::uint32_t item = threadIdx.x / 32; item < items; item += tile_threads / 32) {
    const std::uint32_t strip = item / bits.words_per_row;
    const std::uint32_t w = item - strip * bits.words_per_row;
    std::uint32_t rows[blocks];
#pragma unroll
    for (std::uint32_t i = 0; i < blocks; ++i) {
      rows[i] = transpose(bits.word((strip * blocks + i) * 32 + lane, w));
    }
    const std::uint64_t column = std::uint64_t{bits.first_word + w} * 32 + lane;
    if (column >= task.k) continue;
    const std::uint64_t first = bits.first_row / 32 + strip * blocks;
    std::uint32_t* out = columns + column * column_words + first;
    if (column_words % blocks == 0) {
      *reinterpret_cast<uint4*>(out) = {rows[0], rows[1], rows[2], rows[3]};
    } else {
      for (std::uint32_t i = 0; i < blocks && first + i < column_words; ++i) out[i] = rows[i];
    }
  }
}

/// Rows of the transposed matrix are columns.
struct EmitCsc {
  static constexpr bool each_spike = true;
  static constexpr bool unites_rows = false;
  static constexpr bool needs_spare = false;
  Csc csc;
  ValueSource source;

  __device__ const std::uint32_t* units(const TileBits& bits, std::uint32_t*, Tally*) const {
    return bits.words;
  }
  __device__ void store(const TileBits& bits, const Units& units, const std::uint32_t*,
                        std::uint64_t first) const {
    const std::uint32_t first_row = 32 * bits.first_word;
    store_units(
        units, first, csc.capacity, csc.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t row = first_row + column_of(unit);
          store_index(csc.row_indices, at, row);
          source.copy_to(csc.values, at, row,
                         static_cast<std::uint32_t>(bits.first_row) + group_of(unit));
        },
        [&](std::uint64_t at, const std::uint32_t(&of)[per_store]) {
          store_columns(csc.row_indices, at, of, first_row);
        });
  }
};

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
      : columns{nullptr,
                {1, spikes.shape.k, static_cast<std::uint32_t>(spikes.shape.m())},
                DType::bit,
                ValueKind::binary,
                RowOrder::time_major,
                Space::device} {
    columns.data = carver.take<std::uint32_t>(columns.bytes() / 4);
    task = plan_tiles(columns, columns.row_order, 1);
    task.states = carver.take<std::uint64_t>(tile_states(task));
  }
  SpikeView columns;  ///< the transpose, as bits
  TileTask task{};
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
  cuda::Scratch scratch(carver, spikes);
  const RowOrder order = csc.layout.row_order;
  scratch.task.offsets = csc.column_offsets.data;
  scratch.task.status = csc.status;
  cuda::reset_tiles(context, scratch.task);
  if (spikes.shape.elements() == 0) {
    fill(context, csc.column_offsets.data, 0, csc.column_offsets.bytes());
    return;
  }
  cuda::TileTask task = cuda::plan_tiles(spikes, order, cuda::rows_per_tile);
  task.status = csc.status;
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    cuda::pack_columns<storage><<<cuda::tile_blocks(task), cuda::tile_threads,
                                  cuda::packed_bytes<storage>, context.stream>>>(
        task, static_cast<std::uint32_t*>(const_cast<void*>(scratch.columns.data)));
  });
  cuda::check_launch();
  cuda::launch_tiles<DType::bit>(context, scratch.task,
                                 cuda::EmitCsc{csc, value_source(spikes, order)});
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
