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
///   void store(bits, units, spare, first, count)   writes staged units: units[i] is group << 16 |
///                                        32·w + bit, and goes to first + i
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
  std::uint32_t parts;       ///< tiles side by side; 1 unless rows are very long
  std::uint64_t tiles;
  bool wide;               ///< rows are made of whole 16-byte pieces of whole words
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
#if defined(__CUDA_ARCH__)
  __device__ explicit SharedWords(std::uint32_t* words)
      : at_(static_cast<std::uint32_t>(__cvta_generic_to_shared(words))) {}
  __device__ void store(std::uint32_t i, std::uint32_t value) const {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(at_ + 4 * i), "r"(value) : "memory");
  }

 private:
  std::uint32_t at_;
#else
  explicit SharedWords(std::uint32_t* words) : at_(words) {}
  void store(std::uint32_t i, std::uint32_t value) const {
    at_[i] = value;
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

  __device__ TileBits(const TileTask& task, std::uint64_t tile, std::uint32_t* shared)
      : words(shared), first_row(tile), first_word(0) {
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

/// a / b for a below 2^16 or so and b at most a few times that, without a division for each.
struct Divisor {
  std::uint32_t value;
  std::uint32_t inverse;  ///< ceil(2^32 / value); exact while a · value < 2^32

  __device__ explicit Divisor(std::uint32_t divisor)
      : value(divisor), inverse(0xffffffffu / divisor + 1) {}
  [[nodiscard]] __device__ std::uint32_t quotient(std::uint32_t a) const {
    return value == 1 ? a : static_cast<std::uint32_t>((std::uint64_t{a} * inverse) >> 32);
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
__device__ inline void publish(std::uint64_t* states, std::uint64_t tile, std::uint64_t aggregate) {
  State(states[tile]).store(aggregate << 2 | (tile == 0 ? 2 : 1), atomics::memory_order_relaxed);
}

/// Sum of the aggregates of all tiles before `tile`. One warp calls; all its lanes get it.
/// A state is value · 4 + flag; flag 0: nothing yet, 1: the tile's own sum, 2: sum up to its end.
/// Tiles are taken in order by blocks that run, and publish before they look back, so that looking
/// back cannot deadlock.
__device__ inline std::uint64_t look_back(std::uint64_t* states, std::uint64_t tile,
                                          std::uint64_t aggregate) {
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t before = 0;
  for (std::uint64_t end = tile; end > 0;) {
    std::uint64_t state = 0;
    do {
      state = lane < end ? State(states[end - 1 - lane]).load(atomics::memory_order_relaxed) : 2;
    } while (__any_sync(all_lanes, (state & 3) == 0));
    const std::uint32_t ends = __ballot_sync(all_lanes, (state & 3) == 2);
    const std::uint32_t last = ends != 0 ? lowest_bit(ends) : 32;
    // A tile has at most 2^16 units, but what comes before it may be any number.
    before +=
        __reduce_add_sync(all_lanes, lane < last ? static_cast<std::uint32_t>(state >> 2) : 0u);
    if (ends != 0) {
      before += __shfl_sync(all_lanes, state >> 2, static_cast<int>(last));
      break;
    }
    end -= 32;
  }
  if (lane == 0 && tile != 0) {
    State(states[tile]).store((before + aggregate) << 2 | 2, atomics::memory_order_relaxed);
  }
  return before;
}

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

/// Starts to copy the input of a tile to `raw`, a piece of 16 bytes at a time. Where it is not made
/// of such, there is nothing to do: pack_tile() reads it. Each thread later packs what it copies.
template <DType storage>
__device__ void fetch_tile(const TileTask& task, const TileBits& tile, uint4* raw) {
  if (!task.wide) return;
  const std::uint32_t pieces = pieces_of<storage>(tile);
  with_places<storage>(task, tile, [&](auto place) {
    if (pieces == tile_pieces<storage>) {
#pragma unroll
      for (std::uint32_t i = 0; i < tile_pieces<storage>; i += tile_threads) {
        __pipeline_memcpy_async(raw + threadIdx.x + i, place(threadIdx.x + i), 16);
      }
    } else {
      for (std::uint32_t i = threadIdx.x; i < pieces; i += tile_threads) {
        __pipeline_memcpy_async(raw + i, place(i), 16);
      }
    }
  });
  __pipeline_commit();
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

/// Packs a tile of whole pieces of other than binary spikes, or one that is not full.
template <DType storage>
__device__ __noinline__ void pack_other_pieces(const TileTask& task, TileBits tile,
                                               const uint4* raw, std::uint32_t* words) {
  const auto load = [&](std::uint32_t i) { return raw[i]; };
  if (storage == DType::bit || task.kind == ValueKind::binary) {
    pack_pieces<storage, true, false>(task, tile, words, load);
  } else {
    pack_pieces<storage, storage == DType::bit, false>(task, tile, words, load);
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
    pack_pieces<storage, true, true>(task, tile, words, [&](std::uint32_t i) { return raw[i]; });
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
  std::uint32_t group;  ///< of the first
  std::uint32_t w;      ///< its place in the group
  std::uint32_t words_per_group;
  std::uint32_t count = 0;  ///< units

  __device__ OwnedUnits(const std::uint32_t* units, std::uint32_t total, std::uint32_t per_group)
      : words_per_group(per_group) {
    const std::uint32_t per_thread = (total + tile_threads - 1) / tile_threads;
    const std::uint32_t begin = threadIdx.x * per_thread;
    const bool full = per_thread == most && begin + most <= total;
    if constexpr (most % 4 == 0) {
#pragma unroll
      for (std::uint32_t i = 0; full && i < most / 4; ++i) {
        const uint4 four = reinterpret_cast<const uint4*>(units + begin)[i];
        words[4 * i] = four.x;
        words[4 * i + 1] = four.y;
        words[4 * i + 2] = four.z;
        words[4 * i + 3] = four.w;
      }
    }
    if (most % 4 != 0 || !full) {
#pragma unroll
      for (std::uint32_t i = 0; i < most; ++i) {
        words[i] = i < per_thread && begin + i < total ? units[begin + i] : 0;
      }
    }
#pragma unroll
    for (std::uint32_t i = 0; i < most; ++i) count += count_bits(words[i]);
    group = begin / words_per_group;
    w = begin - group * words_per_group;
    last_ = begin < total ? std::min(total - begin, per_thread) : 0;
  }

  /// visit(word, group, w, units before) for each word that has a unit, in order; `mine` is how
  /// many there are before the run.
  template <class Visit>
  __device__ void for_each(std::uint32_t mine, Visit&& visit) const {
    std::uint32_t in_group = w;
    std::uint32_t of_group = group;
#pragma unroll
    for (std::uint32_t i = 0; i < most; ++i) {
      if (words[i] != 0) visit(words[i], of_group, in_group, mine);
      mine += count_bits(words[i]);
      if (++in_group == words_per_group) {
        in_group = 0;
        ++of_group;
      }
    }
  }
  /// starts[group] = base + units before it, for each group that begins in the run.
  __device__ void store_starts(std::uint32_t base, std::uint32_t* starts) const {
    std::uint32_t next = w == 0 ? 0 : words_per_group - w;  // the word that begins a group
    for (std::uint32_t of = group + (w != 0); next < last_; next += words_per_group, ++of) {
      std::uint32_t before = base;
#pragma unroll
      for (std::uint32_t i = 0; i + 1 < most; ++i) {
        if (i < next) before += count_bits(words[i]);
      }
      starts[of] = before;
    }
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

/// Gives staged units to one(position, unit), or, where `fours` and they are four neighbours at a
/// multiple of four, to four(position, units). Unit i belongs to first + i; those at `limit` and
/// beyond are left out.
template <class One, class Four>
__device__ void store_units(const std::uint32_t* staged, std::uint64_t first, std::uint32_t count,
                            std::uint64_t limit, bool fours, One&& one, Four&& four) {
  if (first >= limit) return;
  const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, limit - first));
  if (!fours) {
    for (std::uint32_t i = threadIdx.x; i < end; i += tile_threads) one(first + i, staged[i]);
    return;
  }
  // The first four may begin before the first unit.
  const auto shift = static_cast<std::uint32_t>(first % 4);
  for (std::uint32_t i = 4 * threadIdx.x; i < shift + end; i += 4 * tile_threads) {
    const std::uint32_t* units = staged + i - shift;
    if (i >= shift && i + 4 <= shift + end) {
      four(first - shift + i, uint4{units[0], units[1], units[2], units[3]});
    } else {
      for (std::uint32_t j = i < shift ? shift - i : 0; j < 4 && i + j < shift + end; ++j) {
        one(first - shift + i + j, units[j]);
      }
    }
  }
}

/// Position of the tile's first unit among all. The last tile writes what follows from the total.
__device__ inline std::uint64_t place_tile(const TileTask& task, std::uint64_t tile,
                                           std::uint32_t units, bool each_spike) {
  __shared__ std::uint64_t base;
  if (threadIdx.x < 32) {
    const std::uint64_t before = look_back(task.states, tile, units);
    if (threadIdx.x == 0) {
      base = before;
      if (tile + 1 == task.tiles) {
        task.status->needed = before + units;
        if (each_spike) task.status->nnz = before + units;
        if (task.offsets != nullptr) {
          task.offsets[ceil_div(task.m, task.rows_per_group)] =
              static_cast<std::uint32_t>(before + units);
        }
      }
    }
  }
  __syncthreads();
  return base;
}

/// Adds what a block has counted to the status. All threads call.
__device__ inline void add_tally(EncodeStatus* status, const Tally& tally) {
  add_to(&status->nnz, tally.spikes);
  __syncthreads();  // both are added up in the same shared word
  add_to(&status->lost, tally.lost);
}

/// Takes the next tile that nobody has taken. One thread calls.
__device__ inline std::uint64_t take_tile(const TileTask& task) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(task.states + task.tiles), 1ull);
}

/// encode(bits, tile) for each tile that a block gets, its bits packed; all threads call, and a
/// barrier is between two calls. In order of being asked for where `in_order`, which look-back
/// needs.
template <DType storage, bool in_order, class Encode>
__device__ void for_each_tile(const TileTask& task, uint4* raw, std::uint32_t* words,
                              Encode&& encode) {
  __shared__ std::uint64_t shared_first;
  __shared__ std::uint64_t shared_next;
  if (threadIdx.x == 0) shared_first = in_order ? take_tile(task) : blockIdx.x;
  __syncthreads();
  std::uint64_t next = shared_first;
  std::uint64_t tile = task.tiles;  // none yet
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
  std::uint64_t tile;  ///< task.tiles or more: none
  TileBits bits;
  std::uint32_t total;  ///< units

  __device__ TileInWork(const TileTask& task, std::uint64_t index, std::uint32_t* words)
      : tile(index), bits(task, index < task.tiles ? index : 0, words), total(0) {}
};

template <DType storage>
__device__ OwnedUnits<owned_words<storage>> own_units(const TileTask& task, const TileBits& bits,
                                                      const std::uint32_t* units) {
  const std::uint32_t groups = (bits.rows + task.rows_per_group - 1) / task.rows_per_group;
  return {units, groups * bits.words_per_row, bits.words_per_row};
}

/// Writes a tile. Units go to shared memory in order, then out, so that writes coalesce; a window
/// at a time where there are many. The first is staged while one warp looks back. All threads call.
template <DType storage, class Emit>
__device__ void write_tile(const TileTask& task, const Emit& emit, const TileInWork& work,
                           const std::uint32_t* units, std::uint32_t mine, std::uint32_t* staged) {
  constexpr std::uint32_t window_units =
      staged_units<storage> - (Emit::needs_spare ? spare_words<storage> : 0);
  std::uint32_t* spare = staged + window_units;
  const TileBits bits = work.bits;
  const std::uint32_t total = work.total;
  const auto own = own_units<storage>(task, bits, units);
  const SharedWords out(staged);
  if constexpr (Emit::needs_spare) emit.prepare(bits, spare);
  std::uint64_t base = 0;
  for (std::uint32_t window = 0; window == 0 || window < total; window += window_units) {
    if (window != 0) __syncthreads();
    own.for_each(mine - window, [&](std::uint32_t word, std::uint32_t group, std::uint32_t w,
                                    std::uint32_t before) {
      const std::uint32_t unit = group << 16 | 32 * w;
      std::uint32_t at = before + count_bits(word);
      if (static_cast<std::int32_t>(at) <= 0 ||
          static_cast<std::int32_t>(before) >= static_cast<std::int32_t>(window_units)) {
        return;
      }
      for_each_bit_down(word, [&](std::uint32_t bit) {
        if (--at < window_units) out.store(at, unit + bit);
      });
    });
    if (window == 0) {
      base = place_tile(task, work.tile, total, Emit::each_spike);  // with a barrier
      if (task.offsets != nullptr && bits.first_word == 0) {
        own.store_starts(static_cast<std::uint32_t>(base) + mine, task.offsets + bits.first_group);
      }
    } else {
      __syncthreads();
    }
    emit.store(bits, staged, spare, base + window,
               total - window < window_units ? total - window : window_units + 0);
  }
}

template <DType storage, class Emit>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    encode_tiles(const __grid_constant__ TileTask task, const __grid_constant__ Emit emit) {
  constexpr std::uint32_t tile_words = tile_threads * owned_words<storage>;
  extern __shared__ uint4 shared[];
  __shared__ std::uint64_t in_work[3][sizeof(TileInWork) / 8];
  uint4* raw = shared;
  // Bits, and words of units, of two tiles: the one that is counted, and the one before it.
  auto* words = reinterpret_cast<std::uint32_t*>(raw + raw_pieces<storage>(task));
  std::uint32_t* scratch = words + 2 * tile_words;
  std::uint32_t* staged = scratch + (Emit::unites_rows ? 2 * unit_words<storage> : 0);
  auto* previous = reinterpret_cast<TileInWork*>(in_work[0]);
  auto* current = reinterpret_cast<TileInWork*>(in_work[1]);
  auto* next = reinterpret_cast<TileInWork*>(in_work[2]);
  if (threadIdx.x == 0) *current = TileInWork(task, take_tile(task), words);
  __syncthreads();
  if (current->tile < task.tiles) fetch_tile<storage>(task, current->bits, raw);

  Tally tally;
  std::uint32_t mine = 0;  // units before those of this thread in the previous tile
  bool counted = false;    // there is a previous tile
  for (std::uint32_t turn = 0;; turn ^= 1) {
    const bool more = current->tile < task.tiles;
    std::uint32_t current_mine = 0;
    if (more) {
      std::uint64_t taken = 0;
      if (threadIdx.x == 0) taken = take_tile(task);
      const TileBits bits = current->bits;
      pack_fetched_tile<storage>(task, bits, raw, bits.words);
      if (threadIdx.x == 0) *next = TileInWork(task, taken, words + (turn ^ 1) * tile_words);
      __syncthreads();
      if (next->tile < task.tiles) fetch_tile<storage>(task, next->bits, raw);
      const std::uint32_t* units = emit.units(bits, scratch + turn * unit_words<storage>, &tally);
      if constexpr (!Emit::each_spike) __syncthreads();
      std::uint32_t total = 0;
      current_mine = block_exclusive_sum(own_units<storage>(task, bits, units).count, &total);
      if (threadIdx.x == 0) {
        publish(task.states, current->tile, total);
        current->total = total;
      }
    }
    if (counted) {
      const std::uint32_t* units =
          Emit::unites_rows ? scratch + (turn ^ 1) * unit_words<storage> : previous->bits.words;
      write_tile<storage>(task, emit, *previous, units, mine, staged);
    }
    if (!more) break;
    __syncthreads();
    TileInWork* written = previous;
    previous = current;
    current = next;
    next = written;
    mine = current_mine;
    counted = true;
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
  task.parts = static_cast<std::uint32_t>(ceil_div(task.words_per_row, task.part_words));
  const std::uint32_t groups = words / (task.part_words * rows_per_group);
  task.groups_per_tile = task.parts > 1 ? 1 : groups;
  task.rows_per_tile = task.groups_per_tile * rows_per_group;
  task.tiles = ceil_div(task.m, task.rows_per_tile) * task.parts;
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

/// Shared memory for the input of a tile, the bits of `tiles`, and what is staged.
template <DType storage>
std::size_t tile_bytes(const TileTask& task, std::size_t tiles) {
  return raw_pieces<storage>(task) * sizeof(uint4) + tiles * packed_bytes<storage> +
         staged_units<storage> * sizeof(std::uint32_t);
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

inline unsigned tile_blocks(const TileTask& task) {
  if (task.tiles > 0x7fffffffu) {
    throw Error(ErrorCode::unsupported, "the tensor is too large for one launch of the encoder");
  }
  return static_cast<unsigned>(task.tiles);
}

/// Words of the workspace that look-back needs.
inline std::uint64_t tile_states(const TileTask& task) {
  return task.tiles + 1;
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
