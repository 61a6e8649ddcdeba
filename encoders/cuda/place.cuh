#pragma once
/// \file
/// One-pass encoders: tiles of bits are counted, placed one after another, and expanded.
///
///   bits --popcount, scan--> counts of runs;  count of the tile --> states --scan--> its position
///   position + rank -> which bit: found in the counts, stored 16 bytes at a time
///
/// Blocks stay and take tile after tile; the block that comes first takes none, but adds up the
/// counts of all tiles in their order and answers with their positions. A block has up to `lag`
/// tiles counted and not yet written, so that a position is there when it is asked for, and the
/// input of the next tile is on its way meanwhile. Nothing is staged: a thread makes eight
/// neighbours of the result from the bits, so that it stores them in one piece. Bytes: the input
/// once and the encoding once. Bound by memory.
///
/// What is stored is up to an Emit; all threads call its functions:
///
///   static constexpr bool each_spike     units are the spikes; if not, units() tallies those
///   const std::uint32_t* units(bits, scratch, tally)   words of units: bit i of word w of a group
///                                        of rows is a unit. The bits themselves, or words in
///                                        `scratch`
///   static constexpr bool unites_rows    units() makes words in `scratch`
///   static constexpr bool needs_spare    it wants memory beside that,
///   void prepare(bits, spare)            and fills it
///   void store(bits, units, spare, first)   writes the units of a tile at first and on

#include <algorithm>

#include "spiketune/core/bits.hpp"
#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {

/// Words of that which an Emit may have to spare: eight bytes for each word of a tile.
template <DType storage>
inline constexpr std::uint32_t spare_words = 2 * tile_threads* owned_words<storage>;

/// Words of units of a tile that are not its bits: groups have four rows or more.
template <DType storage>
inline constexpr std::uint32_t unit_words = tile_threads* owned_words<storage> / 4;

inline constexpr std::uint64_t no_tile = ~std::uint64_t{0};

/// Takes the next tile that nobody has taken; the first to ask gets no_tile, and is to place them.
/// One thread calls.
__device__ inline std::uint64_t take_tile(const TileTask& task) {
  auto* taken = reinterpret_cast<unsigned long long*>(task.states + task.tiles);
  return std::uint64_t{atomicAdd(taken, 1ull)} - 1;
}

/// Places all tiles, and tells what follows from the sum. A block calls.
__device__ inline void place_tiles(const TileTask& task, bool each_spike) {
  const std::uint64_t all = scan_tiles(task.states, task.tiles);
  if (threadIdx.x != 0) return;
  task.status->needed = all;
  if (each_spike) task.status->nnz = all;
  if (task.offsets != nullptr) {
    task.offsets[ceil_div(task.m, task.rows_per_group)] = static_cast<std::uint32_t>(all);
  }
}

/// encode(bits, tile) for each tile that a block gets, its bits packed; all threads call, and a
/// barrier is between two calls. Tiles are taken in order.
template <DType storage, class Encode>
__device__ void for_each_tile(const TileTask& task, uint4* raw, std::uint32_t* words,
                              Encode&& encode) {
  __shared__ std::uint64_t shared_first;
  __shared__ std::uint64_t shared_next;
  if (threadIdx.x == 0) shared_first = take_tile(task);
  __syncthreads();
  std::uint64_t next = shared_first;
  if (next == no_tile) {
    place_tiles(task, false);
    return;
  }
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
    if (threadIdx.x == 0) next = take_tile(task);
    pack_fetched_tile<storage>(task, bits, raw, words);
    if (threadIdx.x == 0) shared_next = next;
    __syncthreads();
    next = shared_next;
  }
}

/// Position of a tile's first unit among all. All threads call; a barrier is inside.
__device__ inline std::uint64_t wait_for_position(const TileTask& task, std::uint64_t tile) {
  __shared__ std::uint64_t position;
  if (threadIdx.x == 0) position = position_of(task.states, tile, 0);
  __syncthreads();
  return position;
}

__device__ inline std::uint32_t column_of(std::uint32_t unit) {
  return unit & 0xffffu;
}
__device__ inline std::uint32_t group_of(std::uint32_t unit) {
  return unit >> 16;
}

/// A thread's run of a tile's words of units, where runs have equal length.
__device__ inline std::uint32_t run_length(std::uint32_t words) {
  return (words + tile_threads - 1) / tile_threads;
}

/// Units in the run of this thread.
template <std::uint32_t most>
__device__ std::uint32_t count_run(const std::uint32_t* words, std::uint32_t total) {
  const std::uint32_t length = run_length(total);
  const std::uint32_t begin = threadIdx.x * length;
  std::uint32_t count = 0;
  if constexpr (most % 4 == 0) {
    if (length == most && begin + most <= total) {
#pragma unroll
      for (std::uint32_t i = 0; i < most / 4; ++i) {
        const uint4 four = reinterpret_cast<const uint4*>(words + begin)[i];
        count += count_bits(four.x) + count_bits(four.y) + count_bits(four.z) + count_bits(four.w);
      }
      return count;
    }
  }
  for (std::uint32_t i = begin; i < std::min(begin + length, total); ++i) {
    count += count_bits(words[i]);
  }
  return count;
}

/// The units of a tile by their rank: row by row of groups, then by column.
class Units {
 public:
  std::uint32_t total;

  /// starts[i]: units before run i of `count` words; `total` in all.
  __device__ Units(const std::uint32_t* words, std::uint32_t count, const std::uint32_t* starts,
                   const Divisor& words_per_group, std::uint32_t all)
      : total(all),
        words_(words),
        starts_(starts),
        count_(count),
        per_group_(words_per_group),
        per_run_(run_length(count)) {}

  /// Goes over the units from one on, in order.
  class Cursor {
   public:
    /// The unit, group << 16 | 32·w + bit, and on to the next. There must be one.
    __device__ std::uint32_t next() {
      while (bits_ == 0) {
        bits_ = *++at_;
        column_ += 32;
        if (column_ == columns_) {
          column_ = 0;
          group_ += 0x10000u;
        }
      }
      const std::uint32_t bit = lowest_bit(bits_);
      bits_ &= bits_ - 1;
      return group_ + column_ + bit;
    }

   private:
    friend class Units;
    const std::uint32_t* at_;
    std::uint32_t bits_;
    std::uint32_t group_;    ///< << 16
    std::uint32_t column_;   ///< of the word's first bit
    std::uint32_t columns_;  ///< of a group
  };

  /// From the unit of that rank, below `total`.
  [[nodiscard]] __device__ Cursor find(std::uint32_t rank) const {
    std::uint32_t run = 0;
#pragma unroll
    for (std::uint32_t step = tile_threads / 2; step > 0; step /= 2) {
      if (starts_[run + step] <= rank) run += step;
    }
    rank -= starts_[run];
    std::uint32_t w = run * per_run_;
    std::uint32_t bits = words_[w];
    for (std::uint32_t units; (units = count_bits(bits)) <= rank; bits = words_[++w]) rank -= units;
    for (; rank > 0; --rank) bits &= bits - 1;
    const std::uint32_t group = per_group_.quotient(w);
    Cursor cursor;
    cursor.at_ = words_ + w;
    cursor.bits_ = bits;
    cursor.group_ = group << 16;
    cursor.column_ = 32 * (w - group * per_group_.value);
    cursor.columns_ = 32 * per_group_.value;
    return cursor;
  }
  /// visit(rank, unit) for each unit in this thread's run of words.
  template <class Visit>
  __device__ void for_each_own(Visit&& visit) const {
    const std::uint32_t begin = threadIdx.x * per_run_;
    if (begin >= count_) return;
    const std::uint32_t end = std::min(begin + per_run_, count_);
    std::uint32_t rank = starts_[threadIdx.x];
    for (std::uint32_t w = begin; w < end; ++w) {
      std::uint32_t bits = words_[w];
      if (bits == 0) continue;
      const std::uint32_t group = per_group_.quotient(w);
      const std::uint32_t unit = group << 16 | 32 * (w - group * per_group_.value);
      for (; bits != 0; bits &= bits - 1) visit(rank++, unit + lowest_bit(bits));
    }
  }
  /// Units before a group, or before the end.
  [[nodiscard]] __device__ std::uint32_t before(std::uint32_t group) const {
    return before_word(group * per_group_.value);
  }
  /// Units before a word, or before the end.
  [[nodiscard]] __device__ std::uint32_t before_word(std::uint32_t end) const {
    if (end >= count_) return total;
    const std::uint32_t run = end / per_run_;
    std::uint32_t units = starts_[run];
    for (std::uint32_t w = run * per_run_; w < end; ++w) units += count_bits(words_[w]);
    return units;
  }

 private:
  const std::uint32_t* words_;
  const std::uint32_t* starts_;
  std::uint32_t count_;
  Divisor per_group_;
  std::uint32_t per_run_;
};

/// Positions that a thread makes at a time: 16 bytes of the shortest indices.
inline constexpr std::uint32_t per_store = 8;

/// visit(begin, end) with parts of [first, first + count) that no multiple of per_store divides,
/// one after another for each thread.
template <class Visit>
__device__ void for_each_piece(std::uint64_t first, std::uint32_t count, Visit&& visit) {
  if (count == 0) return;
  const auto shift = static_cast<std::uint32_t>(first % per_store);
  const std::uint32_t end = shift + count;
  for (std::uint32_t i = per_store * threadIdx.x; i < end; i += per_store * tile_threads) {
    visit(i < shift ? 0 : i - shift, std::min(i + per_store, end) - shift);
  }
}

/// A tile with fewer units than this stores each where its bit is found: to look for eight of them
/// takes longer than what is gained by storing them in one piece.
inline constexpr std::uint32_t few_units = 4 * tile_threads;

/// Gives units to one(position, unit), or, where `together` and they are eight neighbours at a
/// multiple of eight, to eight(position, units). Unit i belongs to first + i; those at `limit` and
/// beyond are left out.
template <class One, class Eight>
__device__ void store_units(const Units& units, std::uint64_t first, std::uint64_t limit,
                            bool together, One&& one, Eight&& eight) {
  if (first >= limit) return;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(units.total, limit - first));
  if (units.total < few_units) {
    units.for_each_own([&](std::uint32_t rank, std::uint32_t unit) {
      if (rank < count) one(first + rank, unit);
    });
    return;
  }
  for_each_piece(first, count, [&](std::uint32_t begin, std::uint32_t end) {
    Units::Cursor cursor = units.find(begin);
    if (together && end - begin == per_store) {
      std::uint32_t of[per_store];
#pragma unroll
      for (std::uint32_t i = 0; i < per_store; ++i) of[i] = cursor.next();
      eight(first + begin, of);
    } else {
      for (; begin < end; ++begin) one(first + begin, cursor.next());
    }
  });
}

/// indices[at .. at + 7] = the columns of eight units, plus `first`; `at` is a multiple of 8.
__device__ inline void store_columns(const AnyArray& indices, std::uint64_t at,
                                     const std::uint32_t (&units)[per_store], std::uint32_t first) {
  if (indices.type == DType::u16) {
    const std::uint32_t both = first * 0x10001u;
    indices.as<uint4>()[at / 8] = {__byte_perm(units[0], units[1], 0x5410) + both,
                                   __byte_perm(units[2], units[3], 0x5410) + both,
                                   __byte_perm(units[4], units[5], 0x5410) + both,
                                   __byte_perm(units[6], units[7], 0x5410) + both};
    return;
  }
#pragma unroll
  for (std::uint32_t i = 0; i < per_store; i += 4) {
    indices.as<uint4>()[(at + i) / 4] = {
        column_of(units[i]) + first, column_of(units[i + 1]) + first,
        column_of(units[i + 2]) + first, column_of(units[i + 3]) + first};
  }
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

/// A tile on its way through a block, the same for all threads: in shared memory, since registers
/// are few.
struct TileInWork {
  std::uint64_t tile;  ///< task.tiles or more: none
  TileBits bits;
  std::uint32_t groups;
  Divisor words_per_group;
  std::uint32_t total;  ///< units

  __device__ TileInWork(const TileTask& task, std::uint64_t index, std::uint32_t* words)
      : tile(index),
        bits(task, index < task.tiles ? index : 0, words),
        groups(ceil_div(bits.rows, task.rows_per_group)),
        words_per_group(bits.words_per_row == task.part_words ? task.per_part
                                                              : Divisor(bits.words_per_row)),
        total(0) {}
};

/// Tiles that are counted and not yet written. Memory is for four blocks on a multiprocessor.
template <class Emit>
inline constexpr std::uint32_t lag = Emit::needs_spare ? 1 : 2;
/// Bits of tiles in shared memory. With one more than `lag` and the current one, a tile can be
/// packed while another thread still writes; units in `scratch` leave no memory for it.
template <class Emit>
inline constexpr std::uint32_t tile_slots = lag<Emit> + (Emit::unites_rows ? 1 : 2);

template <DType storage, class Emit>
inline constexpr std::uint32_t scratch_words = Emit::unites_rows ? unit_words<storage> : 0;
template <DType storage, class Emit>
inline constexpr std::uint32_t slot_words =  ///< bits, units before runs, units
    tile_threads* owned_words<storage> + tile_threads + scratch_words<storage, Emit>;

/// Writes a tile of which `packed` are the bits and `words` the units; its first unit goes to
/// `base`. All threads call.
template <class Emit>
__device__ void write_tile(const TileTask& task, const Emit& emit, const TileInWork& work,
                           std::uint32_t* packed, const std::uint32_t* words,
                           const std::uint32_t* starts, std::uint32_t* spare, std::uint64_t base) {
  TileBits bits = work.bits;
  bits.words = packed;
  const std::uint32_t groups = work.groups;
  const Units units(words, groups * bits.words_per_row, starts, work.words_per_group, work.total);
  if constexpr (Emit::needs_spare) {
    emit.prepare(bits, spare);
    __syncthreads();
  }
  if (task.offsets != nullptr && bits.first_word == 0) {
    for (std::uint32_t group = threadIdx.x; group < groups; group += tile_threads) {
      task.offsets[bits.first_group + group] =
          static_cast<std::uint32_t>(base) + units.before(group);
    }
  }
  emit.store(bits, units, spare, base);
}

template <DType storage, class Emit>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    encode_tiles(const __grid_constant__ TileTask task, const __grid_constant__ Emit emit) {
  constexpr std::uint32_t tile_words = tile_threads * owned_words<storage>;
  constexpr std::uint32_t delay = lag<Emit>;
  extern __shared__ uint4 shared[];
  __shared__ std::uint64_t in_work[delay + 3][sizeof(TileInWork) / 8];
  __shared__ std::uint64_t bases[2];
  uint4* raw = shared;
  auto* slots = reinterpret_cast<std::uint32_t*>(raw + raw_pieces<storage>(task));
  std::uint32_t* spare = slots + tile_slots<Emit> * slot_words<storage, Emit>;
  const auto work = [&](std::uint32_t turn) -> TileInWork& {
    return *reinterpret_cast<TileInWork*>(in_work[turn % (delay + 3)]);
  };
  const auto words_of = [&](std::uint32_t turn) {
    return slots + turn % tile_slots<Emit> * slot_words<storage, Emit>;
  };
  const auto starts_of = [&](std::uint32_t turn) { return words_of(turn) + tile_words; };
  const auto scratch_of = [&](std::uint32_t turn) { return starts_of(turn) + tile_threads; };

  if (threadIdx.x == 0) work(0) = TileInWork(task, take_tile(task), words_of(0));
  __syncthreads();
  if (work(0).tile == no_tile) {
    place_tiles(task, Emit::each_spike);
    return;
  }
  // Of thread 0, asked for a turn before they are needed: a tile, and the state of one to write.
  std::uint64_t taken = threadIdx.x == 0 ? take_tile(task) : 0;
  std::uint64_t state = 0;
  if (work(0).tile < task.tiles) fetch_tile<storage>(task, work(0).bits, raw);

  Tally tally;
  for (std::uint32_t turn = 0;; ++turn) {
    TileInWork& current = work(turn);
    const bool more = current.tile < task.tiles;
    const bool writes = turn >= delay && work(turn - delay).tile < task.tiles;
    if (!more && !writes && turn >= delay) break;
    TileBits bits = current.bits;
    bits.words = words_of(turn);  // where the compiler sees that it is shared memory
    if (more) pack_fetched_tile<storage>(task, bits, raw, bits.words);
    if (threadIdx.x == 0) {
      work(turn + 1) = TileInWork(task, more ? taken : no_tile, words_of(turn + 1));
      if (writes) bases[turn % 2] = position_of(task.states, work(turn - delay).tile, state);
    }
    __syncthreads();
    if (more) {
      if (work(turn + 1).tile < task.tiles) fetch_tile<storage>(task, work(turn + 1).bits, raw);
      if (threadIdx.x == 0) taken = take_tile(task);
      const std::uint32_t* units = emit.units(bits, scratch_of(turn), &tally);
      if constexpr (!Emit::each_spike) __syncthreads();
      std::uint32_t total = 0;
      starts_of(turn)[threadIdx.x] = block_exclusive_sum(
          count_run<owned_words<storage>>(units, current.groups * bits.words_per_row), &total);
      if (threadIdx.x == 0) {
        publish(task.states, current.tile, total);
        current.total = total;
      }
    }
    if (threadIdx.x == 0 && turn + 1 >= delay && work(turn + 1 - delay).tile < task.tiles) {
      state = load_state(task.states, work(turn + 1 - delay).tile);
    }
    if (writes) {
      const std::uint32_t written = turn - delay;
      write_tile(task, emit, work(written), words_of(written),
                 Emit::unites_rows ? scratch_of(written) : words_of(written), starts_of(written),
                 spare, bases[turn % 2]);
    }
    if constexpr (Emit::unites_rows) __syncthreads();
  }
  if constexpr (!Emit::each_spike) add_tally(task.status, tally);
}

/// Blocks that stay; one of them places what the others count.
inline unsigned resident_tile_blocks(const CudaContext& context, const TileTask& task) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  return static_cast<unsigned>(std::min<std::uint64_t>(
      task.tiles + 1, static_cast<std::uint64_t>(multiprocessors) * tile_blocks_per_sm));
}

template <DType storage, class Emit>
void launch_tiles(const CudaContext& context, const TileTask& task, const Emit& emit) {
  if (task.tiles == 0) return;
  const std::size_t words =
      tile_slots<Emit> * slot_words<storage, Emit> + (Emit::needs_spare ? spare_words<storage> : 0);
  const std::size_t bytes =
      raw_pieces<storage>(task) * sizeof(uint4) + words * sizeof(std::uint32_t);
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
