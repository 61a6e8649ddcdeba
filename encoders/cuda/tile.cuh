#pragma once
/// \file
/// Tiles of the one-pass encoders: cut from the tensor, packed to bits in shared memory.
///
///   global --16-byte loads--> registers --pack--> shared (bits)
///
/// A tile is a run of whole groups of rows, 32 KB of input (8 KB where that is packed), or, where
/// one group is larger than that, a part of its columns. pack.cu keeps the bits; strips.cuh has
/// smaller tiles, of which warps make encodings.

#include <algorithm>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/pack.hpp"

namespace spiketune::cuda {

inline constexpr int tile_threads = 256;
inline constexpr int tile_blocks_per_sm = 4;  ///< at least: 64 registers a thread
/// Words of a tile that a thread owns.
constexpr std::uint32_t owned_words_of(DType storage) {
  return storage == DType::bit ? 8 : std::min(4u, 32 / bits_of(storage));
}
template <DType storage>
inline constexpr std::uint32_t owned_words = owned_words_of(storage);

/// a / b for a below 2^16 or so and b at most a few times that, without a division for each.
struct Divisor {
  std::uint32_t value = 1;
  std::uint32_t inverse = 0;  ///< ceil(2^32 / value); exact while a · value < 2^32

  Divisor() = default;
  SPIKETUNE_HD explicit Divisor(std::uint32_t divisor)
      : value(divisor), inverse(0xffffffffu / divisor + 1) {}
  [[nodiscard]] __device__ std::uint32_t quotient(std::uint32_t a) const {
    return value == 1 ? a : static_cast<std::uint32_t>((std::uint64_t{a} * inverse) >> 32);
  }
};

struct TileTask {
  const void* data;
  std::uint64_t m;
  std::uint32_t k;
  std::uint32_t words_per_row;  ///< at least 1: a matrix without columns has empty words
  ValueKind kind;
  RowMap map;  ///< wanted row -> row of data
  std::uint32_t rows_per_tile;
  std::uint32_t rows_per_group;
  std::uint32_t groups_per_tile;
  std::uint32_t part_words;  ///< words of a row in a tile
  Divisor per_part;          ///< by that
  std::uint32_t parts;       ///< tiles side by side; 1 unless rows are very long
  std::uint64_t tiles;
  std::uint32_t plain;     ///< the first of them: whole rows, as many as a tile can have
  bool wide;               ///< rows are made of whole 16-byte pieces of whole words
  std::uint32_t* offsets;  ///< [groups + 1], or null
  EncodeStatus* status;
  std::uint64_t* states;  ///< [tiles + 1]: counts, then positions, of tiles; how many are taken
};

/// Bits of one tile in shared memory.
struct TileBits {
  std::uint32_t* words;
  std::uint64_t first_row;
  std::uint64_t first_group;
  std::uint32_t first_word;  ///< of the row
  std::uint32_t rows;
  std::uint32_t words_per_row;  ///< in this tile

  /// A 32-bit index is divided in a fraction of the time.
  template <class Index>
  __device__ TileBits(const TileTask& task, Index tile, std::uint32_t* shared)
      : words(shared), first_row(tile), first_word(0) {
    if (tile < task.plain) {
      const auto index = static_cast<std::uint32_t>(tile);
      first_group = std::uint64_t{index} * task.groups_per_tile;
      first_row = std::uint64_t{index} * task.rows_per_tile;
      rows = task.rows_per_tile;
      words_per_row = task.part_words;
      return;
    }
    if (task.parts > 1) {
      first_row = tile / task.parts;
      first_word = static_cast<std::uint32_t>(tile - first_row * task.parts) * task.part_words;
    }
    first_group = first_row * task.groups_per_tile;
    first_row *= task.rows_per_tile;
    rows =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(task.rows_per_tile, task.m - first_row));
    words_per_row = std::min(task.part_words, task.words_per_row - first_word);
  }
  [[nodiscard]] __device__ std::uint32_t total_words() const { return rows * words_per_row; }
  [[nodiscard]] __device__ std::uint32_t word(std::uint32_t row, std::uint32_t w) const {
    return row < rows && w < words_per_row ? words[row * words_per_row + w] : 0;
  }
};

/// Rows of a tile in the tensor's own order. A long division for the tile, none for a row.
class TileRows {
 public:
  __device__ TileRows(const RowMap& map, std::uint64_t first_row)
      : same_(map.from == map.to), first_(first_row), inner_(1), outer_(0), near_(1) {
    if (same_) return;
    inner_ = map.to == RowOrder::token_major ? map.timesteps : map.rows;
    outer_ = map.to == RowOrder::token_major ? map.rows : map.timesteps;
    quotient_ = first_row / inner_;
    first_ = first_row - quotient_ * inner_;
    if (inner_ <= largest_near) near_ = Divisor(static_cast<std::uint32_t>(inner_));
  }
  /// Row `row` of the tile; below 2^16.
  [[nodiscard]] __device__ std::uint64_t source(std::uint32_t row) const {
    if (same_) return first_ + row;
    const std::uint64_t at = first_ + row;
    const std::uint64_t quotient = inner_ <= largest_near
                                       ? near_.quotient(static_cast<std::uint32_t>(at))
                                       : static_cast<std::uint64_t>(at >= inner_);
    return (at - quotient * inner_) * outer_ + quotient_ + quotient;
  }

 private:
  static constexpr std::uint64_t largest_near = 8192;  ///< more than a tile has rows
  bool same_;
  std::uint64_t first_;
  std::uint64_t inner_;
  std::uint64_t outer_;
  std::uint64_t quotient_ = 0;
  Divisor near_;
};

/// Exclusive sum over the block, and the total; all threads call, and pass a barrier between calls.
__device__ inline std::uint32_t block_exclusive_sum(std::uint32_t value, std::uint32_t* total) {
  __shared__ std::uint32_t warp_sums[tile_threads / 32];
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t before_in_warp = warp_exclusive_sum(value);
  if (threadIdx.x % 32 == 31) warp_sums[warp] = before_in_warp + value;
  __syncthreads();
  std::uint32_t before = 0;
  std::uint32_t all = 0;
#pragma unroll
  for (std::uint32_t other = 0; other < tile_threads / 32; ++other) {
    if (other < warp) before += warp_sums[other];
    all += warp_sums[other];
  }
  *total = all;
  return before + before_in_warp;
}

/// Adds the values of a block's threads to a counter of the status: one atomic for the tile, since
/// those at one address wait for each other. All threads call.
__device__ inline void add_to(std::uint64_t* counter, std::uint32_t value) {
  __shared__ std::uint32_t total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  const std::uint32_t sum = warp_sum(value);
  if (threadIdx.x % 32 == 0 && sum != 0) atomicAdd(&total, sum);
  __syncthreads();
  if (threadIdx.x == 0 && total != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(counter),
              static_cast<unsigned long long>(total));
  }
}

/// What a block counts over all its tiles, a thread its share.
struct Tally {
  std::uint32_t spikes = 0;
  std::uint32_t lost = 0;
};

/// Adds what a block has counted to the status. All threads call.
__device__ inline void add_tally(EncodeStatus* status, const Tally& tally) {
  add_to(&status->nnz, tally.spikes);
  __syncthreads();  // both are added up in the same shared word
  add_to(&status->lost, tally.lost);
}

/// Raises a counter to the largest of a block's values. All threads call.
__device__ inline void raise_to(std::uint64_t* counter, std::uint32_t value) {
  const std::uint32_t most = __reduce_max_sync(all_lanes, value);
  // Few rows are longer than all before them: a look spares the others the atomic.
  if (threadIdx.x % 32 == 0 && most > *static_cast<volatile std::uint64_t*>(counter)) {
    atomicMax(reinterpret_cast<unsigned long long*>(counter),
              static_cast<unsigned long long>(most));
  }
}

/// Columns first .. first + 31 of a row of the tensor to a word, whatever K and the alignment are:
/// read in aligned words of four bytes, and shifted.
template <DType storage>
__device__ Packed pack_ragged_word(const TileTask& task, std::uint64_t row, std::uint32_t first) {
  constexpr std::uint32_t each = 32 / bits_of(storage);  // elements in four bytes
  const std::uint32_t there = std::min(32u, task.k - first);
  Packed packed{0, 0};
  const auto add = [&](std::uint32_t word, std::uint32_t i) {
    const Packed part = pack_word<storage>(word, task.kind);
    packed.bits |= part.bits << (i * each);
    packed.invalid |= part.invalid << (i * each);
  };
  if constexpr (storage == DType::bit || storage == DType::u2) {  // rows are made of whole words
    const auto* words = static_cast<const std::uint32_t*>(task.data) +
                        (row * ceil_div(task.k, each) + first / each);
#pragma unroll
    for (std::uint32_t i = 0; i < 32 / each; ++i) {
      if (i * each < there) add(words[i], i);
    }
  } else {
    constexpr std::uint32_t bytes = bits_of(storage) / 8;
    const auto data = reinterpret_cast<std::uintptr_t>(task.data);
    const std::uintptr_t at = data + (row * task.k + first) * bytes;
    const auto beyond = static_cast<std::uint32_t>(at % 4);
    const std::uint32_t count = (beyond + there * bytes + 3) / 4;
    if (at - beyond < data || at - beyond + 4 * count > data + task.m * task.k * bytes) {
      for (std::uint32_t i = 0; i < there; ++i) {  // four bytes would be more than the tensor has
        const Packed one = pack_element<storage>(
            load_pattern<storage>(task.data, task.k, row, first + i), task.kind);
        packed.bits |= one.bits << i;
        packed.invalid |= one.invalid << i;
      }
      return packed;
    }
    const auto* words = reinterpret_cast<const std::uint32_t*>(at - beyond);
    std::uint32_t low = words[0];
#pragma unroll 8
    for (std::uint32_t i = 0; i < 32 / each; ++i) {
      const std::uint32_t high = i + 1 < count ? words[i + 1] : 0;
      add(static_cast<std::uint32_t>((std::uint64_t{high} << 32 | low) >> (8 * beyond)), i);
      low = high;
    }
  }
  return {packed.bits & low_mask(there), packed.invalid & low_mask(there)};
}

/// Packs words first_index, first_index + stride, … of a tile of any K and alignment. One thread
/// calls.
template <DType storage>
__device__ void pack_ragged(const TileTask& task, const TileBits& tile, std::uint32_t* words,
                            std::uint32_t first_index, std::uint32_t stride) {
  const TileRows rows(task.map, tile.first_row);
  const Divisor per_row(tile.words_per_row);
  for (std::uint32_t i = first_index; i < tile.total_words(); i += stride) {
    const std::uint32_t row = per_row.quotient(i);
    const std::uint32_t first = (tile.first_word + i - row * tile.words_per_row) * 32;
    Packed packed{0, 0};
    if (task.k != 0) packed = pack_ragged_word<storage>(task, rows.source(row), first);
    if (packed.invalid != 0) {
      report_invalid(task.status, rows.source(row) * task.k + first + lowest_bit(packed.invalid));
    }
    words[i] = packed.bits;
  }
}

/// The same for a whole block. Out of line: the kernels are long, and instructions have to be
/// fetched too.
template <DType storage>
__device__ __noinline__ void pack_ragged_tile(const TileTask& task, TileBits tile,
                                              std::uint32_t* words) {
  pack_ragged<storage>(task, tile, words, threadIdx.x, tile_threads);
}

/// Pieces of 16 bytes in a tile that is as large as can be.
template <DType storage>
inline constexpr std::uint32_t tile_pieces = tile_threads* owned_words<storage> * 32 *
                                             bits_of(storage) / 128;

template <DType storage>
__device__ std::uint32_t pieces_of(const TileBits& tile) {
  return tile.total_words() * bits_of(storage) / 4;
}

/// use(place), where place(i) points to the i-th piece of a tile.
template <DType storage, class Use>
__device__ void with_places(const TileTask& task, const TileBits& tile, Use&& use) {
  constexpr std::uint32_t elements = 128 / bits_of(storage);
  const std::uint64_t row_pieces = task.k / elements;
  const auto* input = static_cast<const uint4*>(task.data);
  if (task.map.from == task.map.to && task.parts == 1) {
    input += tile.first_row * row_pieces;
    use([&](std::uint32_t i) { return input + i; });
  } else {
    const TileRows rows(task.map, tile.first_row);
    const Divisor per_row(tile.words_per_row * 32 / elements);
    input += std::uint64_t{tile.first_word} * 32 / elements;
    use([&](std::uint32_t i) {
      const std::uint32_t row = per_row.quotient(i);
      return input + rows.source(row) * row_pieces + (i - row * per_row.value);
    });
  }
}

/// Piece `i` of a tile has invalid elements: reports the first. By value: a reference would keep
/// every piece in local memory.
template <DType storage>
__device__ __noinline__ void report_piece(const TileTask& task, TileBits tile, uint4 piece,
                                          ValueKind kind, std::uint32_t i) {
  constexpr std::uint32_t elements = 128 / bits_of(storage);
  const std::uint32_t per_row = tile.words_per_row * 32 / elements;
  const std::uint64_t row = task.map.source(tile.first_row + i / per_row);
  const std::uint64_t first = row * task.k + tile.first_word * 32 + i % per_row * elements;
  const std::uint32_t parts[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
  for (std::uint32_t part = 0; part < 4; ++part) {
    const std::uint32_t invalid = pack_word<storage>(parts[part], kind).invalid;
    if (invalid == 0) continue;
    report_invalid(task.status, first + part * (elements / 4) + lowest_bit(invalid));
    return;
  }
}

/// Packs pieces to bits of shared memory; load(i) gives them. `whole`: the tile has all that a tile
/// can have.
template <DType storage, bool binary, bool whole, class Load>
__device__ void pack_pieces(const TileTask& task, const TileBits& tile, std::uint32_t* words,
                            Load&& load) {
  constexpr int unroll = std::min(4, static_cast<int>(tile_pieces<storage>) / tile_threads);
  const std::uint32_t pieces = whole ? tile_pieces<storage> : pieces_of<storage>(tile);
  const ValueKind kind = binary ? ValueKind::binary : task.kind;
  for (std::uint32_t begin = threadIdx.x; begin - threadIdx.x < pieces;
       begin += tile_threads * unroll) {
    uint4 loaded[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint32_t i = begin + u * tile_threads;
      loaded[u] = whole || i < pieces ? load(i) : uint4{0, 0, 0, 0};
    }
    std::uint32_t invalid = 0;
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint32_t i = begin + u * tile_threads;
      if constexpr (storage == DType::bit) {
        if (whole || i < pieces) reinterpret_cast<uint4*>(words)[i] = loaded[u];
      } else {
        PackedPiece<storage> piece = pack_piece<storage>(loaded[u], kind);
        invalid |= piece.invalid;
        if constexpr (storage == DType::f32) {  // two lanes make a byte
          piece.bits |= __shfl_down_sync(all_lanes, piece.bits, 1) << 4;
          if ((whole || i < pieces) && i % 2 == 0) {
            reinterpret_cast<std::uint8_t*>(words)[i / 2] = static_cast<std::uint8_t>(piece.bits);
          }
        } else if (whole || i < pieces) {
          using Bits = std::conditional_t<
              storage == DType::u2, std::uint64_t,
              std::conditional_t<storage == DType::u8, std::uint16_t, std::uint8_t>>;
          reinterpret_cast<Bits*>(words)[i] = static_cast<Bits>(piece.bits);
        }
      }
    }
    if (invalid == 0) continue;
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint32_t i = begin + u * tile_threads;
      if (i < pieces) report_piece<storage>(task, tile, loaded[u], kind, i);
    }
  }
}

/// Packs a tile into shared memory. All threads call; a barrier must follow.
template <DType storage>
__device__ void pack_tile(const TileTask& task, const TileBits& tile, std::uint32_t* words) {
  if (!task.wide) return pack_ragged_tile<storage>(task, tile, words);
  with_places<storage>(task, tile, [&](auto place) {
    const auto load = [&](std::uint32_t i) { return __ldcs(place(i)); };
    if (storage != DType::bit && task.kind != ValueKind::binary) {
      pack_pieces<storage, storage == DType::bit, false>(task, tile, words, load);
    } else if (pieces_of<storage>(tile) == tile_pieces<storage>) {
      pack_pieces<storage, true, true>(task, tile, words, load);
    } else {
      pack_pieces<storage, true, false>(task, tile, words, load);
    }
  });
}

__global__ static void clear_tiles(EncodeStatus* status, std::uint64_t* states, std::uint64_t count,
                                   std::uint32_t* offsets) {
  start_dependents();
  const std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i == 0) *status = {0, 0, 0, EncodeStatus::none_invalid};
  if (i == 0 && offsets != nullptr) *offsets = 0;
  if (i < count) states[i] = 0;
}

/// How a matrix is cut into tiles of up to `words` words for an encoder whose units come from
/// `rows_per_group` rows.
inline TileTask plan_tiles(const SpikeView& spikes, RowOrder order, std::uint32_t rows_per_group,
                           std::uint32_t words) {
  const SpikeShape& shape = spikes.shape;
  TileTask task{};
  task.data = spikes.data;
  task.m = shape.m();
  task.k = shape.k;
  task.words_per_row = std::max(1u, static_cast<std::uint32_t>(ceil_div(shape.k, 32)));
  task.kind = spikes.kind;
  task.map = {shape.timesteps, shape.rows, spikes.row_order, order};
  task.rows_per_group = rows_per_group;
  task.part_words = std::min(task.words_per_row, words / rows_per_group);
  task.per_part = Divisor(task.part_words);
  task.parts = static_cast<std::uint32_t>(ceil_div(task.words_per_row, task.part_words));
  const std::uint32_t groups = words / (task.part_words * rows_per_group);
  task.groups_per_tile = task.parts > 1 ? 1 : groups;
  task.rows_per_tile = task.groups_per_tile * rows_per_group;
  task.tiles = ceil_div(task.m, task.rows_per_tile) * task.parts;
  task.plain = static_cast<std::uint32_t>(
      task.parts > 1 ? 0 : std::min<std::uint64_t>(task.m / task.rows_per_tile, 0xffffffffu));
  const std::uint32_t piece = 128 / bits_of(spikes.storage);
  task.wide = shape.k != 0 && shape.k % std::max(piece, 32u) == 0 &&
              reinterpret_cast<std::uintptr_t>(spikes.data) % 16 == 0;
  return task;
}

/// The same for tiles of as many words as their kernels' threads own.
inline TileTask plan_tiles(const SpikeView& spikes, RowOrder order, std::uint32_t rows_per_group) {
  return plan_tiles(spikes, order, rows_per_group, tile_threads * owned_words_of(spikes.storage));
}

/// Shared memory for the bits of a tile.
template <DType storage>
inline constexpr std::size_t packed_bytes = tile_threads* owned_words<storage> *
                                            sizeof(std::uint32_t);

/// Lets a kernel have as much shared memory of the current device as it wants.
template <class Kernel>
void allow_shared(Kernel* kernel, std::size_t bytes) {
  static thread_local KernelAnswers<std::size_t> allowed;
  int device = 0;
  check(cudaGetDevice(&device));
  std::size_t& before = allowed[{reinterpret_cast<const void*>(kernel), device}];
  if (bytes <= before) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  before = bytes;
}

inline unsigned tile_blocks(const TileTask& task) {
  if (task.tiles > 0x7fffffffu) {
    throw Error(ErrorCode::unsupported, "the tensor is too large for one launch of the encoder");
  }
  return static_cast<unsigned>(task.tiles);
}

/// Words of the workspace for the counts and positions of tiles.
inline std::uint64_t tile_states(const TileTask& task) {
  return task.tiles + 1;
}

/// Clears the status, `states` words of states, and the one offset of a matrix without rows.
inline void reset_tiles(const CudaContext& context, const TileTask& task, std::uint64_t states) {
  std::uint32_t* last =
      task.offsets == nullptr ? nullptr : task.offsets + ceil_div(task.m, task.rows_per_group);
  clear_tiles<<<static_cast<unsigned>(ceil_div(std::max<std::uint64_t>(states, 1), 256)), 256, 0,
                context.stream>>>(task.status, task.states, states, last);
  check_launch();
}
inline void reset_tiles(const CudaContext& context, const TileTask& task) {
  reset_tiles(context, task, task.states == nullptr ? 0 : tile_states(task));
}

}  // namespace spiketune::cuda
