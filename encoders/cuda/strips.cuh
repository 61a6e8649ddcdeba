#pragma once
/// \file
/// Strips of the one-pass encoders of rows: what a warp packs, counts and writes by itself.
///
///   global --16-byte loads--> registers --pack--> bits of a strip in shared memory
///   bits --expanded--> shared memory (one window of units) --16-byte stores--> global
///
/// A strip is a run of whole rows, or a part of one: 4 KB of input (1 KB where that is packed). The
/// input of a warp's next strip is on its way while it writes one. What a spike becomes in an
/// encoding is a unit. batches.cuh finds where the units of a strip go; slots of ELL need not ask.

#include <cuda_pipeline_primitives.h>

#include "spiketune/core/cuda/barriers.cuh"
#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {

inline constexpr std::uint32_t strip_warps = 8;  ///< of a block
inline constexpr int strip_threads = 32 * strip_warps;
/// Units that are staged at a time; a multiple of 8.
inline constexpr std::uint32_t window_units = 1536;

/// More, where a strip has more elements.
template <DType storage>
inline constexpr std::uint32_t strip_window = storage == DType::bit ? 2304 : window_units;

template <DType storage>
inline constexpr std::uint32_t strip_words = 32 * owned_words<storage>;
/// 16-byte pieces of a strip that a lane packs.
template <DType storage>
inline constexpr std::uint32_t lane_pieces = owned_words<storage>* bits_of(storage) / 4;

/// Bits of a strip, and how many units are before those of each lane.
template <DType storage>
struct StripMemory {
  std::uint32_t words[strip_words<storage>];
  std::uint32_t before[32];
};

/// The index of a strip that has no rows.
inline constexpr std::uint32_t no_strip = 0xffffffffu;

/// A unit of a strip is the place of its bit: 32 · word + bit.
struct Strip : TileBits {
  Divisor per_row;
  std::uint32_t first_column;

  __device__ Strip(const TileTask& task, std::uint32_t index, std::uint32_t* shared)
      : TileBits(task, index < count(task) ? index : 0u, shared),
        per_row(task.per_part),
        first_column(32 * first_word) {
    if (index >= count(task)) rows = 0;
  }
  /// Of all strips; see check_strips().
  [[nodiscard]] __device__ static std::uint32_t count(const TileTask& task) {
    return static_cast<std::uint32_t>(task.tiles);
  }
  [[nodiscard]] __device__ bool one_row() const { return rows == 1; }
  [[nodiscard]] __device__ std::uint32_t row_of(std::uint32_t unit) const {
    return rows == 1 ? 0 : per_row.quotient(unit / 32);
  }
  [[nodiscard]] __device__ std::uint32_t column_of(std::uint32_t unit) const {
    return rows == 1 ? first_column + unit : unit - row_of(unit) * 32 * words_per_row;
  }
};

/// Half words of shared memory by their address there: a store is one instruction, where through a
/// pointer the compiler finds the address anew in every step of a loop.
class SharedHalves {
 public:
#if defined(__CUDA_ARCH__)
  __device__ explicit SharedHalves(std::uint16_t* halves)
      : at_(static_cast<std::uint32_t>(__cvta_generic_to_shared(halves))) {}
  __device__ void store(std::uint32_t i, std::uint32_t value) const {
    asm volatile("st.shared.u16 [%0], %1;" ::"r"(at_ + 2 * i),
                 "h"(static_cast<std::uint16_t>(value))
                 : "memory");
  }

  /// Those from `halves` on, which may be below zero.
  __device__ SharedHalves operator+(std::int32_t halves) const {
    SharedHalves sum = *this;
    sum.at_ += static_cast<std::uint32_t>(2 * halves);
    return sum;
  }

 private:
  std::uint32_t at_;
#else
  explicit SharedHalves(std::uint16_t* halves) : at_(halves) {}
  void store(std::uint32_t i, std::uint32_t value) const {
    at_[i] = static_cast<std::uint16_t>(value);
  }
  SharedHalves operator+(std::int32_t halves) const {
    return SharedHalves(at_ + halves);
  }

 private:
  std::uint16_t* at_;
#endif
};

/// words[0 .. count - 1] of shared memory; count is a power of two up to 8, words aligned to it.
template <std::uint32_t count>
__device__ void load_words(const std::uint32_t* words, std::uint32_t (&loaded)[count]) {
  if constexpr (count % 4 == 0) {
#pragma unroll
    for (std::uint32_t i = 0; i < count; i += 4) {
      const uint4 four = *reinterpret_cast<const uint4*>(words + i);
      loaded[i] = four.x;
      loaded[i + 1] = four.y;
      loaded[i + 2] = four.z;
      loaded[i + 3] = four.w;
    }
  } else {
#pragma unroll
    for (std::uint32_t i = 0; i < count; ++i) loaded[i] = words[i];
  }
}

/// to[0 .. count - 1] = words; `to` is aligned to as many of them as 16 bytes hold.
template <std::uint32_t count>
__device__ void store_words(std::uint32_t* to, const std::uint32_t (&words)[count]) {
  if constexpr (count % 4 == 0) {
#pragma unroll
    for (std::uint32_t i = 0; i < count; i += 4) {
      *reinterpret_cast<uint4*>(to + i) = {words[i], words[i + 1], words[i + 2], words[i + 3]};
    }
  } else {
    static_assert(count == 2);
    *reinterpret_cast<uint2*>(to) = {words[0], words[1]};
  }
}

/// visit(bit) from the highest set bit down: one instruction finds it.
template <class Visit>
__device__ void for_each_bit_from_top(std::uint32_t word, Visit&& visit) {
  while (word != 0) {
    const auto bit = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(word)));
    word ^= 1u << bit;
    visit(bit);
  }
}

/// Stores add + bit for the `count` bits of a word at `to` and on: from both ends at once, which is
/// half as many steps. One bit that is left is stored twice.
__device__ inline void store_bits(SharedHalves to, std::uint32_t word, std::uint32_t count,
                                  std::uint32_t add) {
  SharedHalves last = to + (static_cast<std::int32_t>(count) - 1);
  while (word != 0) {
    const auto high = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(word)));
    const std::uint32_t lowest = word & (0u - word);
    const auto low = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(lowest)));
    word &= ~(lowest | 1u << high);
    last.store(0, add + high);
    to.store(0, add + low);
    last = last + -1;
    to = to + 1;
  }
}

/// The units of a strip, by lanes that own neighbouring words.
template <DType storage>
struct StripUnits {
  static constexpr std::uint32_t owned = owned_words<storage>;
  std::uint32_t total;
  const StripMemory<storage>* memory;
  std::uint16_t* staged;

  /// staged[at + rank - window] = unit + add for the units of ranks in [window, window +
  /// strip_window<storage>).
  __device__ void stage(std::uint32_t at, std::uint32_t window, std::uint32_t add = 0) const {
    const std::uint32_t lane = threadIdx.x % 32;
    std::uint32_t words[owned];
    load_words<owned>(memory->words + lane * owned, words);
    std::uint32_t rank = memory->before[lane] - window;
    const SharedHalves out(staged);
    if (total <= strip_window<storage>) {
#pragma unroll
      for (std::uint32_t i = 0; i < owned; ++i) {
        const std::uint32_t count = count_bits(words[i]);
        store_bits(out + static_cast<std::int32_t>(at + rank), words[i], count,
                   add + (lane * owned + i) * 32);
        rank += count;
      }
      return;
    }
#pragma unroll 1
    for (std::uint32_t i = 0; i < owned; ++i) {
      const std::uint32_t word = memory->words[lane * owned + i];
      rank += count_bits(word);
      std::uint32_t to = rank;
      for_each_bit_from_top(word, [&](std::uint32_t bit) {
        if (--to < strip_window<storage>) out.store(at + to, add + (lane * owned + i) * 32 + bit);
      });
    }
  }
  /// Units before a word.
  [[nodiscard]] __device__ std::uint32_t before_word(std::uint32_t word) const {
    std::uint32_t units = memory->before[word / owned];
    if (word % owned == 0) return units;
#pragma unroll
    for (std::uint32_t i = 0; i + 1 < owned; ++i) {
      if (i < word % owned) units += count_bits(memory->words[word / owned * owned + i]);
    }
    return units;
  }
};

/// Fewer units than this are stored one at a time.
inline constexpr std::uint32_t few_in_strip = 96;

/// Gives staged units to one(position, unit), or, where `together` and they are eight neighbours at
/// a multiple of eight, to eight(position, units), two to a word. Unit i, which is staged[at % 8 +
/// i], belongs to at + i. All lanes call.
template <class One, class Eight>
__device__ void store_window(const std::uint16_t* staged, std::uint64_t at, std::uint32_t count,
                             bool together, One&& one, Eight&& eight) {
  const std::uint32_t lane = threadIdx.x % 32;
  const auto shift = static_cast<std::uint32_t>(at % 8);
  staged += shift;
  if (!together || count < few_in_strip) {
    for (std::uint32_t i = lane; i < count; i += 32) one(at + i, staged[i]);
    return;
  }
  const std::uint32_t head = (8 - shift) % 8;
  const std::uint32_t eights = (count - head) / 8;
  const std::uint32_t edge = lane < 8 ? lane : head + 8 * eights + lane - 8;
  if (edge < (lane < 8 ? head : count)) one(at + edge, staged[edge]);
  for (std::uint32_t i = lane; i < eights; i += 32) {
    eight(at + head + 8 * i, *reinterpret_cast<const uint4*>(staged + head + 8 * i));
  }
}

/// Stages and stores the units of a strip. Unit i belongs to first + i; those at `limit` and beyond
/// are left out. All lanes call.
template <DType storage, class One, class Eight>
__device__ void store_strip(const StripUnits<storage>& units, std::uint64_t first,
                            std::uint64_t limit, bool together, One&& one, Eight&& eight) {
  if (first >= limit) return;
  const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(units.total, limit - first));
  for (std::uint32_t window = 0; window < end; window += strip_window<storage>) {
    __syncwarp();
    units.stage(static_cast<std::uint32_t>(first % 8), window);
    __syncwarp();
    store_window(units.staged, first + window,
                 end - window < strip_window<storage> ? end - window : strip_window<storage>,
                 together, one, eight);
  }
}

/// indices[at .. at + 7] = the columns of eight units; `at` is a multiple of 8.
__device__ inline void store_columns(const Strip& strip, const AnyArray& indices, std::uint64_t at,
                                     const uint4& units) {
  std::uint32_t columns[4] = {units.x, units.y, units.z, units.w};
  if (!strip.one_row()) {
#pragma unroll
    for (std::uint32_t i = 0; i < 4; ++i) {
      columns[i] = strip.column_of(columns[i] & 0xffffu) | strip.column_of(columns[i] >> 16) << 16;
    }
  }
  const std::uint32_t first = strip.first_column;
  if (indices.type == DType::u16) {
    const std::uint32_t both = first * 0x10001u;
    indices.as<uint4>()[at / 8] = {columns[0] + both, columns[1] + both, columns[2] + both,
                                   columns[3] + both};
    return;
  }
#pragma unroll
  for (std::uint32_t i = 0; i < 4; i += 2) {
    indices.as<uint4>()[(at + 2 * i) / 4] = {
        first + (columns[i] & 0xffffu), first + (columns[i] >> 16),
        first + (columns[i + 1] & 0xffffu), first + (columns[i + 1] >> 16)};
  }
}

/// rows[at .. at + 7] = the rows of eight units; `at` is a multiple of 8.
__device__ inline void store_rows(const Strip& strip, std::uint32_t* rows, std::uint64_t at,
                                  const uint4& units) {
  const auto first = static_cast<std::uint32_t>(strip.first_row);
  const std::uint32_t pairs[4] = {units.x, units.y, units.z, units.w};
#pragma unroll
  for (std::uint32_t i = 0; i < 4; i += 2) {
    reinterpret_cast<uint4*>(rows)[(at + 2 * i) / 4] = {
        first + strip.row_of(pairs[i] & 0xffffu), first + strip.row_of(pairs[i] >> 16),
        first + strip.row_of(pairs[i + 1] & 0xffffu), first + strip.row_of(pairs[i + 1] >> 16)};
  }
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

/// What follows from the number of all units. One thread calls.
__device__ inline void tell_total(const TileTask& task, bool each_spike, std::uint64_t all) {
  task.status->needed = all;
  if (each_spike) task.status->nnz = all;
  if (task.offsets != nullptr) {
    task.offsets[ceil_div(task.m, task.rows_per_group)] = static_cast<std::uint32_t>(all);
  }
}

/// Out of line: it divides, and that takes registers.
__device__ __noinline__ static std::uint64_t mapped_row(const RowMap& map, std::uint64_t row) {
  return map.source(row);
}

/// Where piece `i` of a strip of a quick task is.
template <DType storage>
__device__ const uint4* piece_address(const TileTask& task, const Strip& strip, std::uint32_t i) {
  constexpr std::uint32_t elements = 128 / bits_of(storage);
  const std::uint64_t row =
      task.map.from == task.map.to ? strip.first_row : mapped_row(task.map, strip.first_row);
  return static_cast<const uint4*>(task.data) + row * (task.k / elements) +
         strip.first_word * 32 / elements + i;
}

/// fetch(piece of the lane, address, whether it is in the strip) for each piece that a lane packs.
template <DType storage, class Fetch>
__device__ void fetch_pieces(const TileTask& task, const Strip& strip, Fetch&& fetch) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t total = pieces_of<storage>(strip);
  const uint4* input = piece_address<storage>(task, strip, lane);
  if (total == 32 * lane_pieces<storage>) {
#pragma unroll
    for (std::uint32_t i = 0; i < lane_pieces<storage>; ++i) fetch(i, input + 32 * i, true);
  } else {
#pragma unroll
    for (std::uint32_t i = 0; i < lane_pieces<storage>; ++i) {
      fetch(i, input + 32 * i, lane + 32 * i < total);
    }
  }
}

/// The input of a strip of a quick task on its way to the registers of a lane. Zero beyond the
/// strip.
template <DType storage>
struct RegisterPieces {
  uint4 piece[lane_pieces<storage>];

  __device__ void load(const TileTask& task, const Strip& strip) {
    fetch_pieces<storage>(task, strip, [&](std::uint32_t i, const uint4* from, bool there) {
      piece[i] = there ? __ldcs(from) : uint4{0, 0, 0, 0};
    });
  }
  __device__ void wait() const {}
  [[nodiscard]] __device__ uint4 get(std::uint32_t i) const { return piece[i]; }
};

/// Copies a piece of 16 bytes that nobody reads again to shared memory, as
/// __pipeline_memcpy_async() does: it makes way in L2 for what comes next, and not for what others
/// have there, which may have to be written to memory first.
__device__ inline void copy_piece_async(uint4* to, const uint4* from) {
#if defined(__CUDA_ARCH__)
  std::uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  asm volatile(
      "cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
      "l"(from), "l"(policy)
      : "memory");
#else
  __pipeline_memcpy_async(to, from, 16);
#endif
}

/// The same in shared memory, which leaves registers for more warps: better where they wait for
/// each other. A lane packs what it has copied.
template <DType storage>
struct SharedPieces {
  uint4* raw;  ///< [32 * lane_pieces]

  __device__ void load(const TileTask& task, const Strip& strip) {
    fetch_pieces<storage>(task, strip, [&](std::uint32_t i, const uint4* from, bool there) {
      uint4* to = raw + 32 * i + threadIdx.x % 32;
      if (there) {
        copy_piece_async(to, from);
      } else {
        *to = {0, 0, 0, 0};
      }
    });
    __pipeline_commit();
  }
  __device__ void wait() const { __pipeline_wait_prior(0); }
  [[nodiscard]] __device__ uint4 get(std::uint32_t i) const {
    return raw[32 * i + threadIdx.x % 32];
  }
};

/// The same by one instruction of one lane, where the GPU has it (Hopper), of whose bytes a barrier
/// of shared memory tells; by all lanes elsewhere. From u8 1 % faster than SharedPieces for 2:4,
/// else as fast or slower (docs/encoders.md).
template <DType storage>
struct BulkPieces {
  uint4* raw;              ///< [32 * lane_pieces]
  std::uint64_t* arrived;  ///< the barrier
  std::uint32_t turn;      ///< strips that have been waited for

  /// One lane calls; then a barrier of the warp.
  __device__ void init() const {
#if SPIKETUNE_BARRIERS
    init_barrier(shared_address(arrived), 1);
    fence_barriers();
#endif
  }
  /// All lanes call, once for each wait(), after a barrier of the warp behind the last reads.
  __device__ void load(const TileTask& task, const Strip& strip) const {
#if SPIKETUNE_BARRIERS
    const std::uint32_t total = pieces_of<storage>(strip);
    if (total < 32 * lane_pieces<storage>) {
      for (std::uint32_t i = total + threadIdx.x % 32; i < 32 * lane_pieces<storage>; i += 32) {
        raw[i] = {0, 0, 0, 0};
      }
      fence_shared_writes();
    }
    const uint4* from = piece_address<storage>(task, strip, 0);
    if (threadIdx.x % 32 != 0) return;
    arrive_expecting(shared_address(arrived), 16 * total);
    if (total == 0) return;
    std::uint64_t policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(raw)),
        "l"(from), "r"(16 * total), "r"(shared_address(arrived)), "l"(policy)
        : "memory");
#else
    SharedPieces<storage>{raw}.load(task, strip);
#endif
  }
  __device__ void wait() const {
#if SPIKETUNE_BARRIERS
    wait_for_phase(shared_address(arrived), turn % 2);
    __syncwarp();  // what is beyond the strip was written by other lanes
#else
    SharedPieces<storage>{raw}.wait();
#endif
  }
  [[nodiscard]] __device__ uint4 get(std::uint32_t i) const {
    return raw[32 * i + threadIdx.x % 32];
  }
};

/// Whether strips are quickly packed: binary spikes in pieces, those of a strip neighbours in
/// memory.
inline bool is_quick(const TileTask& task) {
  return task.wide && task.kind == ValueKind::binary &&
         (task.map.from == task.map.to || task.rows_per_tile == 1);
}

/// Packs `count` pieces of a lane, piece(i), to words of the strip; nonzero where one is invalid.
template <DType storage, std::uint32_t count, class Piece>
__device__ std::uint32_t pack_pieces(Piece&& piece, ValueKind kind, std::uint32_t first,
                                     std::uint32_t* words) {
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t invalid = 0;
#pragma unroll
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t at = first + lane + 32 * i;
    if constexpr (storage == DType::bit) {
      reinterpret_cast<uint4*>(words)[at] = piece(i);
    } else {
      PackedPiece<storage> packed = pack_piece<storage>(piece(i), kind);
      invalid |= packed.invalid;
      if constexpr (storage == DType::f32) {  // two lanes make a byte
        packed.bits |= __shfl_down_sync(all_lanes, packed.bits, 1) << 4;
        if (lane % 2 == 0) {
          reinterpret_cast<std::uint8_t*>(words)[at / 2] = static_cast<std::uint8_t>(packed.bits);
        }
      } else {
        using Bits = std::conditional_t<
            storage == DType::u2, std::uint64_t,
            std::conditional_t<storage == DType::u8, std::uint16_t, std::uint8_t>>;
        reinterpret_cast<Bits*>(words)[at] = static_cast<Bits>(packed.bits);
      }
    }
  }
  return invalid;
}

/// Packs a strip that is made of pieces, wherever they are.
template <DType storage>
__device__ void pack_scattered_strip(const TileTask& task, const Strip& strip,
                                     std::uint32_t* words) {
  constexpr std::uint32_t count = std::min(4u, lane_pieces<storage>);
  const ValueKind kind = storage == DType::bit ? ValueKind::binary : task.kind;
  const std::uint32_t total = pieces_of<storage>(strip);
  with_places<storage>(task, strip, [&](auto place) {
#pragma unroll 1
    for (std::uint32_t first = 0; first < 32 * lane_pieces<storage>; first += 32 * count) {
      uint4 pieces[count];
#pragma unroll
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t at = first + 32 * i + threadIdx.x % 32;
        pieces[i] = at < total ? __ldcs(place(at)) : uint4{0, 0, 0, 0};
      }
      const auto piece = [&](std::uint32_t i) { return pieces[i]; };
      if (pack_pieces<storage, count>(piece, kind, first, words) == 0) continue;
#pragma unroll
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t at = first + 32 * i + threadIdx.x % 32;
        if (at < total) report_piece<storage>(task, strip, pieces[i], kind, at);
      }
    }
  });
}

/// Packs a strip of any task.
template <DType storage>
__device__ void pack_any_strip(const TileTask& task, const Strip& strip, std::uint32_t* words) {
  if (task.wide) {
    pack_scattered_strip<storage>(task, strip, words);
  } else {
    const std::uint32_t lane = threadIdx.x % 32;
    for (std::uint32_t i = strip.total_words() + lane; i < strip_words<storage>; i += 32) {
      words[i] = 0;
    }
    pack_ragged<storage>(task, strip, words, lane, 32);
  }
}

/// Finds the invalid elements of a strip. Out of line: an error is on its way.
template <DType storage>
__device__ __noinline__ void report_strip(const TileTask& task, Strip strip, std::uint32_t* words) {
  pack_scattered_strip<storage>(task, strip, words);
}

/// Packs a strip into shared memory, a quick one from its `pieces`; what is beyond it becomes zero.
/// All lanes call, and __syncwarp() after it.
template <DType storage, bool quick, class Pieces>
__device__ void pack_strip(const TileTask& task, const Strip& strip, const Pieces& pieces,
                           std::uint32_t* words) {
  if constexpr (quick) {
    pieces.wait();
    const std::uint32_t invalid = pack_pieces<storage, lane_pieces<storage>>(
        [&](std::uint32_t i) { return pieces.get(i); }, ValueKind::binary, 0, words);
    if (__any_sync(all_lanes, invalid != 0) != 0) report_strip<storage>(task, strip, words);
  } else {
    pack_any_strip<storage>(task, strip, words);
  }
}

/// How rows are cut into strips.
inline TileTask plan_strips(const SpikeView& spikes, RowOrder order) {
  return plan_tiles(spikes, order, 1, 32 * owned_words_of(spikes.storage));
}

/// Throws where strips cannot be counted in 32 bits, a round of all warps included.
inline void check_strips(const TileTask& task) {
  if (task.tiles > 0x3fffffffu) {
    throw Error(ErrorCode::unsupported, "the tensor is too large for one launch of the encoder");
  }
}

}  // namespace spiketune::cuda
