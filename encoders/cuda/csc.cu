// Spikes to CSC: a transposition of bits, then CSR of the result.
//
// Bytes: the input once, its bits written and read once more (they mostly stay in L2), and the
// result once.

#include "spiketune/encoders/csc.hpp"

#include "spiketune/core/cuda/transpose_bits.cuh"
#include "spiketune/encoders/cuda/groups.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t rows_per_tile = 256;  ///< or a multiple

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
      rows[i] = transpose_bits(bits.word((strip * blocks + i) * 32 + lane, w));
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

/// Rows of a block of transpose_octets, which has 16 pieces of each.
constexpr std::uint32_t octet_block_rows = 256;

/// Word `word` of the masks of an octet in shared memory: so that neither who packs nor who
/// transposes meets others in a bank.
template <DType storage>
__device__ std::uint32_t masks_at(std::uint32_t octet, std::uint32_t word) {
  constexpr std::uint32_t words = 16 * OctetMasks<storage>::count;
  return octet * words + (word ^ (octet / 8 * 8 % words));
}

/// The same for rows of whole pieces. A lane packs eight rows at once, whose bits are bytes of
/// columns; bytes of eight octets then become words of four columns.
template <DType storage>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    transpose_octets(const __grid_constant__ TileTask task, std::uint32_t* columns,
                     std::uint32_t blocks_per_row) {
  constexpr std::uint32_t elements = 128 / bits_of(storage);
  constexpr std::uint32_t count = OctetMasks<storage>::count;
  __shared__ alignas(16) std::uint32_t masks[octet_block_rows / 8 * 16 * count];
  const std::uint32_t down = blockIdx.x / blocks_per_row;
  const std::uint32_t across = blockIdx.x - down * blocks_per_row;
  const std::uint32_t row_pieces = task.k / elements;
  const std::uint32_t piece = threadIdx.x % 16;
  const bool there = 16 * across + piece < row_pieces;
  TileBits tile(task, down, nullptr);
  tile.first_word = across * (elements / 2);
  tile.words_per_row = elements / 2;
  const TileRows source(task.map, tile.first_row);
  const uint4* input = static_cast<const uint4*>(task.data) + 16 * across + piece;
  for (std::uint32_t octet = threadIdx.x / 16; octet < octet_block_rows / 8;
       octet += tile_threads / 16) {
    uint4 rows[8];
#pragma unroll
    for (std::uint32_t r = 0; r < 8; ++r) {
      const std::uint32_t row = 8 * octet + r;
      rows[r] = there && row < tile.rows ? __ldcs(input + source.source(row) * row_pieces)
                                         : uint4{0, 0, 0, 0};
    }
    const OctetMasks<storage> packed([&](std::uint32_t r) { return rows[r]; }, task.kind);
    packed.store(masks + masks_at<storage>(octet, piece * count));
    if (packed.invalid == 0) continue;
#pragma unroll
    for (std::uint32_t r = 0; r < 8; ++r) {
      report_piece<storage>(task, tile, rows[r], task.kind, (8 * octet + r) * 16 + piece);
    }
  }
  __syncthreads();
  const std::uint64_t column_words = ceil_div(task.m, 32);
  for (std::uint32_t i = threadIdx.x; i < 4 * 16 * count; i += tile_threads) {
    const std::uint32_t part = i % 4;  // 64 rows
    const std::uint32_t column = (16 * across) * elements + i / 4 * 4;
    if (column >= task.k) continue;
    std::uint32_t words[2][4];  // of four columns
#pragma unroll
    for (std::uint32_t half = 0; half < 2; ++half) {
      std::uint32_t of[4];
#pragma unroll
      for (std::uint32_t octet = 0; octet < 4; ++octet) {
        of[octet] = masks[masks_at<storage>(8 * part + 4 * half + octet, i / 4)];
      }
      const std::uint32_t low[2] = {__byte_perm(of[0], of[1], 0x5140),
                                    __byte_perm(of[2], of[3], 0x5140)};
      const std::uint32_t high[2] = {__byte_perm(of[0], of[1], 0x7362),
                                     __byte_perm(of[2], of[3], 0x7362)};
      words[half][0] = __byte_perm(low[0], low[1], 0x5410);
      words[half][1] = __byte_perm(low[0], low[1], 0x7632);
      words[half][2] = __byte_perm(high[0], high[1], 0x5410);
      words[half][3] = __byte_perm(high[0], high[1], 0x7632);
    }
    const std::uint64_t first = tile.first_row / 32 + 2 * part;
    std::uint32_t* out = columns + column * column_words + first;
#pragma unroll
    for (std::uint32_t c = 0; c < 4; ++c, out += column_words) {
      if (column_words % 2 == 0 && first < column_words) {
        *reinterpret_cast<uint2*>(out) = {words[0][c], words[1][c]};
      } else {
        if (first < column_words) out[0] = words[0][c];
        if (first + 1 < column_words) out[1] = words[1][c];
      }
    }
  }
}

/// Writes the bits of the columns.
template <DType storage>
void transpose_rows(const CudaContext& context, TileTask task, std::uint32_t* columns) {
  if constexpr (packs_octets<storage>) {
    if (task.wide) {
      task.rows_per_tile = octet_block_rows;
      task.parts = 1;
      const std::uint64_t across = ceil_div(task.k, 16 * 128 / bits_of(storage));
      task.tiles = across * ceil_div(task.m, octet_block_rows);
      transpose_octets<storage><<<tile_blocks(task), tile_threads, 0, context.stream>>>(
          task, columns, static_cast<std::uint32_t>(across));
      return check_launch();
    }
  }
  pack_columns<storage>
      <<<tile_blocks(task), tile_threads, packed_bytes<storage>, context.stream>>>(task, columns);
  check_launch();
}

/// Rows of the transposed matrix are columns.
struct EmitCsc {
  static constexpr bool each_spike = true;
  Csc csc;
  ValueSource source;

  [[nodiscard]] bool is_pattern() const { return csc.values.type == DType::bit; }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& strip, const StripUnits<storage>& units,
                        std::uint64_t first) const {
    store_strip<storage>(
        units, first, csc.capacity, pattern || csc.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t row = strip.column_of(unit);
          store_index(csc.row_indices, at, row);
          if constexpr (pattern) return;
          source.copy_to(csc.values, at, row,
                         static_cast<std::uint32_t>(strip.first_row) + strip.row_of(unit));
        },
        [&](std::uint64_t at, const uint4& eight) {
          store_columns(strip, csc.row_indices, at, eight);
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
    task = plan_strips(columns, columns.row_order);
    task.states = carver.take<std::uint64_t>(ceil_div(span_words(task), 2));
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
  cuda::check_strips(scratch.task);
  cuda::reset_tiles(context, scratch.task, 0);
  if (spikes.shape.elements() == 0) {
    fill(context, csc.column_offsets.data, 0, csc.column_offsets.bytes());
    return;
  }
  cuda::TileTask task = cuda::plan_tiles(spikes, order, cuda::rows_per_tile);
  task.status = csc.status;
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    cuda::transpose_rows<storage>(
        context, task, static_cast<std::uint32_t*>(const_cast<void*>(scratch.columns.data)));
  });
  cuda::launch_spans(context, scratch.task, cuda::EmitCsc{csc, value_source(spikes, order)}, false);
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
