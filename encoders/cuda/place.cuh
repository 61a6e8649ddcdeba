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
///   static constexpr bool placed         units() leaves something that is placed
///   static constexpr bool each_spike     units are the spikes; if not, units() tallies those
///   const std::uint32_t* units(bits, scratch, tally)   words of units: bit i of word w of a group
///                                        of rows is a unit. The bits themselves, or words in
///                                        `scratch`
///   static constexpr bool unites_rows    units() makes words in `scratch`
///   static constexpr bool needs_spare    it wants memory beside that,
///   void prepare(bits, spare)            and fills it
///   void store(bits, units, spare, first)   writes the units of a tile at first and on

#include <algorithm>
#include <cuda/atomic>

#include "spiketune/core/bits.hpp"
#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {

namespace atomics = ::cuda;

/// Words of that which an Emit may have to spare: eight bytes for each word of a tile.
template <DType storage>
inline constexpr std::uint32_t spare_words = 2 * tile_threads* owned_words<storage>;

/// Words of units of a tile that are not its bits: groups have four rows or more.
template <DType storage>
inline constexpr std::uint32_t unit_words = tile_threads* owned_words<storage> / 4;

/// What a block counts over all its tiles, a thread its share.
struct Tally {
  std::uint32_t spikes = 0;
  std::uint32_t lost = 0;
  std::uint32_t longest = 0;  ///< row
};

using State = atomics::atomic_ref<std::uint64_t, atomics::thread_scope_device>;

/// A state is value · 4 + flag; flag 0: nothing yet, 1: units of the tile, 2: units before it.
/// One thread calls.
__device__ inline void publish(std::uint64_t* states, std::uint64_t tile, std::uint32_t units) {
  State(states[tile]).store(std::uint64_t{units} << 2 | 1, atomics::memory_order_relaxed);
}

__device__ inline std::uint64_t load_state(std::uint64_t* states, std::uint64_t tile) {
  return State(states[tile]).load(atomics::memory_order_relaxed);
}

/// Units before a tile, of which `state` was seen; waits until that is known. Cannot deadlock:
/// tiles are taken in order by blocks that run, and a block waits for a tile before those that it
/// has not counted.
__device__ inline std::uint64_t position_of(std::uint64_t* states, std::uint64_t tile,
                                            std::uint64_t state) {
  while ((state & 2) == 0) state = load_state(states, tile);
  return state >> 2;
}

/// Turns the counts of `tiles` tiles into positions, as they come; returns the sum of all. A block
/// of tile_threads calls. A turn looks at two tiles a thread and takes those from the first on that
/// have told their counts.
__device__ inline std::uint64_t scan_tiles(std::uint64_t* states, std::uint64_t tiles) {
  constexpr std::uint32_t warps = tile_threads / 32;
  __shared__ uint2 seen[2][warps];  // tiles that are ready, and their sum
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t before = 0;
  std::uint64_t first = 0;
  for (std::uint32_t turn = 0; first < tiles; turn ^= 1) {
    const std::uint64_t tile = first + 2 * threadIdx.x;
    const std::uint64_t one = tile < tiles ? load_state(states, tile) : 0;
    const std::uint64_t two = tile + 1 < tiles ? load_state(states, tile + 1) : 0;
    const std::uint32_t pairs = __ballot_sync(all_lanes, (one & two & 1) != 0);
    const std::uint32_t leading = pairs == all_lanes ? 32 : lowest_bit(~pairs);
    const std::uint32_t ready =
        lane < leading ? 2 : std::uint32_t{lane == leading && (one & 1) != 0};
    const auto units = static_cast<std::uint32_t>(ready > 0 ? one >> 2 : 0);
    const std::uint32_t sum = units + static_cast<std::uint32_t>(ready > 1 ? two >> 2 : 0);
    const std::uint32_t before_in_warp = warp_exclusive_sum(sum);
    const std::uint32_t all_ready = warp_sum(ready);
    if (lane == 31) seen[turn][warp] = {all_ready, before_in_warp + sum};
    __syncthreads();
    std::uint32_t tiles_taken = 0;
    std::uint32_t units_taken = 0;
    std::uint32_t before_warp = 0;
    bool open = true;  // all warps so far saw all of their tiles ready
    bool mine = false;
#pragma unroll
    for (std::uint32_t other = 0; other < warps; ++other) {
      const uint2 of = seen[turn][other];
      if (other == warp) {
        mine = open;
        before_warp = units_taken;
      }
      if (open) {
        tiles_taken += of.x;
        units_taken += of.y;
      }
      open = open && of.x == 64;
    }
    const std::uint64_t at = before + before_warp + before_in_warp;
    if (mine && ready > 0) {
      State(states[tile]).store(at << 2 | 2, atomics::memory_order_relaxed);
    }
    if (mine && ready > 1) {
      State(states[tile + 1]).store((at + units) << 2 | 2, atomics::memory_order_relaxed);
    }
    before += units_taken;
    first += tiles_taken;
  }
  return before;
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
  if (most % 4 == 0 && length == most && begin + most <= total) {
#pragma unroll
    for (std::uint32_t i = 0; i < most / 4; ++i) {
      const uint4 four = reinterpret_cast<const uint4*>(words + begin)[i];
      count += count_bits(four.x) + count_bits(four.y) + count_bits(four.z) + count_bits(four.w);
    }
    return count;
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
                   std::uint32_t words_per_group, std::uint32_t all)
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
    std::uint32_t w = run * per_run_.value;
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
  /// Units before a group, or before the end.
  [[nodiscard]] __device__ std::uint32_t before(std::uint32_t group) const {
    return before_word(group * per_group_.value);
  }
  /// Units before a word, or before the end.
  [[nodiscard]] __device__ std::uint32_t before_word(std::uint32_t end) const {
    if (end >= count_) return total;
    const std::uint32_t run = per_run_.quotient(end);
    std::uint32_t units = starts_[run];
    for (std::uint32_t w = run * per_run_.value; w < end; ++w) units += count_bits(words_[w]);
    return units;
  }

 private:
  const std::uint32_t* words_;
  const std::uint32_t* starts_;
  std::uint32_t count_;
  Divisor per_group_;
  Divisor per_run_;
};

/// Positions that a thread makes at a time: 16 bytes of the shortest indices.
inline constexpr std::uint32_t per_store = 8;

/// visit(begin, end) with parts of [first, first + count) that no multiple of per_store divides,
/// one after another for each thread.
template <class Visit>
__device__ void for_each_piece(std::uint64_t first, std::uint32_t count, Visit&& visit) {
  const auto shift = static_cast<std::uint32_t>(first % per_store);
  const std::uint32_t end = shift + count;
  for (std::uint32_t i = per_store * threadIdx.x; i < end; i += per_store * tile_threads) {
    visit(i < shift ? 0 : i - shift, std::min(i + per_store, end) - shift);
  }
}

/// Gives units to one(position, unit), or, where `together` and they are eight neighbours at a
/// multiple of eight, to eight(position, units). Unit i belongs to first + i; those at `limit` and
/// beyond are left out.
template <class One, class Eight>
__device__ void store_units(const Units& units, std::uint64_t first, std::uint64_t limit,
                            bool together, One&& one, Eight&& eight) {
  if (first >= limit) return;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(units.total, limit - first));
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

/// rows[at .. at + 7] = the groups of eight units, plus `first`; `at` is a multiple of 8.
__device__ inline void store_rows(std::uint32_t* rows, std::uint64_t at,
                                  const std::uint32_t (&units)[per_store], std::uint32_t first) {
#pragma unroll
  for (std::uint32_t i = 0; i < per_store; i += 4) {
    reinterpret_cast<uint4*>(rows)[(at + i) / 4] = {
        group_of(units[i]) + first, group_of(units[i + 1]) + first, group_of(units[i + 2]) + first,
        group_of(units[i + 3]) + first};
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

/// Adds what a block has counted to the status. All threads call.
__device__ inline void add_tally(EncodeStatus* status, const Tally& tally) {
  add_to(&status->nnz, tally.spikes);
  __syncthreads();  // both are added up in the same shared word
  add_to(&status->lost, tally.lost);
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

inline constexpr std::uint64_t no_tile = ~std::uint64_t{0};

/// Tiles that are counted and not yet written. Memory is for four blocks on a multiprocessor.
template <class Emit>
inline constexpr std::uint32_t lag = !Emit::placed       ? 0
                                     : Emit::needs_spare ? 1
                                                         : 2;
/// Bits of tiles in shared memory. With one more than `lag` and the current one, a tile can be
/// packed while another thread still writes; units in `scratch` leave no memory for it.
template <class Emit>
inline constexpr std::uint32_t tile_slots = lag<Emit> + (Emit::unites_rows ? 1 : 2);

template <DType storage, class Emit>
inline constexpr std::uint32_t scratch_words = Emit::unites_rows ? unit_words<storage> : 0;
template <DType storage, class Emit>
inline constexpr std::uint32_t slot_words =  ///< bits, units before runs, units
    tile_threads* owned_words<storage> + tile_threads + scratch_words<storage, Emit>;

/// The tile that a block takes for its turn `turn`. Where tiles are placed they are taken in order,
/// and the first to ask gets none. One thread calls.
template <class Emit>
__device__ std::uint64_t take_tile(const TileTask& task, std::uint32_t turn) {
  if constexpr (!Emit::placed) return blockIdx.x + std::uint64_t{turn} * gridDim.x;
  auto* taken = reinterpret_cast<unsigned long long*>(task.states + task.tiles);
  return std::uint64_t{atomicAdd(taken, 1ull)} - 1;
}

/// Writes a tile; its first unit goes to `base`. All threads call.
template <class Emit>
__device__ void write_tile(const TileTask& task, const Emit& emit, const TileInWork& work,
                           const std::uint32_t* words, const std::uint32_t* starts,
                           std::uint32_t* spare, std::uint64_t base) {
  const TileBits bits = work.bits;
  const std::uint32_t groups = (bits.rows + task.rows_per_group - 1) / task.rows_per_group;
  const Units units(words, groups * bits.words_per_row, starts, bits.words_per_row, work.total);
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

  if (threadIdx.x == 0) work(0) = TileInWork(task, take_tile<Emit>(task, 0), words_of(0));
  __syncthreads();
  if constexpr (Emit::placed) {
    if (work(0).tile == no_tile) {
      const std::uint64_t all = scan_tiles(task.states, task.tiles);
      if (threadIdx.x != 0) return;
      task.status->needed = all;
      if (Emit::each_spike) task.status->nnz = all;
      if (task.offsets != nullptr) {
        task.offsets[ceil_div(task.m, task.rows_per_group)] = static_cast<std::uint32_t>(all);
      }
      return;
    }
  }
  // Of thread 0, asked for a turn before they are needed: a tile, and the state of one to write.
  std::uint64_t taken = threadIdx.x == 0 ? take_tile<Emit>(task, 1) : 0;
  std::uint64_t state = 0;
  if (work(0).tile < task.tiles) fetch_tile<storage>(task, work(0).bits, raw);

  Tally tally;
  for (std::uint32_t turn = 0;; ++turn) {
    TileInWork& current = work(turn);
    const bool more = current.tile < task.tiles;
    const bool writes = Emit::placed && turn >= delay && work(turn - delay).tile < task.tiles;
    if (!more && !writes && turn >= delay) break;
    const TileBits bits = current.bits;
    if (more) pack_fetched_tile<storage>(task, bits, raw, bits.words);
    if (threadIdx.x == 0) {
      work(turn + 1) = TileInWork(task, more ? taken : no_tile, words_of(turn + 1));
      if (writes) bases[turn % 2] = position_of(task.states, work(turn - delay).tile, state);
    }
    __syncthreads();
    if (more) {
      if (work(turn + 1).tile < task.tiles) fetch_tile<storage>(task, work(turn + 1).bits, raw);
      if (threadIdx.x == 0) taken = take_tile<Emit>(task, turn + 2);
      const std::uint32_t* units = emit.units(bits, scratch_of(turn), &tally);
      if constexpr (Emit::placed) {
        if constexpr (!Emit::each_spike) __syncthreads();
        const std::uint32_t groups = (bits.rows + task.rows_per_group - 1) / task.rows_per_group;
        std::uint32_t total = 0;
        starts_of(turn)[threadIdx.x] = block_exclusive_sum(
            count_run<owned_words<storage>>(units, groups * bits.words_per_row), &total);
        if (threadIdx.x == 0) {
          publish(task.states, current.tile, total);
          current.total = total;
        }
      }
    }
    if constexpr (Emit::placed) {
      if (threadIdx.x == 0 && turn + 1 >= delay && work(turn + 1 - delay).tile < task.tiles) {
        state = load_state(task.states, work(turn + 1 - delay).tile);
      }
      if (writes) {
        const std::uint32_t written = turn - delay;
        write_tile(task, emit, work(written),
                   Emit::unites_rows ? scratch_of(written) : words_of(written), starts_of(written),
                   spare, bases[turn % 2]);
      }
      if constexpr (Emit::unites_rows) __syncthreads();
    }
  }
  if constexpr (!Emit::each_spike) add_tally(task.status, tally);
  if constexpr (!Emit::placed) raise_to(&task.status->needed, tally.longest);
}

/// Blocks that stay, one of them to place what the others count.
template <class Emit>
unsigned resident_tile_blocks(const CudaContext& context, const TileTask& task) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  return static_cast<unsigned>(
      std::min<std::uint64_t>(task.tiles + std::uint64_t{Emit::placed},
                              static_cast<std::uint64_t>(multiprocessors) * tile_blocks_per_sm));
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
      <<<resident_tile_blocks<Emit>(context, task), tile_threads, bytes, context.stream>>>(task,
                                                                                           emit);
  check_launch();
}

/// Encodes in two launches: one resets the counters, the other does everything. `states` has
/// tile_states(task) words, or is null where nothing is placed.
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
