#pragma once
/// \file
/// One-pass encoders whose rows follow one another: strips are counted, placed, and written.
///
///   bits --popcount, scan--> units of the strip, of the batch --> states --scan--> its position
///
/// The warps of a block take the strips of a batch, one each, and batch after batch; no barrier
/// keeps them together. The warp that counts last tells the units of the batch; the first block
/// takes no batch, but adds up the counts of all in their order and answers with their positions. A
/// warp has up to `strip_lag` strips counted and not yet written, so that a position is there when
/// it is asked for. Where each block has one batch at most there is nothing to hide the wait
/// behind: it adds up those before it alone. Bytes: the input once and the encoding once. Bound by
/// memory.
///
/// What is stored is up to an Emit; all lanes call its functions:
///
///   static constexpr bool each_spike     units are the spikes; if not, split() tallies those
///   void split(strip, tally)             turns the spikes of the strip into units
///   bool is_pattern()                    there are no values
///   void store<storage, pattern>(strip, units, first)   writes the units of a strip at first and
///                                        on; `pattern`: it is known that there are no values

#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/strips.cuh"

namespace spiketune::cuda {

inline constexpr std::uint32_t batch_strips = strip_warps;
/// Strips that are counted and not yet written.
inline constexpr std::uint32_t strip_lag = 2;
/// Bits of strips in shared memory: those, and the current one.
inline constexpr std::uint32_t strip_slots = strip_lag + 1;
using BlockCounter = atomics::atomic_ref<std::uint32_t, atomics::thread_scope_block>;

/// Words that warps of a block hand each other are exchanged rather than stored, which costs
/// nothing here: by the instruction compute-sanitizer tells what is atomic.
template <class Word>
__device__ void hand_over(Word& word, Word value) {
  atomics::atomic_ref<Word, atomics::thread_scope_block>(word).exchange(
      value, atomics::memory_order_relaxed);
}
template <class Word>
__device__ Word look_at(Word& word) {
  return atomics::atomic_ref<Word, atomics::thread_scope_block>(word).load(
      atomics::memory_order_relaxed);
}

/// What the warps of a block tell each other. No two are further apart than 2 · strip_lag + 1
/// turns.
struct Roster {
  static constexpr std::uint32_t turns = 8;
  std::uint64_t batches[turns];  ///< turn << 32 | batch
  std::uint64_t base;            ///< 2 · position + 1 of the batch of a block that has one
  std::uint32_t arrived[turns];  ///< warps that have counted, since the beginning
  std::uint32_t totals[turns][batch_strips];
};
static_assert(2 * strip_lag + 2 <= Roster::turns);

inline constexpr std::uint32_t no_batch = 0xffffffffu;

/// The strips of a block's warps, in shared memory.
template <DType storage>
struct alignas(16) CrewMember {
  StripMemory<storage> slots[strip_slots];
  std::uint16_t staged[strip_window<storage> + 8];
  uint4 raw[32 * lane_pieces<storage>];  ///< input of the next strip
};

/// Takes the batch of a turn. One lane calls.
__device__ inline void take_batch(const TileTask& task, std::uint32_t batches, Roster& roster,
                                  std::uint32_t turn) {
  const std::uint64_t batch =
      State(task.states[batches]).fetch_add(1, atomics::memory_order_relaxed);
  hand_over(roster.batches[turn % Roster::turns],
            std::uint64_t{turn} << 32 | std::min<std::uint64_t>(batch, no_batch));
}

__device__ inline std::uint32_t batch_of(Roster& roster, std::uint32_t turn) {
  std::uint64_t found;
  do {
    found = look_at(roster.batches[turn % Roster::turns]);
  } while (static_cast<std::uint32_t>(found >> 32) != turn);
  return static_cast<std::uint32_t>(found);
}

/// Units of all batches before one, each of which has told or will soon. All lanes call. Counts are
/// in the low half of a state: the other would take registers.
__device__ inline std::uint32_t sum_before(std::uint64_t* states, std::uint32_t batch) {
  constexpr std::uint32_t each = 8;
  using Half = atomics::atomic_ref<std::uint32_t, atomics::thread_scope_device>;
  auto* halves = reinterpret_cast<std::uint32_t*>(states + threadIdx.x % 32);
  std::uint32_t sum = 0;
  for (std::uint32_t first = threadIdx.x % 32; first < batch; first += 32 * each) {
    std::uint32_t found[each];
    std::uint32_t known = 0;
    while ((known & 1) == 0) {
      known = 1;
#pragma unroll
      for (std::uint32_t i = 0; i < each; ++i) {
        found[i] = 1;
        if (first + 32 * i < batch) {
          found[i] = Half(halves[64 * i]).load(atomics::memory_order_relaxed);
        }
      }
#pragma unroll
      for (std::uint32_t i = 0; i < each; ++i) known &= found[i];
    }
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) sum += found[i] >> 2;
    halves += 64 * each;
  }
  __syncwarp();
  return __reduce_add_sync(all_lanes, sum);
}

/// What follows from the number of all units. One thread calls.
__device__ inline void tell_total(const TileTask& task, bool each_spike, std::uint64_t all) {
  task.status->needed = all;
  if (each_spike) task.status->nnz = all;
  if (task.offsets != nullptr) {
    task.offsets[ceil_div(task.m, task.rows_per_group)] = static_cast<std::uint32_t>(all);
  }
}

inline std::uint64_t count_batches(const TileTask& task) {
  return ceil_div(task.tiles, batch_strips);
}

/// Writes the offsets of a strip's rows.
template <DType storage>
__device__ void store_offsets(const TileTask& task, const Strip& strip,
                              const StripUnits<storage>& units, std::uint64_t first) {
  if (task.offsets == nullptr || strip.first_word != 0) return;
  std::uint32_t* offsets = task.offsets + strip.first_row;
  if (strip.one_row()) {
    if (threadIdx.x % 32 == 0) *offsets = static_cast<std::uint32_t>(first);
    return;
  }
#pragma unroll 1
  for (std::uint32_t row = threadIdx.x % 32; row < strip.rows; row += 32) {
    offsets[row] = static_cast<std::uint32_t>(first) + units.before_word(row * strip.words_per_row);
  }
}

/// How a warp turns a strip of rows into units; GroupStrips in groups.cuh does so with groups.
template <DType storage, bool quick, class EmitRows>
struct RowStrips {
  using Emit = EmitRows;
  using Member = CrewMember<storage>;
  using Slot = StripMemory<storage>;
  static constexpr int blocks_per_sm = 3;

  /// The input of a strip is on its way.
  static __device__ void load(const TileTask& task, const Strip& strip, Member& mine) {
    if constexpr (quick) SharedPieces<storage>{mine.raw}.load(task, strip);
  }
  /// All lanes call, and __syncwarp() after it.
  static __device__ void pack(const TileTask& task, const Strip& strip, Member& mine, Slot& slot,
                              const Emit&) {
    pack_strip<storage, quick>(task, strip, SharedPieces<storage>{mine.raw}, slot.words);
  }
  /// Units of this lane.
  static __device__ std::uint32_t count(const TileTask&, Strip strip, Slot& slot, const Emit& emit,
                                        Tally* tally) {
    constexpr std::uint32_t owned = owned_words<storage>;
    if constexpr (!Emit::each_spike) {
      strip.words = slot.words;
      emit.split(strip, tally);
      __syncwarp();
    }
    std::uint32_t words[owned];
    load_words<owned>(slot.words + threadIdx.x % 32 * owned, words);
    std::uint32_t units = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) units += count_bits(words[i]);
    return units;
  }
  /// Keeps how many units are before those of this lane.
  static __device__ void keep(Slot& slot, std::uint32_t before) {
    slot.before[threadIdx.x % 32] = before;
  }
  /// Writes the `total` units of a strip, and the offsets of its rows.
  static __device__ void store(const TileTask& task, const Strip& strip, Member& mine,
                               const Slot& slot, const Emit& emit, std::uint32_t total,
                               std::uint64_t first) {
    const StripUnits<storage> units{total, &slot, mine.staged};
    store_offsets<storage>(task, strip, units, first);
    emit.template store<storage, quick>(strip, units, first);
  }
};

/// Work: RowStrips or the like.
template <class Work>
__global__ void __launch_bounds__(strip_threads, Work::blocks_per_sm)
    encode_strips(const __grid_constant__ TileTask task,
                  const __grid_constant__ typename Work::Emit emit, std::uint32_t batches) {
  using Emit = typename Work::Emit;
  using Member = typename Work::Member;
  extern __shared__ uint4 shared[];
  __shared__ Roster roster;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  const bool alone = gridDim.x == batches;  // there is no block that places
  if (!alone && blockIdx.x == 0) {
    wait_for_reset();
    const std::uint64_t all = scan_tiles<strip_threads>(task.states, batches);
    if (threadIdx.x == 0) tell_total(task, Emit::each_spike, all);
    return;
  }
  for (std::uint32_t i = threadIdx.x; i < Roster::turns; i += strip_threads) {
    roster.batches[i] = ~std::uint64_t{0};
    roster.arrived[i] = 0;
  }
  if (threadIdx.x == 0) roster.base = 0;
  __syncthreads();
  if (!alone && threadIdx.x == 0) {
    wait_for_reset();
    take_batch(task, batches, roster, 0);
  }

  Member& mine = reinterpret_cast<Member*>(shared)[warp];
  std::uint32_t batch = alone ? blockIdx.x : batch_of(roster, 0);
  const auto strip_of = [&](std::uint32_t of) {
    return Strip(task, of * batch_strips + warp, nullptr);
  };
  Strip strip = strip_of(batch);
  Work::load(task, strip, mine);
  wait_for_reset();
  if (!alone && threadIdx.x == 0) take_batch(task, batches, roster, 1);

  Tally tally;
  std::uint32_t earlier[strip_lag];  // batches of the last turns, the oldest first
#pragma unroll
  for (std::uint32_t i = 0; i < strip_lag; ++i) earlier[i] = no_batch;
  std::uint32_t slot = 0;
  for (std::uint32_t turn = 0;; ++turn) {
    const bool more = batch < batches;
    const bool writes = earlier[0] < batches;
    if (!more && !writes && turn >= strip_lag) break;
    std::uint32_t next = no_batch;
    // Asked for before it is needed: it is some way to the memory.
    const std::uint64_t state = !alone && writes ? load_state(task.states, earlier[0]) : 0;
    if (more) {
      typename Work::Slot& memory = mine.slots[slot];
      Work::pack(task, strip, mine, memory, emit);
      __syncwarp();
      if (!alone) next = batch_of(roster, turn + 1);
      const Strip here = strip;
      if (next < batches) {
        strip = strip_of(next);
        Work::load(task, strip, mine);
      }
      const std::uint32_t count = Work::count(task, here, memory, emit, &tally);
      const std::uint32_t before = warp_exclusive_sum(count);
      Work::keep(memory, before);
      const std::uint32_t kept = turn % Roster::turns;
      std::uint32_t arrived = 0;
      if (lane == 31) {
        hand_over(roster.totals[kept][warp], before + count);
        arrived = BlockCounter(roster.arrived[kept]).fetch_add(1, atomics::memory_order_acq_rel);
        if (!alone && arrived % batch_strips == 0) {
          take_batch(task, batches, roster, turn + 2);
        }
      }
      arrived = __shfl_sync(all_lanes, arrived, 31);
      if (arrived % batch_strips == batch_strips - 1) {  // the last of the batch
        const std::uint32_t sum = __reduce_add_sync(
            all_lanes, lane < batch_strips ? look_at(roster.totals[kept][lane]) : 0);
        if (lane == 0) publish(task.states, batch, sum);
        if (alone) {
          const std::uint64_t base = sum_before(task.states, batch);
          if (lane == 0) {
            hand_over(roster.base, base * 2 + 1);
            if (batch + 1 == batches) tell_total(task, Emit::each_spike, base + sum);
          }
        }
      }
    }
    slot = slot + 1 == strip_slots ? 0 : slot + 1;  // the oldest
    if (writes) {
      const typename Work::Slot& memory = mine.slots[slot];
      const std::uint32_t kept = (turn - strip_lag) % Roster::turns;
      std::uint64_t base = 0;
      if (alone) {
        while ((base & 1) == 0) base = look_at(roster.base);
        base >>= 1;
      } else {
        base = position_of(task.states, earlier[0], state);
      }
      const std::uint32_t all_arrived = ((turn - strip_lag) / Roster::turns + 1) * batch_strips;
      while (BlockCounter(roster.arrived[kept]).load(atomics::memory_order_acquire) < all_arrived) {
      }
      __syncwarp();
      base += __reduce_add_sync(all_lanes, lane < warp ? look_at(roster.totals[kept][lane]) : 0);
      const Strip written = strip_of(earlier[0]);
      Work::store(task, written, mine, memory, emit, look_at(roster.totals[kept][warp]), base);
    }
#pragma unroll
    for (std::uint32_t i = 0; i + 1 < strip_lag; ++i) earlier[i] = earlier[i + 1];
    earlier[strip_lag - 1] = batch;
    batch = next;
  }
  if constexpr (!Emit::each_spike) add_tally(task.status, tally);
}

/// Words of the workspace for the counts and positions of batches, and how many are taken.
inline std::uint64_t strip_states(const TileTask& task) {
  return count_batches(task) + 1;
}

/// `early`: reset_tiles() was the last launch, and the kernel may begin before its end.
template <class Work>
void launch_strips(const CudaContext& context, const TileTask& task,
                   const typename Work::Emit& emit, bool early = true) {
  const auto batches = static_cast<std::uint32_t>(count_batches(task));
  if (batches == 0) return;
  const std::size_t bytes = batch_strips * sizeof(typename Work::Member);
  allow_shared(encode_strips<Work>, bytes);
  const unsigned blocks = std::min(batches, resident_strip_blocks(context, Work::blocks_per_sm));
  if (early) {
    launch_after_reset(context, encode_strips<Work>, blocks, strip_threads, bytes, task, emit,
                       batches);
  } else {
    encode_strips<Work><<<blocks, strip_threads, bytes, context.stream>>>(task, emit, batches);
    check_launch();
  }
}

/// Encodes after reset_tiles(); see launch_strips().
template <DType storage, class Emit>
void launch_reset_strips(const CudaContext& context, const TileTask& task, const Emit& emit,
                         bool early) {
  if (is_quick(task) && emit.is_pattern()) {
    launch_strips<RowStrips<storage, true, Emit>>(context, task, emit, early);
  } else {
    launch_strips<RowStrips<storage, false, Emit>>(context, task, emit, early);
  }
}

/// Encodes in two launches: one resets the counters, the other, which begins meanwhile, does
/// everything. `states` has strip_states(task) words.
template <class Emit>
void run_strips(const CudaContext& context, DType storage, TileTask task, const Emit& emit,
                std::uint32_t* offsets, EncodeStatus* status, std::uint64_t* states) {
  check_strips(task);
  task.offsets = offsets;
  task.status = status;
  task.states = states;
  reset_tiles(context, task, strip_states(task));
  with_storage(storage,
               [&]<DType type>() { launch_reset_strips<type>(context, task, emit, true); });
}

}  // namespace spiketune::cuda
