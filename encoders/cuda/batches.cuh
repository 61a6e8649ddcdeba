#pragma once
/// \file
/// One-pass encoders whose rows follow one another: strips are counted, placed, and written.
///
///   bits --popcount, scan--> units of the strip, of the batch --> states --scan--> its position
///
/// The warps of a block take the strips of a batch, one each, and batch after batch; no barrier
/// keeps them together. One more warp, the clerk, takes the batches, tells their units, and tells
/// the others where theirs go, so that what is far away is waited for by nobody else. The first
/// block takes no batch, but adds up the counts of all in their order and answers with their
/// positions. A warp has up to `strip_lag` strips counted and not yet written, so that a position
/// is there when it is asked for. Where each block has two batches at most there is little to hide
/// the wait behind: its clerk adds up those before it alone. Bytes: the input once and the encoding
/// once. Bound by memory.
///
/// What is stored is up to an Emit; all lanes call its functions:
///
///   static constexpr bool each_spike     units are the spikes; if not, split() tallies those
///   void split<storage, quick>(strip, tally)   turns the spikes of the strip into units
///   bool is_pattern()                    there are no values
///   void store<storage, pattern>(strip, units, first)   writes the units of a strip at first and
///                                        on; `pattern`: it is known that there are no values

#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/spans.cuh"

namespace spiketune::cuda {

/// With the clerk ten warps: two blocks are five for each scheduler of a multiprocessor.
inline constexpr std::uint32_t batch_strips = 9;
inline constexpr int crew_threads = 32 * (batch_strips + 1);
/// Strips that are counted and not yet written.
inline constexpr std::uint32_t strip_lag = 4;
/// Turns of a block at most, where there is none that places.
inline constexpr std::uint32_t turns_alone = 2;
static_assert(turns_alone <= strip_lag);
/// Bits of strips in shared memory: those, and the current one.
inline constexpr std::uint32_t strip_slots = strip_lag + 1;

/// Words that warps of a block hand each other are exchanged rather than stored, which costs
/// nothing here: by the instruction compute-sanitizer tells what is atomic. They are reached by
/// their address in shared memory, where libcu++ would take the way of all memory.
#if defined(__CUDA_ARCH__)
__device__ inline void hand_over(std::uint32_t& word, std::uint32_t value) {
  asm volatile("{ .reg .b32 before; atom.relaxed.cta.shared.exch.b32 before, [%0], %1; }" ::"r"(
                   shared_address(&word)),
               "r"(value)
               : "memory");
}
__device__ inline void hand_over(std::uint64_t& word, std::uint64_t value) {
  asm volatile("{ .reg .b64 before; atom.relaxed.cta.shared.exch.b64 before, [%0], %1; }" ::"r"(
                   shared_address(&word)),
               "l"(value)
               : "memory");
}
__device__ inline std::uint32_t look_at(const std::uint32_t& word) {
  std::uint32_t value;
  asm volatile("ld.relaxed.cta.shared.u32 %0, [%1];"
               : "=r"(value)
               : "r"(shared_address(&word))
               : "memory");
  return value;
}
__device__ inline std::uint64_t look_at(const std::uint64_t& word) {
  std::uint64_t value;
  asm volatile("ld.relaxed.cta.shared.u64 %0, [%1];"
               : "=l"(value)
               : "r"(shared_address(&word))
               : "memory");
  return value;
}
#else
template <class Word>
void hand_over(Word& word, Word value) {
  atomics::atomic_ref<Word, atomics::thread_scope_block>(word).store(value);
}
template <class Word>
Word look_at(Word& word) {
  return atomics::atomic_ref<Word, atomics::thread_scope_block>(word).load(
      atomics::memory_order_relaxed);
}
#endif

/// What the clerk and the warps of a block tell each other, by turns. Whoever looks sees by a mark
/// of the turn whether it is there. The clerk has told the positions of a turn before a warp counts
/// strip_lag + 1 turns later, so no word is needed anew before all have seen it.
struct Roster {
  static constexpr std::uint32_t turns = 8;
  static constexpr std::uint32_t ahead = 2;      ///< batches that are taken before one is counted
  std::uint64_t batches[turns];                  ///< mark << 48 | batch
  std::uint64_t positions[turns][batch_strips];  ///< mark << 48 | units before the strip
  std::uint32_t counts[turns][batch_strips];     ///< mark << 16 | units of the strip
};
static_assert(strip_lag + 2 + Roster::ahead <= Roster::turns);

/// Never that of a turn with the same words, and not 0 in the first of them.
__device__ inline std::uint32_t mark_of(std::uint32_t turn) {
  return (turn + 1) & 0xffffu;
}

__device__ inline void tell(std::uint64_t& word, std::uint32_t turn, std::uint64_t value) {
  hand_over(word, std::uint64_t{mark_of(turn)} << 48 | value);
}
/// Waits for what is told of a turn.
__device__ inline std::uint64_t hear(std::uint64_t& word, std::uint32_t turn) {
  std::uint64_t found;
  do {
    found = look_at(word);
  } while (found >> 48 != mark_of(turn));
  return found & 0xffffffffffffu;
}

/// The same, of which the compiler does not know where it is: it would find the address anew for
/// each word.
__device__ inline Roster& kept_in_register(Roster& roster) {
  Roster* address = &roster;
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+l"(address));
#endif
  return *address;
}

inline constexpr std::uint32_t no_batch = 0xffffffffu;

/// Copies to shared memory have to fill whole lines: 16 bytes beside them they cost a CSR encoder a
/// tenth of its time.
struct alignas(128) Line {
  uint4 pieces[8];
};

/// The strips of a block's warps, in shared memory.
template <DType storage>
struct alignas(Line) CrewMember {
  uint4 raw[32 * lane_pieces<storage>];  ///< input of the next strip
  StripMemory<storage> slots[strip_slots];
  std::uint16_t staged[strip_window<storage> + 8];
  std::uint64_t arrived;  ///< tells of it, where it comes by one instruction
};

/// Takes the next batch. All lanes call; the first one's is it.
__device__ inline std::uint64_t take_batch(const TileTask& task, std::uint32_t batches) {
  if (threadIdx.x % 32 != 0) return 0;
  return State(task.states[batches]).fetch_add(1, atomics::memory_order_relaxed);
}
/// Tells the batch of a turn.
__device__ inline std::uint32_t tell_batch(Roster& roster, std::uint32_t turn,
                                           std::uint64_t taken) {
  const auto batch = static_cast<std::uint32_t>(taken < no_batch ? taken : std::uint64_t{no_batch});
  if (threadIdx.x % 32 == 0) tell(roster.batches[turn % Roster::turns], turn, batch);
  return __shfl_sync(all_lanes, batch, 0);
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

inline std::uint64_t count_batches(const TileTask& task) {
  return ceil_div(task.tiles, batch_strips);
}

/// How a warp turns a strip of rows into units; GroupStrips in groups.cuh does so with groups.
template <DType storage, bool quick, class EmitRows>
struct RowStrips {
  using Emit = EmitRows;
  using Member = CrewMember<storage>;
  using Slot = StripMemory<storage>;
  static constexpr bool waits_in_row = false;
  static constexpr int blocks_per_sm = 2;  ///< 30 warps take longer than 20, of bits too

  /// The input of the strip of a turn.
  static __device__ auto pieces(Member& mine, std::uint32_t turn) {
    if constexpr (Emit::each_spike) {
      return SharedPieces<storage>{mine.raw};
    } else {
      return BulkPieces<storage>{mine.raw, &mine.arrived, turn};
    }
  }
  /// One lane calls, before all else.
  static __device__ void init(Member& mine) {
    if constexpr (!Emit::each_spike) pieces(mine, 0).init();
  }
  /// The input of a strip is on its way.
  static __device__ void load(const TileTask& task, const Strip& strip, Member& mine) {
    if constexpr (quick) pieces(mine, 0).load(task, strip);
  }
  /// All lanes call, and __syncwarp() after it.
  static __device__ void pack(const TileTask& task, const Strip& strip, Member& mine, Slot& slot,
                              const Emit&, std::uint32_t turn) {
    pack_strip<storage, quick>(task, strip, pieces(mine, turn), slot.words);
  }
  /// Units of this lane.
  static __device__ std::uint32_t count(const TileTask&, Strip strip, Slot& slot, const Emit& emit,
                                        Tally* tally) {
    constexpr std::uint32_t owned = owned_words<storage>;
    if constexpr (!Emit::each_spike) {
      strip.words = slot.words;
      emit.template split<storage, quick>(strip, tally);
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
    __syncwarp();  // the slot is packed anew
  }
};

/// The strip that each warp counts in a turn: units, where all have been counted; else nothing.
struct CountedBatch {
  bool whole;
  std::uint32_t units;  ///< of this lane's strip

  __device__ CountedBatch(Roster& roster, std::uint32_t turn) {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t none = mark_of(turn) << 16;
    const std::uint32_t count =
        lane < batch_strips ? look_at(roster.counts[turn % Roster::turns][lane]) : none;
    whole = __all_sync(all_lanes, count >> 16 == mark_of(turn)) != 0;
    units = count & 0xffffu;
  }
};

/// Tells the warps where the strips of a counted batch go.
__device__ inline void tell_positions(Roster& roster, std::uint32_t turn, std::uint64_t first) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t before = warp_exclusive_sum(CountedBatch(roster, turn).units);
  if (lane < batch_strips) {
    tell(roster.positions[turn % Roster::turns][lane], turn, first + before);
  }
}

/// The clerk of a block that takes batch after batch. It never waits for a position before it has
/// told a count, so that no block waits for itself.
__device__ inline void keep_books(const TileTask& task, std::uint32_t batches, Roster& roster) {
  wait_for_primary();
  std::uint32_t next[Roster::ahead];  // batches, the first of them that is counted
#pragma unroll
  for (std::uint32_t i = 0; i < Roster::ahead; ++i) {
    next[i] = tell_batch(roster, i, take_batch(task, batches));
  }
  std::uint32_t placed = next[0];  // that is waiting for its position
  std::uint32_t counting = 0;
  for (std::uint32_t placing = 0; next[0] < batches || placing < counting;) {
    const std::uint64_t state = placing < counting ? load_state(task.states, placed) : 0;
    bool counted = false;
    std::uint64_t taken = 0;
    if (next[0] < batches) {
      const CountedBatch here(roster, counting);
      counted = here.whole;
      if (counted) {
        const std::uint32_t units = __reduce_add_sync(all_lanes, here.units);
        if (threadIdx.x % 32 == 0) publish(task.states, next[0], units);
        taken = take_batch(task, batches);
      }
    }
    if (__all_sync(all_lanes, (state & 2) != 0) != 0) {  // lanes may have looked at other times
      tell_positions(roster, placing, state >> 2);
      ++placing;
      placed = static_cast<std::uint32_t>(look_at(roster.batches[placing % Roster::turns]));
    }
    if (counted) {
      ++counting;
#pragma unroll
      for (std::uint32_t i = 0; i + 1 < Roster::ahead; ++i) next[i] = next[i + 1];
      next[Roster::ahead - 1] = tell_batch(roster, counting + Roster::ahead - 1, taken);
    }
  }
}

/// The clerk of a block that has `turns` batches, neighbours, and blocks before it that run.
__device__ inline void keep_books_alone(const TileTask& task, bool each_spike,
                                        std::uint32_t batches, std::uint32_t turns,
                                        Roster& roster) {
  const std::uint32_t mine = std::min(turns, batches - blockIdx.x * turns);
  std::uint32_t units = 0;  // of this lane's strips
  for (std::uint32_t turn = 0; turn < mine; ++turn) {
    while (!CountedBatch(roster, turn).whole) {
    }
    units += CountedBatch(roster, turn).units;
  }
  units = __reduce_add_sync(all_lanes, units);
  wait_for_primary();
  if (threadIdx.x % 32 == 0) publish(task.states, blockIdx.x, units);
  std::uint64_t first = sum_before(task.states, blockIdx.x);
  if (threadIdx.x % 32 == 0 && blockIdx.x + 1 == gridDim.x) {
    tell_total(task, each_spike, first + units);
  }
  for (std::uint32_t turn = 0; turn < mine; ++turn) {
    tell_positions(roster, turn, first);
    first += __reduce_add_sync(all_lanes, CountedBatch(roster, turn).units);
  }
}

/// Work: RowStrips or the like.
template <class Work>
__global__ void __launch_bounds__(crew_threads, Work::blocks_per_sm)
    encode_strips(const __grid_constant__ TileTask task,
                  const __grid_constant__ typename Work::Emit emit, std::uint32_t batches,
                  std::uint32_t turns) {
  using Emit = typename Work::Emit;
  using Member = typename Work::Member;
  extern __shared__ Line lines[];
  auto* const members = reinterpret_cast<Member*>(lines);
  __shared__ Roster shared_roster;
  Roster& roster = kept_in_register(shared_roster);
  const std::uint32_t warp = threadIdx.x / 32;
  const bool alone = turns != 0;  // there is no block that places
  if (!alone && blockIdx.x == 0) {
    wait_for_primary();
    const std::uint64_t all = scan_tiles<crew_threads>(task.states, batches);
    if (threadIdx.x == 0) tell_total(task, Emit::each_spike, all);
    return;
  }
  for (std::uint32_t i = threadIdx.x; i < sizeof(Roster) / 4; i += crew_threads) {
    reinterpret_cast<std::uint32_t*>(&roster)[i] = 0;
  }
  if (warp != batch_strips && threadIdx.x % 32 == 0) {
    Work::init(members[warp]);
  }
  __syncthreads();

  Tally tally;
  if (warp == batch_strips) {
    if (alone) {
      keep_books_alone(task, Emit::each_spike, batches, turns, roster);
    } else {
      keep_books(task, batches, roster);
    }
  } else {
    Member& mine = members[warp];
    const auto batch_of = [&](std::uint32_t turn) {
      if (alone) return turn < turns ? blockIdx.x * turns + turn : no_batch;
      return static_cast<std::uint32_t>(hear(roster.batches[turn % Roster::turns], turn));
    };
    const auto strip_of = [&](std::uint32_t of) {
      return Strip(task, of * batch_strips + warp, nullptr);
    };
    std::uint32_t batch = batch_of(0);
    Strip strip = strip_of(batch);
    Work::load(task, strip, mine);
    std::uint32_t earlier[strip_lag];  // batches of the last turns, the oldest first
#pragma unroll
    for (std::uint32_t i = 0; i < strip_lag; ++i) earlier[i] = no_batch;
    std::uint32_t slot = 0;
    for (std::uint32_t turn = 0;; ++turn) {
      const bool more = batch < batches;
      const bool writes = earlier[0] < batches;
      if (!more && !writes && turn >= strip_lag) break;
      std::uint32_t next = no_batch;
      if (more) {
        typename Work::Slot& memory = mine.slots[slot];
        Work::pack(task, strip, mine, memory, emit, turn);
        __syncwarp();
        next = batch_of(turn + 1);
        const Strip here = strip;
        if (next < batches) {
          strip = strip_of(next);
          Work::load(task, strip, mine);
        }
        const std::uint32_t count = Work::count(task, here, memory, emit, &tally);
        const std::uint32_t before = warp_exclusive_sum(count);
        Work::keep(memory, before);
        if (threadIdx.x % 32 == 31) {
          hand_over(roster.counts[turn % Roster::turns][warp],
                    mark_of(turn) << 16 | (before + count));
        }
      }
      slot = slot + 1 == strip_slots ? 0 : slot + 1;  // the oldest
      if (writes) {
        const std::uint32_t written = turn - strip_lag;
        const std::uint32_t kept = written % Roster::turns;
        const std::uint64_t first = hear(roster.positions[kept][warp], written);
        __syncwarp();
        Work::store(task, strip_of(earlier[0]), mine, mine.slots[slot], emit,
                    look_at(roster.counts[kept][warp]) & 0xffffu, first);
      }
#pragma unroll
      for (std::uint32_t i = 0; i + 1 < strip_lag; ++i) earlier[i] = earlier[i + 1];
      earlier[strip_lag - 1] = batch;
      batch = next;
    }
  }
  if constexpr (!Emit::each_spike) {
    wait_for_primary();
    add_tally(task.status, tally);
  }
}

/// Words of the workspace for the counts and positions of batches, and how many are taken.
inline std::uint64_t batch_states(const TileTask& task) {
  return count_batches(task) + 1;
}

/// Encodes after reset_tiles(), before whose end the kernel may begin.
template <class Work>
void launch_strips(const CudaContext& context, const TileTask& task,
                   const typename Work::Emit& emit) {
  const auto batches = static_cast<std::uint32_t>(count_batches(task));
  if (batches == 0) return;
  const std::size_t bytes = batch_strips * sizeof(typename Work::Member);
  allow_shared(encode_strips<Work>, bytes);
  const unsigned blocks = resident_blocks(context, Work::blocks_per_sm);
  const auto turns = static_cast<std::uint32_t>(ceil_div(batches, blocks));
  // Strips of one row that wait for each other are in blocks that run side by side.
  const bool alone = turns <= (Work::waits_in_row && task.parts > 1 ? 1 : turns_alone);
  launch_dependent(context, encode_strips<Work>,
                   alone ? static_cast<unsigned>(ceil_div(batches, turns)) : blocks, crew_threads,
                   bytes, task, emit, batches, alone ? turns : 0);
}

/// Words of the workspace for rows of any storage.
inline std::uint64_t strip_states(const TileTask& task) {
  return std::max(batch_states(task), ceil_div(span_words(task), 2));
}

/// Encodes in two launches: one resets the counters, the other, which begins meanwhile, does
/// everything; bits whose spikes are units go by spans. `states` has strip_states(task) words.
template <class Emit>
void run_strips(const CudaContext& context, DType storage, TileTask task, const Emit& emit,
                std::uint32_t* offsets, EncodeStatus* status, std::uint64_t* states) {
  check_strips(task);
  task.offsets = offsets;
  task.status = status;
  task.states = states;
  if (Emit::each_spike && storage == DType::bit && task.tiles != 0) {
    return launch_spans(context, task, emit, true);
  }
  reset_tiles(context, task, batch_states(task));
  with_storage(storage, [&]<DType type>() {
    if constexpr (!Emit::each_spike || type != DType::bit) {
      if (is_quick(task) && emit.is_pattern()) {
        launch_strips<RowStrips<type, true, Emit>>(context, task, emit);
      } else {
        launch_strips<RowStrips<type, false, Emit>>(context, task, emit);
      }
    }
  });
}

}  // namespace spiketune::cuda
