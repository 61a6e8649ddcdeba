#pragma once
/// \file
/// One-pass encoders: the dense tensor is read once, packed to bits in shared memory, counted,
/// placed, and expanded from the same bits.
///
///   global --copied ahead--> shared (raw) --pack--> shared (bits) --popcount, scan--> counts
///     bits --expand--> shared (staged);  counts --look-back over tiles--> offsets;
///     staged --> global
///
/// A tile is a run of whole groups of rows, 32 KB of input (8 KB where that is packed), or, where
/// one group is larger than that, a part of its columns. Blocks stay and take tile after tile.
/// While one tile is counted the input of the next is on its way, and the one before it is placed
/// and written: by then the tiles it looks back at have long told their counts. Bytes: the input
/// once and the encoding once. Bound by memory, but only just: an SM has about 60 instructions a
/// warp for each 1024 bytes.
///
/// pack.cu keeps the bits; encode_tiles() below places units (nonzeros, blocks, vectors) one after
/// another; slots.cuh puts them where rows have their slots. What is stored is up to an Emit; all
/// threads call its functions:
///
///   static constexpr bool each_spike     units are the spikes; if not, units() tallies those
///   const std::uint32_t* units(bits, scratch, tally)   words of units: bit i of word w of a group
///   of
///                                        rows is a unit. The bits themselves, or words in
///                                        `scratch`
///   static constexpr bool unites_rows    units() makes words in `scratch`
///   static constexpr bool needs_spare    it wants memory beside the staged units,
///   void prepare(bits, spare)            and fills it
///   static constexpr bool stores_bits    store() reads the bits
///   void store(bits, staged, spare, first, count)   writes staged units, see store_units(): group
///                                        << 16 | 32·w + bit
/// (D. Merrill and M. Garland, Single-pass Parallel Prefix Scan with Decoupled Look-back, 2016)

#include <cuda_pipeline_primitives.h>

#include <algorithm>
#include <cuda/atomic>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/pack.hpp"

namespace spiketune::cuda {

namespace atomics = ::cuda;

inline constexpr int tile_threads = 256;
inline constexpr int tile_blocks_per_sm = 4;  ///< at least: 64 registers a thread
/// Words of a tile that a thread owns.
constexpr std::uint32_t owned_words_of(DType storage) {
  return storage == DType::bit ? 8 : std::min(4u, 32 / bits_of(storage));
}
template <DType storage>
inline constexpr std::uint32_t owned_words = owned_words_of(storage);

/// Units that are staged at a time: four blocks have to share an SM. A tile of packed bits has
/// more, and more memory for them.
template <DType storage>
inline constexpr std::uint32_t staged_units = storage == DType::bit ? 6144 : 3072;

/// Words of that which an Emit may have to spare: eight bytes for each word of a tile.
template <DType storage>
inline constexpr std::uint32_t spare_words = 2 * tile_threads* owned_words<storage>;

/// Words of units of a tile that are not its bits: groups have four rows or more.
template <DType storage>
inline constexpr std::uint32_t unit_words = tile_threads* owned_words<storage> / 4;

/// a / b for a below 2^16 or so and b at most a few times that, without a division for each.
struct Divisor {
  std::uint32_t value = 1;
  std::uint32_t inverse = 0;  ///< ceil(2^32 / value); exact while a · value < 2^32

  Divisor() = default;
  __host__ __device__ explicit Divisor(std::uint32_t divisor)
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
  Divisor per_part;          ///< part_words, to find the row of a word
  std::uint32_t parts;       ///< tiles side by side; 1 unless rows are very long
  std::uint32_t tiles;
  bool wide;               ///< rows are made of whole 16-byte pieces of whole words
  bool contiguous;         ///< a tile's input is one run of memory
  std::uint32_t* offsets;  ///< [groups + 1], or null
  EncodeStatus* status;
  std::uint64_t* states;  ///< [tiles + 1]: look-back words, and how many tiles are taken
};

/// What a block counts over all its tiles, a thread its share.
struct Tally {
  std::uint32_t spikes = 0;
  std::uint32_t lost = 0;
};

/// Words of shared memory by their address there: a store is one instruction, where through a
/// pointer the compiler finds the address anew in every step of a loop.
class SharedWords {
 public:
  SharedWords() = default;
#if defined(__CUDA_ARCH__)
  __device__ explicit SharedWords(std::uint32_t* words)
      : at_(static_cast<std::uint32_t>(__cvta_generic_to_shared(words))) {}
  __device__ void store(std::uint32_t i, std::uint32_t value) const {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(at_ + 4 * i), "r"(value) : "memory");
  }
  /// The words from the i-th on.
  [[nodiscard]] __device__ SharedWords from(std::uint32_t i) const {
    SharedWords words;
    words.at_ = at_ + 4 * i;
    return words;
  }
  /// Stores the word `i` before these, if it is there: no branch.
  __device__ void store_below(std::uint32_t i, std::uint32_t value, bool there) const {
    asm volatile(
        "{ .reg .pred there; setp.ne.u32 there, %2, 0; @there st.shared.u32 [%0], %1; }" ::"r"(
            at_ - 4 * i),
        "r"(value), "r"(static_cast<std::uint32_t>(there))
        : "memory");
  }

 private:
  std::uint32_t at_;
#else
  explicit SharedWords(std::uint32_t* words) : at_(words) {}
  void store(std::uint32_t i, std::uint32_t value) const {
    at_[i] = value;
  }
  [[nodiscard]] SharedWords from(std::uint32_t i) const {
    return SharedWords(at_ + static_cast<std::int32_t>(i));
  }
  void store_below(std::uint32_t i, std::uint32_t value, bool there) const {
    if (there) *(at_ - i) = value;
  }

 private:
  std::uint32_t* at_;
#endif
};

/// Bits of one tile in shared memory.
struct TileBits {
  std::uint32_t* words;
  std::uint64_t first_row;
  std::uint64_t first_group;
  std::uint32_t first_word;  ///< of the row
  std::uint32_t rows;
  std::uint32_t words_per_row;  ///< in this tile

  __device__ TileBits(const TileTask& task, std::uint32_t tile, std::uint32_t* shared)
      : words(shared), first_row(tile), first_word(0) {
    if (task.parts > 1) {
      first_row = tile / task.parts;
      first_word = tile % task.parts * task.part_words;
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

using State = atomics::atomic_ref<std::uint64_t, atomics::thread_scope_device>;

/// Tells the tiles behind this one its own sum. One thread calls.
__device__ inline void publish(std::uint64_t* states, std::uint32_t tile, std::uint64_t aggregate) {
  State(states[tile]).store(aggregate << 2 | (tile == 0 ? 2 : 1), atomics::memory_order_relaxed);
}

/// The state `distance` tiles before the one behind `tile`; before the first all is known.
__device__ inline std::uint64_t state_before(std::uint64_t* states, std::uint32_t tile,
                                             std::uint32_t distance) {
  return distance < tile ? State(states[tile - 1 - distance]).load(atomics::memory_order_relaxed)
                         : 2;
}

/// Looks back from a tile. A state is value · 4 + flag; flag 0: nothing yet, 1: the tile's own sum,
/// 2: sum up to its end. Tiles are taken in order by blocks that run, and what a block publishes
/// waits for nothing but tiles before it, so that looking back cannot deadlock.
class LookBack {
 public:
  /// Asks for the states of the 64 tiles before; the answer is awaited by sum(), which finds it
  /// there if there was something to do in between. One warp calls.
  __device__ LookBack(std::uint64_t* states, std::uint32_t tile)
      : near_(state_before(states, tile, threadIdx.x % 32)),
        far_(state_before(states, tile, threadIdx.x % 32 + 32)) {}

  /// Sum of the aggregates of all tiles before `tile`, told to the tiles behind it. The same warp
  /// calls; all its lanes get it.
  [[nodiscard]] __device__ std::uint64_t sum(std::uint64_t* states, std::uint32_t tile,
                                             std::uint64_t aggregate) const {
    const std::uint32_t lane = threadIdx.x % 32;
    std::uint64_t before = 0;
    for (std::uint32_t distance = 0;; distance += 32) {
      std::uint64_t state = distance == 0 ? near_ : far_;
      for (bool known = distance <= 32; !known || __any_sync(all_lanes, (state & 3) == 0);) {
        state = state_before(states, tile, distance + lane);
        known = true;
      }
      const std::uint32_t ends = __ballot_sync(all_lanes, (state & 3) == 2);
      const std::uint32_t last = ends != 0 ? lowest_bit(ends) : 32;
      // A tile has at most 2^16 units, but what comes before it may be any number.
      before +=
          __reduce_add_sync(all_lanes, lane < last ? static_cast<std::uint32_t>(state >> 2) : 0u);
      if (ends == 0) continue;
      before += __shfl_sync(all_lanes, state >> 2, static_cast<int>(last));
      break;
    }
    if (lane == 0 && tile != 0) {
      State(states[tile]).store((before + aggregate) << 2 | 2, atomics::memory_order_relaxed);
    }
    return before;
  }

 private:
  std::uint64_t near_;
  std::uint64_t far_;
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

/// Raises a counter to the largest of a block's values. All threads call.
__device__ inline void raise_to(std::uint64_t* counter, std::uint32_t value) {
  const std::uint32_t most = __reduce_max_sync(all_lanes, value);
  // Few rows are longer than all before them: a look spares the others the atomic.
  if (threadIdx.x % 32 == 0 && most > *static_cast<volatile std::uint64_t*>(counter)) {
    atomicMax(reinterpret_cast<unsigned long long*>(counter),
              static_cast<unsigned long long>(most));
  }
}

/// Packed input that does not come in whole pieces: words are copied, their padding cleared. Out of
/// line, as all that is rare: the kernels are long, and instructions have to be fetched too.
__device__ __noinline__ static void pack_tile_bits(const TileTask& task, TileBits tile,
                                                   std::uint32_t* words) {
  const auto* input = static_cast<const std::uint32_t*>(task.data);
  const TileRows rows(task.map, tile.first_row);
  const Divisor per_row(tile.words_per_row);
  for (std::uint32_t i = threadIdx.x; i < tile.total_words(); i += tile_threads) {
    const std::uint32_t row = per_row.quotient(i);
    const std::uint32_t w = tile.first_word + i - row * tile.words_per_row;
    words[i] = task.k == 0
                   ? 0
                   : input[rows.source(row) * task.words_per_row + w] & low_mask(task.k - 32 * w);
  }
}

/// Any K and alignment: a warp makes one word by ballot.
template <DType storage>
__device__ __noinline__ void pack_tile_ragged(const TileTask& task, TileBits tile,
                                              std::uint32_t* words) {
  const std::uint32_t lane = threadIdx.x % 32;
  const TileRows rows(task.map, tile.first_row);
  const Divisor per_row(tile.words_per_row);
  for (std::uint32_t i = threadIdx.x / 32; i < tile.total_words(); i += tile_threads / 32) {
    const std::uint32_t row = per_row.quotient(i);
    const std::uint32_t k = (tile.first_word + i - row * tile.words_per_row) * 32 + lane;
    const std::uint64_t source = rows.source(row);
    Packed packed;
    if (k < task.k) {
      packed =
          pack_element<storage>(load_pattern<storage>(task.data, task.k, source, k), task.kind);
    }
    if (packed.invalid != 0) report_invalid(task.status, source * task.k + k);
    const std::uint32_t bits = __ballot_sync(all_lanes, packed.bits != 0);
    if (lane == 0) words[i] = bits;
  }
}

/// Pieces of 16 bytes in a tile that is as large as can be.
template <DType storage>
inline constexpr std::uint32_t tile_pieces = tile_threads* owned_words<storage> * 32 *
                                             bits_of(storage) / 128;

/// Pieces of shared memory that the input of a tile takes.
template <DType storage>
__host__ __device__ std::uint32_t raw_pieces(const TileTask& task) {
  return task.wide ? tile_pieces<storage> : 0;
}

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
  if (task.contiguous) {
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

/// Copies `raw` does not wait for: pieces of any tile. Out of line, as most are full and of one
/// run.
template <DType storage>
__device__ __noinline__ void fetch_other_tile(const TileTask& task, TileBits tile, uint4* raw) {
  const std::uint32_t pieces = pieces_of<storage>(tile);
  with_places<storage>(task, tile, [&](auto place) {
#pragma unroll 4
    for (std::uint32_t i = threadIdx.x; i < pieces; i += tile_threads) {
      __pipeline_memcpy_async(raw + i, place(i), 16);
    }
  });
}

/// Starts to copy the input of a tile to `raw`, a piece of 16 bytes at a time. Where it is not made
/// of such, there is nothing to do: the pack functions read it. Each thread later packs what it
/// copies, and needs no barrier for that.
template <DType storage>
__device__ void fetch_tile(const TileTask& task, const TileBits& tile, uint4* raw) {
  if (!task.wide) return;
  if (task.contiguous && pieces_of<storage>(tile) == tile_pieces<storage>) {
    const std::uint64_t row_pieces = task.k / (128 / bits_of(storage));
    const auto* from =
        static_cast<const uint4*>(task.data) + tile.first_row * row_pieces + threadIdx.x;
    uint4* to = raw + threadIdx.x;
#pragma unroll
    for (std::uint32_t i = 0; i < tile_pieces<storage>; i += tile_threads) {
      __pipeline_memcpy_async(to + i, from + i, 16);
    }
  } else {
    fetch_other_tile<storage>(task, tile, raw);
  }
  __pipeline_commit();
}

/// Piece `i` of a tile, at `place`, has invalid elements: reports the first. Reads it again: else
/// every piece would have to be kept.
template <DType storage>
__device__ __noinline__ void report_piece(const TileTask& task, TileBits tile, const uint4* place,
                                          ValueKind kind, std::uint32_t i) {
  const uint4 piece = *place;
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

/// Packs pieces to bits of shared memory; place(i) points to them, in global memory if `streams`.
/// `whole`: the tile has all that a tile can have.
template <DType storage, bool binary, bool whole, bool streams, class Place>
__device__ void pack_pieces(const TileTask& task, const TileBits& tile, std::uint32_t* words,
                            Place&& place) {
  constexpr int unroll = std::min(4, static_cast<int>(tile_pieces<storage>) / tile_threads);
  const std::uint32_t pieces = whole ? tile_pieces<storage> : pieces_of<storage>(tile);
  const ValueKind kind = binary ? ValueKind::binary : task.kind;
  for (std::uint32_t begin = threadIdx.x; begin - threadIdx.x < pieces;
       begin += tile_threads * unroll) {
    uint4 loaded[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint32_t i = begin + u * tile_threads;
      loaded[u] = {0, 0, 0, 0};
      if (whole || i < pieces) loaded[u] = streams ? __ldcs(place(i)) : *place(i);
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
      if (i < pieces) report_piece<storage>(task, tile, place(i), kind, i);
    }
  }
}

/// Packs a tile of whole pieces of other than binary spikes, or one that is not full.
template <DType storage>
__device__ __noinline__ void pack_other_pieces(const TileTask& task, TileBits tile,
                                               const uint4* raw, std::uint32_t* words) {
  const auto place = [&](std::uint32_t i) { return raw + i; };
  if (storage == DType::bit || task.kind == ValueKind::binary) {
    pack_pieces<storage, true, false, false>(task, tile, words, place);
  } else {
    pack_pieces<storage, storage == DType::bit, false, false>(task, tile, words, place);
  }
}

/// Packs a tile into shared memory, from `raw`, where fetch_tile() has sent its input. All threads
/// call; a barrier must follow.
template <DType storage>
__device__ void pack_fetched_tile(const TileTask& task, const TileBits& tile, const uint4* raw,
                                  std::uint32_t* words) {
  if (!task.wide) {
    if constexpr (storage == DType::bit) {
      pack_tile_bits(task, tile, words);
    } else {
      pack_tile_ragged<storage>(task, tile, words);
    }
    return;
  }
  __pipeline_wait_prior(0);
  if ((storage == DType::bit || task.kind == ValueKind::binary) &&
      pieces_of<storage>(tile) == tile_pieces<storage>) {
    pack_pieces<storage, true, true, false>(task, tile, words,
                                            [&](std::uint32_t i) { return raw + i; });
  } else {
    pack_other_pieces<storage>(task, tile, raw, words);
  }
}

/// The same, straight from the tensor.
template <DType storage>
__device__ void pack_tile(const TileTask& task, const TileBits& tile, std::uint32_t* words) {
  if (!task.wide) {
    if constexpr (storage == DType::bit) {
      pack_tile_bits(task, tile, words);
    } else {
      pack_tile_ragged<storage>(task, tile, words);
    }
    return;
  }
  with_places<storage>(task, tile, [&](auto place) {
    if (storage != DType::bit && task.kind != ValueKind::binary) {
      pack_pieces<storage, storage == DType::bit, false, true>(task, tile, words, place);
    } else if (pieces_of<storage>(tile) == tile_pieces<storage>) {
      pack_pieces<storage, true, true, true>(task, tile, words, place);
    } else {
      pack_pieces<storage, true, false, true>(task, tile, words, place);
    }
  });
}

/// Words of units for formats whose unit is a column, or some columns, of a group of rows:
/// scratch[group][w] = unit_word(words w to w + width - 1 of all rows or-ed together) where w is a
/// multiple of `width`, else 0. Tallies the spikes. All threads call; four neighbours share a word.
template <class UnitWord>
__device__ const std::uint32_t* unite_rows(const TileBits& bits, std::uint32_t rows_per_group,
                                           std::uint32_t width, std::uint32_t* scratch,
                                           Tally* tally, UnitWord&& unit_word) {
  const std::uint32_t groups = (bits.rows + rows_per_group - 1) / rows_per_group;
  const std::uint32_t total = groups * bits.words_per_row;
  const Divisor per_group(bits.words_per_row);
  for (std::uint32_t begin = 0; begin < 4 * total; begin += tile_threads) {
    const std::uint32_t i = (begin + threadIdx.x) / 4;
    const std::uint32_t group = per_group.quotient(i);
    const std::uint32_t w = i - group * bits.words_per_row;
    const std::uint32_t end = std::min((group + 1) * rows_per_group, bits.rows);
    std::uint32_t any = 0;
    if (i < total && w % width == 0) {
      for (std::uint32_t other = w; other < std::min(w + width, bits.words_per_row); ++other) {
#pragma unroll 4
        for (std::uint32_t r = group * rows_per_group + threadIdx.x % 4; r < end; r += 4) {
          const std::uint32_t word = bits.words[r * bits.words_per_row + other];
          tally->spikes += count_bits(word);
          any |= word;
        }
      }
    }
    any |= __shfl_xor_sync(all_lanes, any, 1);
    any |= __shfl_xor_sync(all_lanes, any, 2);
    if (i < total && threadIdx.x % 4 == 0) scratch[i] = unit_word(any);
  }
  return scratch;
}

/// A thread's run of words of units, in registers.
template <std::uint32_t most>
struct OwnedUnits {
  std::uint32_t words[most];
  std::uint32_t begin;  ///< the first
  std::uint32_t words_per_group;
  Divisor group_of_word;
  std::uint32_t count = 0;  ///< units

  /// `total` words of units, `per_group` to a group; `divisor` finds the group of a word.
  __device__ OwnedUnits(const std::uint32_t* units, std::uint32_t total, std::uint32_t per_group,
                        const Divisor& divisor)
      : begin(threadIdx.x * most), words_per_group(per_group), group_of_word(divisor) {
    last_ = begin < total ? std::min(total - begin, most + 0) : 0;
    if (most % 4 == 0 && last_ == most) {
#pragma unroll
      for (std::uint32_t i = 0; i < most; i += 4) {
        const uint4 four = *reinterpret_cast<const uint4*>(units + begin + i);
        words[i] = four.x;
        words[i + 1] = four.y;
        words[i + 2] = four.z;
        words[i + 3] = four.w;
      }
    } else {
#pragma unroll
      for (std::uint32_t i = 0; i < most; ++i) words[i] = i < last_ ? units[begin + i] : 0;
    }
#pragma unroll
    for (std::uint32_t i = 0; i < most; ++i) count += count_bits(words[i]);
  }

  /// visit(i, group, w, units before) for each word, in order; `mine` is how many units there are
  /// before the run.
  template <class Visit>
  __device__ void for_each(std::uint32_t mine, Visit&& visit) const {
#pragma unroll
    for (std::uint32_t i = 0; i < most; ++i) {
      const std::uint32_t group = group_of_word.quotient(begin + i);
      visit(i, group, begin + i - group * words_per_group, mine);
      mine += count_bits(words[i]);
    }
  }
  /// units[i] = group << 16 | 32·w of word i.
  __device__ void place(std::uint32_t (&units)[most]) const {
    const std::uint32_t group = group_of_word.quotient(begin);
    if (words_per_group % most == 0) {  // the run is part of a group
#pragma unroll
      for (std::uint32_t i = 0; i < most; ++i) {
        units[i] = (group << 16 | 32 * (begin - group * words_per_group)) + 32 * i;
      }
      return;
    }
#pragma unroll
    for (std::uint32_t i = 0; i < most; ++i) {
      const std::uint32_t of = group_of_word.quotient(begin + i);
      units[i] = of << 16 | 32 * (begin + i - of * words_per_group);
    }
  }
  /// starts[group] = base + units before it, for each group that begins in the run.
  __device__ void store_starts(std::uint32_t base, std::uint32_t* starts) const {
    if (words_per_group % most == 0) {  // only the first word can begin one
      const std::uint32_t group = group_of_word.quotient(begin);
      if (begin == group * words_per_group && last_ != 0) starts[group] = base;
      return;
    }
    for_each(base,
             [&](std::uint32_t i, std::uint32_t group, std::uint32_t w, std::uint32_t before) {
               if (w == 0 && i < last_) starts[group] = before;
             });
  }

 private:
  std::uint32_t last_;  ///< words of the run
};

/// visit(bit) from the highest set bit down: one instruction finds it.
template <class Visit>
__device__ void for_each_bit_down(std::uint32_t word, Visit&& visit) {
  while (word != 0) {
    const auto bit = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(word)));
    word ^= 1u << bit;
    visit(bit);
  }
}

/// Takes the highest bit from a word, and returns its place; anything where there is none.
__device__ inline std::uint32_t take_highest_bit(std::uint32_t& word) {
#if defined(__CUDA_ARCH__)
  std::uint32_t bit;
  std::uint32_t mask;
  asm("bfind.u32 %0, %1;" : "=r"(bit) : "r"(word));
  asm("shl.b32 %0, 1, %1;" : "=r"(mask) : "r"(bit));  // 0 for a shift by more than 31
  word ^= mask;
  return bit;
#else
  if (word == 0) return 0;
  const auto bit = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(word)));
  word ^= 1u << bit;
  return bit;
#endif
}

/// out[i] = group << 16 | 32·w + bit for the units of a run, of which the first has the place
/// `first`; those out of [0, limit) are left out. `all`: there are none such.
template <std::uint32_t most>
__device__ void stage_units(const OwnedUnits<most>& own, std::uint32_t first, std::uint32_t limit,
                            bool all, const SharedWords& out) {
  constexpr std::uint32_t side_by_side = std::min(most, 4u);
  std::uint32_t words[most];
  std::uint32_t units[most];
  std::uint32_t ends[most];
  own.place(units);
#pragma unroll
  for (std::uint32_t i = 0; i < most; ++i) {
    words[i] = own.words[i];
    first += count_bits(words[i]);
    ends[i] = first;
  }
  if (!all) {
#pragma unroll
    for (std::uint32_t i = 0; i < most; ++i) {
      const auto end = static_cast<std::int32_t>(ends[i]);
      const auto count = static_cast<std::int32_t>(count_bits(words[i]));
      if (end <= 0 || end - count >= static_cast<std::int32_t>(limit)) words[i] = 0;
      // One word may be cut by each end of the window.
      while (words[i] != 0 && ends[i] > limit) {
        take_highest_bit(words[i]);
        --ends[i];
      }
      for (std::int32_t outside = count - end; words[i] != 0 && outside > 0; --outside) {
        words[i] &= words[i] - 1;
      }
    }
  }
  // Words side by side: lanes wait for the one that has most spikes, once and not for each word.
#pragma unroll
  for (std::uint32_t begin = 0; begin < most; begin += side_by_side) {
    SharedWords at[side_by_side];
    std::uint32_t any = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < side_by_side; ++i) {
      at[i] = out.from(ends[begin + i]);
      any |= words[begin + i];
    }
    while (any != 0) {
      any = 0;
#pragma unroll
      for (std::uint32_t i = 0; i < side_by_side; ++i) {
        std::uint32_t& word = words[begin + i];
#pragma unroll
        for (std::uint32_t step = 1; step <= 2; ++step) {
          const bool there = word != 0;
          at[i].store_below(step, units[begin + i] + take_highest_bit(word), there);
        }
        at[i] = at[i].from(static_cast<std::uint32_t>(-2));
        any |= word;
      }
    }
  }
}

__device__ inline std::uint32_t column_of(std::uint32_t unit) {
  return unit & 0xffffu;
}
__device__ inline std::uint32_t group_of(std::uint32_t unit) {
  return unit >> 16;
}

/// indices[at .. at + 3] = the columns of four units, plus `first`; `at` is a multiple of 4.
__device__ inline void store_columns(const AnyArray& indices, std::uint64_t at, const uint4& units,
                                     std::uint32_t first) {
  if (indices.type == DType::u16) {
    const std::uint32_t both = first * 0x10001u;
    indices.as<uint2>()[at / 4] = {__byte_perm(units.x, units.y, 0x5410) + both,
                                   __byte_perm(units.z, units.w, 0x5410) + both};
  } else {
    indices.as<uint4>()[at / 4] = {column_of(units.x) + first, column_of(units.y) + first,
                                   column_of(units.z) + first, column_of(units.w) + first};
  }
}

/// Units that go to memory from `first` on are staged where that is a multiple of four where they
/// go there.
__device__ inline std::uint32_t staged_shift(std::uint64_t first) {
  return static_cast<std::uint32_t>(first % 4);
}

/// Gives staged units to one(position, unit), or, where `fours` and they are four neighbours at a
/// multiple of four, to four(position, units). Unit i belongs to first + i, and is at
/// staged[staged_shift(first) + i]; those at `limit` and beyond are left out.
template <class One, class Four>
__device__ void store_units(const std::uint32_t* staged, std::uint64_t first, std::uint32_t count,
                            std::uint64_t limit, bool fours, One&& one, Four&& four) {
  if (first >= limit) return;
  const std::uint32_t shift = staged_shift(first);
  const auto end =
      shift + static_cast<std::uint32_t>(std::min<std::uint64_t>(count, limit - first));
  first -= shift;
  if (!fours) {
    for (std::uint32_t i = shift + threadIdx.x; i < end; i += tile_threads) {
      one(first + i, staged[i]);
    }
    return;
  }
  const std::uint32_t begin = shift == 0 ? 0 : 4;
  const std::uint32_t stop = end / 4 * 4;
  for (std::uint32_t i = begin + 4 * threadIdx.x; i < stop; i += 4 * tile_threads) {
    four(first + i, *reinterpret_cast<const uint4*>(staged + i));
  }
  // Up to three before the first four, and as many behind the last.
  if (threadIdx.x >= 8) return;
  const bool head = threadIdx.x < 4;
  const std::uint32_t i = head ? threadIdx.x : stop + threadIdx.x - 4;
  if (i < end && (head ? i >= shift && shift != 0 : stop >= begin)) one(first + i, staged[i]);
}

/// The last tile writes what follows from the total of all, `before` being that of the tiles before
/// it. One thread calls.
__device__ inline void finish_tiles(const TileTask& task, std::uint32_t tile, std::uint64_t before,
                                    std::uint32_t units, bool each_spike) {
  if (tile + 1 != task.tiles) return;
  task.status->needed = before + units;
  if (each_spike) task.status->nnz = before + units;
  if (task.offsets != nullptr) {
    task.offsets[ceil_div(task.m, task.rows_per_group)] =
        static_cast<std::uint32_t>(before + units);
  }
}

/// Adds what a block has counted to the status. All threads call.
__device__ inline void add_tally(EncodeStatus* status, const Tally& tally) {
  add_to(&status->nnz, tally.spikes);
  add_to(&status->lost, tally.lost);
}

/// Takes the next tile that nobody has taken. One thread calls.
__device__ inline std::uint32_t take_tile(const TileTask& task) {
  return atomicAdd(reinterpret_cast<std::uint32_t*>(task.states + task.tiles), 1u);
}

/// encode(bits, tile) for each tile that a block gets, its bits packed; all threads call, and a
/// barrier is between two calls. In order of being asked for where `in_order`, which look-back
/// needs.
template <DType storage, bool in_order, class Encode>
__device__ void for_each_tile(const TileTask& task, uint4* raw, std::uint32_t* words,
                              Encode&& encode) {
  __shared__ std::uint32_t shared_first;
  __shared__ std::uint32_t shared_next;
  if (threadIdx.x == 0) shared_first = in_order ? take_tile(task) : blockIdx.x;
  __syncthreads();
  std::uint32_t next = shared_first;
  std::uint32_t tile = task.tiles;  // none yet
  TileBits bits(task, 0, words);
  for (;;) {
    const bool more = next < task.tiles;
    const TileBits next_bits(task, more ? next : 0, words);
    if (more) fetch_tile<storage>(task, next_bits, raw);
    if (tile != task.tiles) {
      encode(bits, tile);
      __syncthreads();
    }
    if (!more) return;
    tile = next;
    bits = next_bits;
    next = tile + gridDim.x;
    if (in_order && threadIdx.x == 0) next = take_tile(task);
    pack_fetched_tile<storage>(task, bits, raw, words);
    if (threadIdx.x == 0) shared_next = next;
    __syncthreads();
    next = shared_next;
  }
}

/// A tile on its way through a block, the same for all threads: in shared memory, since registers
/// are few.
struct TileInWork {
  std::uint64_t base;  ///< units of all tiles before it
  TileBits bits;
  std::uint32_t tile;        ///< task.tiles or more: none
  std::uint32_t unit_words;  ///< one row of a group after the other
  std::uint32_t total;       ///< units

  __device__ TileInWork(const TileTask& task, std::uint32_t index)
      : base(0), bits(task, index < task.tiles ? index : 0, nullptr), tile(index), total(0) {
    unit_words = (bits.rows + task.rows_per_group - 1) / task.rows_per_group * bits.words_per_row;
  }
};

/// Words of units that a thread owns.
template <DType storage, class Emit>
inline constexpr std::uint32_t owned_unit_words = Emit::unites_rows
                                                      ? std::max(owned_words<storage> / 4, 1u)
                                                      : owned_words<storage>;

/// Units that are staged at a time.
template <DType storage, class Emit>
inline constexpr std::uint32_t window_units = staged_units<storage> -
                                              (Emit::needs_spare ? spare_words<storage> : 0);

/// One turn of a block: packs a tile and asks for the next, finds where the tile before begins,
/// counts the first and stages the second, writes that. Two barriers, and all that comes from afar
/// is asked for long before it is needed: input two barriers ahead, tiles one, states a packing.
template <DType storage, class Emit>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    encode_tiles(const __grid_constant__ TileTask task, const __grid_constant__ Emit emit) {
  constexpr std::uint32_t tile_words = tile_threads * owned_words<storage>;
  constexpr std::uint32_t limit = window_units<storage, Emit>;
  constexpr std::uint32_t warps = tile_threads / 32;
  extern __shared__ uint4 shared[];
  __shared__ std::uint64_t in_work[4][sizeof(TileInWork) / 8];
  __shared__ uint4 warp_units[warps / 4];  // units of each warp's run
  __shared__ std::uint32_t counted;        // of warps: units · 16 + how many
  uint4* raw = shared;
  // Bits, and words of units, of two tiles: the one that is counted, and the one before it.
  auto* words = reinterpret_cast<std::uint32_t*>(raw + raw_pieces<storage>(task));
  std::uint32_t* scratch = words + 2 * tile_words;
  std::uint32_t* staged = scratch + (Emit::unites_rows ? 2 * unit_words<storage> : 0);
  std::uint32_t* spare = staged + limit + 4;
  const auto work = [&](std::uint32_t turn) -> TileInWork& {
    return *reinterpret_cast<TileInWork*>(in_work[turn % 4]);
  };
  const auto bits_of_turn = [&](std::uint32_t turn) {
    TileBits bits = work(turn).bits;
    bits.words = words + turn % 2 * tile_words;
    return bits;
  };
  const auto own = [&](std::uint32_t turn, const std::uint32_t* units) {
    const TileInWork& here = work(turn);
    return OwnedUnits<owned_unit_words<storage, Emit>>(units, here.unit_words,
                                                       here.bits.words_per_row, task.per_part);
  };
  constexpr std::uint32_t taker = 32;  // a thread that does not look back
  if (threadIdx.x == taker) {
    counted = 0;
    work(0) = TileInWork(task, take_tile(task));
  }
  __syncthreads();
  if (work(0).tile < task.tiles) fetch_tile<storage>(task, work(0).bits, raw);
  // Not earlier: other blocks should have their first tile before this one has its second.
  if (threadIdx.x == taker) work(1) = TileInWork(task, take_tile(task));
  __syncthreads();

  Tally tally;
  std::uint32_t previous_mine = 0;  // units before those of this thread in the tile before
  for (std::uint32_t turn = 0;; ++turn) {
    const bool more = work(turn).tile < task.tiles;
    const std::uint32_t previous = turn + 3;  // if this is not the first turn
    std::uint32_t taken = 0;
    if (threadIdx.x == taker && more) taken = take_tile(task);
    const bool looks_back = threadIdx.x < 32 && turn != 0;
    const LookBack seen(task.states, looks_back ? work(previous).tile : 0);
    if (more) {
      pack_fetched_tile<storage>(task, work(turn).bits, raw, words + turn % 2 * tile_words);
      if (work(turn + 1).tile < task.tiles) fetch_tile<storage>(task, work(turn + 1).bits, raw);
    }
    if (looks_back) {
      TileInWork& done = work(previous);
      const std::uint64_t base = seen.sum(task.states, done.tile, done.total);
      if (threadIdx.x == 0) {
        done.base = base;
        finish_tiles(task, done.tile, base, done.total, Emit::each_spike);
      }
    }
    __syncthreads();
    std::uint32_t in_warp = 0;
    if (more) {
      if (threadIdx.x == taker) {
        work(turn + 2) = TileInWork(task, taken);
      }
      const std::uint32_t* units =
          emit.units(bits_of_turn(turn), scratch + turn % 2 * unit_words<storage>, &tally);
      if constexpr (!Emit::each_spike) __syncthreads();
      const std::uint32_t count = own(turn, units).count;
      in_warp = warp_exclusive_sum(count);
      if (threadIdx.x % 32 == 31) {
        reinterpret_cast<std::uint32_t*>(warp_units)[threadIdx.x / 32] = in_warp + count;
        const std::uint32_t others = atomicAdd(&counted, (in_warp + count) << 4 | 1);
        if (others % 16 == warps - 1) {  // the last warp
          counted = 0;
          work(turn).total = (others >> 4) + in_warp + count;
          publish(task.states, work(turn).tile, work(turn).total);
        }
      }
    }
    const TileInWork& done = work(previous);
    const TileBits bits = bits_of_turn(previous);
    const std::uint32_t total = turn == 0 ? 0 : done.total;
    const std::uint32_t* units_done =
        Emit::unites_rows ? scratch + previous % 2 * unit_words<storage> : bits.words;
    if (turn != 0) {
      if (task.offsets != nullptr && bits.first_word == 0) {
        own(previous, units_done)
            .store_starts(static_cast<std::uint32_t>(done.base) + previous_mine,
                          task.offsets + bits.first_group);
      }
      if constexpr (Emit::needs_spare) emit.prepare(bits, spare);
    }
    for (std::uint32_t window = 0;;) {
      if (turn != 0) {
        stage_units(own(previous, units_done), previous_mine - window, limit, total <= limit,
                    SharedWords(staged + staged_shift(done.base)));
      }
      __syncthreads();
      if (turn != 0) {
        emit.store(bits, staged, spare, done.base + window, std::min(total - window, limit + 0));
      }
      window += limit;
      if (window >= total) break;
      __syncthreads();
    }
    // The next turn packs where these bits are.
    if (Emit::stores_bits || total > limit) __syncthreads();
    if (!more) break;
    previous_mine = in_warp;
#pragma unroll
    for (std::uint32_t i = 0; i < warps; i += 4) {
      const uint4 sums = warp_units[i / 4];
      const std::uint32_t warp = threadIdx.x / 32;
      previous_mine += (i < warp ? sums.x : 0) + (i + 1 < warp ? sums.y : 0) +
                       (i + 2 < warp ? sums.z : 0) + (i + 3 < warp ? sums.w : 0);
    }
  }
  if constexpr (!Emit::each_spike) add_tally(task.status, tally);
}

__global__ static void clear_tiles(EncodeStatus* status, std::uint64_t* states, std::uint64_t count,
                                   std::uint32_t* offsets) {
  const std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i == 0) *status = {0, 0, 0, EncodeStatus::none_invalid};
  if (i == 0 && offsets != nullptr) *offsets = 0;
  if (i < count) states[i] = 0;
}

/// How a matrix is cut into tiles for an encoder whose units come from `rows_per_group` rows.
inline TileTask plan_tiles(const SpikeView& spikes, RowOrder order, std::uint32_t rows_per_group) {
  const SpikeShape& shape = spikes.shape;
  const std::uint32_t words = tile_threads * owned_words_of(spikes.storage);
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
  const std::uint64_t tiles = ceil_div(task.m, task.rows_per_tile) * task.parts;
  if (tiles > 0x7fffffffu) {
    throw Error(ErrorCode::unsupported, "the tensor is too large for one launch of the encoder");
  }
  task.tiles = static_cast<std::uint32_t>(tiles);
  task.contiguous = task.map.from == task.map.to && task.parts == 1;
  const std::uint32_t piece = 128 / bits_of(spikes.storage);
  task.wide = shape.k != 0 && shape.k % std::max(piece, 32u) == 0 &&
              reinterpret_cast<std::uintptr_t>(spikes.data) % 16 == 0;
  return task;
}

/// Shared memory for the bits of a tile.
template <DType storage>
inline constexpr std::size_t packed_bytes = tile_threads* owned_words<storage> *
                                            sizeof(std::uint32_t);

/// Shared memory for the input of a tile, the bits of `tiles`, and what is staged.
template <DType storage>
std::size_t tile_bytes(const TileTask& task, std::size_t tiles) {
  return raw_pieces<storage>(task) * sizeof(uint4) + tiles * packed_bytes<storage> +
         (staged_units<storage> + 4) * sizeof(std::uint32_t);
}

/// Lets a kernel have as much shared memory as it wants.
template <class Kernel>
void allow_shared(Kernel* kernel, std::size_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
}

/// Blocks for tiles that are taken one after another.
inline unsigned resident_tile_blocks(const CudaContext& context, const TileTask& task) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  return static_cast<unsigned>(std::min<std::uint64_t>(
      task.tiles, static_cast<std::uint64_t>(multiprocessors) * tile_blocks_per_sm));
}

/// Words of the workspace that look-back needs.
inline std::uint64_t tile_states(const TileTask& task) {
  return std::uint64_t{task.tiles} + 1;
}

/// Clears the status, the look-back words, and the one offset of a matrix without rows.
inline void reset_tiles(const CudaContext& context, const TileTask& task) {
  std::uint32_t* last =
      task.offsets == nullptr ? nullptr : task.offsets + ceil_div(task.m, task.rows_per_group);
  const std::uint64_t states = task.states == nullptr ? 0 : tile_states(task);
  clear_tiles<<<static_cast<unsigned>(ceil_div(std::max<std::uint64_t>(states, 1), 256)), 256, 0,
                context.stream>>>(task.status, task.states, states, last);
  check_launch();
}

template <DType storage, class Emit>
void launch_tiles(const CudaContext& context, const TileTask& task, const Emit& emit) {
  if (task.tiles == 0) return;
  const std::size_t scratch = Emit::unites_rows ? 2 * unit_words<storage> : 0;
  const std::size_t bytes = tile_bytes<storage>(task, 2) + scratch * sizeof(std::uint32_t);
  allow_shared(encode_tiles<storage, Emit>, bytes);
  encode_tiles<storage, Emit>
      <<<resident_tile_blocks(context, task), tile_threads, bytes, context.stream>>>(task, emit);
  check_launch();
}

/// Encodes in two launches: one resets the counters, the other does everything. `states` has
/// tile_states(task) words.
template <class Emit>
void run_tiles(const CudaContext& context, DType storage, TileTask task, const Emit& emit,
               std::uint32_t* offsets, EncodeStatus* status, std::uint64_t* states) {
  task.offsets = offsets;
  task.status = status;
  task.states = states;
  reset_tiles(context, task);
  with_storage(storage, [&]<DType type>() { launch_tiles<type>(context, task, emit); });
}

}  // namespace spiketune::cuda
