#pragma once
/// \file
/// One pass for HYB: slots of rows, and a tail for what finds none.
///
/// As encoders/cuda/place.cuh, but spike i of row r goes to slot r·width + i, so that the slots of
/// a tile are one run of memory and wait for no other; only a tail does. A matrix whose rows are
/// longer than a tile takes the long way: pack(), then a warp for each row.

#include "spiketune/encoders/cuda/place.cuh"
#include "spiketune/formats/ell.hpp"

namespace spiketune::cuda {

/// Slots that are staged at a time: four blocks have to share an SM. A tile of packed bits has
/// more, and more memory for them.
template <DType storage>
inline constexpr std::uint32_t staged_units = storage == DType::bit ? 6144 : 3072;

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

/// indices[at .. at + 3] = the columns of four units, plus `first`; `at` is a multiple of 4.
__device__ inline void store_four_columns(const AnyArray& indices, std::uint64_t at,
                                          const uint4& units, std::uint32_t first) {
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
__device__ void store_staged(const std::uint32_t* staged, std::uint64_t first, std::uint32_t count,
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

/// A staged slot without a spike.
inline constexpr std::uint32_t empty_slot = 0xffffffffu;

/// indices[at .. at + 3] for four staged slots; `at` is a multiple of 4.
__device__ inline void store_slots(const AnyArray& indices, std::uint64_t at, const uint4& slots) {
  if (indices.type == DType::u16) {  // the low half of an empty slot is the padding
    store_four_columns(indices, at, slots, 0);
    return;
  }
  const auto index = [](std::uint32_t slot) {
    return slot == empty_slot ? padding_index(DType::u32) : column_of(slot);
  };
  indices.as<uint4>()[at / 4] = {index(slots.x), index(slots.y), index(slots.z), index(slots.w)};
}

/// Writes staged slots of a pattern or with values.
__device__ inline void write_slots(const TileBits& bits, const std::uint32_t* staged,
                                   std::uint64_t first, std::uint32_t count,
                                   const AnyArray& indices, const AnyArray& values,
                                   const ValueSource& source) {
  store_staged(
      staged, first, count, indices.size, values.type == DType::bit,
      [&](std::uint64_t at, std::uint32_t slot) {
        if (slot == empty_slot) {
          detail::store_padding(indices, values, at);
        } else {
          store_index(indices, at, column_of(slot));
          source.copy_to(values, at, bits.first_row + group_of(slot), column_of(slot));
        }
      },
      [&](std::uint64_t at, const uint4& slots) { store_slots(indices, at, slots); });
}

/// Stages the spikes of which first(row) + ordinal of the spike in the row is in [window, window +
/// staged_units<storage>), but those only of which the ordinal is in [low, high). `starts[row]` is
/// the number of spikes in the tile before that row.
template <DType storage, std::uint32_t most, class First>
__device__ void stage_spikes(const OwnedUnits<most>& own, std::uint32_t mine,
                             const std::uint32_t* starts, std::uint32_t low, std::uint32_t high,
                             std::uint32_t window, std::uint32_t* staged, First&& first) {
  const SharedWords out(staged);
  own.for_each(mine, [&](std::uint32_t word, std::uint32_t row, std::uint32_t w,
                         std::uint32_t before) {
    const std::uint32_t count = count_bits(word);
    const std::uint32_t ordinal = before - starts[row];
    const auto begin = static_cast<std::int32_t>(first(row) + ordinal - window);
    if (begin >= static_cast<std::int32_t>(staged_units<storage>) ||
        begin + static_cast<std::int32_t>(count) <= 0 || ordinal >= high ||
        ordinal + count <= low) {
      return;
    }
    const std::uint32_t unit = row << 16 | 32 * w;
    std::uint32_t at = static_cast<std::uint32_t>(begin) + count;
    if (begin >= 0 && at <= staged_units<storage> && ordinal >= low && ordinal + count <= high) {
      for_each_bit_down(word, [&](std::uint32_t bit) { out.store(--at, unit + bit); });
      return;
    }
    std::uint32_t next = ordinal + count;
    for_each_bit_down(word, [&](std::uint32_t bit) {
      --next;
      if (--at < staged_units<storage> && next >= low && next < high) out.store(at, unit + bit);
    });
  });
}

/// Where the tails of a tile's rows begin among those of the tile; returns how many spikes they
/// have. All threads call.
__device__ inline std::uint32_t find_tails(const std::uint32_t* starts, std::uint32_t rows,
                                           std::uint32_t width, std::uint32_t* tail_starts) {
  const std::uint32_t per_thread = (rows + tile_threads - 1) / tile_threads;
  const std::uint32_t begin = std::min(threadIdx.x * per_thread, rows);
  const std::uint32_t end = std::min(begin + per_thread, rows);
  const auto beyond = [&](std::uint32_t row) {
    const std::uint32_t length = starts[row + 1] - starts[row];
    return length > width ? length - width : 0;
  };
  std::uint32_t sum = 0;
  for (std::uint32_t row = begin; row < end; ++row) sum += beyond(row);
  std::uint32_t total = 0;
  std::uint32_t at = block_exclusive_sum(sum, &total);
  for (std::uint32_t row = begin; row < end; ++row) {
    tail_starts[row] = at;
    at += beyond(row);
  }
  return total;
}

/// Emit: std::uint32_t width(); void slots(bits, staged, first, count) and void tail(bits, staged,
/// first, count) write what is staged.
template <DType storage, class Emit>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    encode_slots(const __grid_constant__ TileTask task, const __grid_constant__ Emit emit) {
  extern __shared__ uint4 shared[];
  uint4* raw = shared;
  auto* words = reinterpret_cast<std::uint32_t*>(raw + raw_pieces<storage>(task));
  std::uint32_t* staged = words + tile_threads * owned_words<storage>;
  std::uint32_t* starts = staged + staged_units<storage>;
  std::uint32_t* tail_starts = starts + task.rows_per_tile + 1;
  const std::uint32_t width = emit.width();
  Tally tally;
  for_each_tile<storage>(task, raw, words, [&](const TileBits& bits, std::uint64_t tile) {
    const OwnedUnits<owned_words<storage>> own(words, bits.total_words(), bits.words_per_row);
    tally.spikes += own.count;
    std::uint32_t total = 0;
    const std::uint32_t mine = block_exclusive_sum(own.count, &total);
    own.store_starts(mine, starts);
    if (threadIdx.x == 0) starts[bits.rows] = total;
    __syncthreads();
    const std::uint32_t tails = find_tails(starts, bits.rows, width, tail_starts);
    if (threadIdx.x == 0) publish(task.states, tile, tails);
    const std::uint32_t slots = bits.rows * width;
    for (std::uint32_t window = 0; window < slots; window += staged_units<storage>) {
      const std::uint32_t count =
          slots - window < staged_units<storage> ? slots - window : staged_units<storage> + 0;
      for (std::uint32_t i = threadIdx.x; i < (count + 3) / 4; i += tile_threads) {
        reinterpret_cast<uint4*>(staged)[i] = {empty_slot, empty_slot, empty_slot, empty_slot};
      }
      __syncthreads();
      stage_spikes<storage>(own, mine, starts, 0, width, window, staged,
                            [&](std::uint32_t row) { return row * width; });
      __syncthreads();
      emit.slots(bits, staged, bits.first_row * width + window, count);
      __syncthreads();
    }
    const std::uint64_t base = wait_for_position(task, tile);
    for (std::uint32_t window = 0; window < tails; window += staged_units<storage>) {
      stage_spikes<storage>(own, mine, starts, width, empty_slot, window, staged,
                            [&](std::uint32_t row) { return tail_starts[row] - width; });
      __syncthreads();
      emit.tail(
          bits, staged, base + window,
          tails - window < staged_units<storage> ? tails - window : staged_units<storage> + 0);
      __syncthreads();
    }
  });
  add_to(&task.status->nnz, tally.spikes);
}

/// Whether the rows of a matrix fit into tiles, so that run_slots() can take it.
inline bool rows_fit(const TileTask& task) {
  return task.parts == 1;
}

/// As run_tiles().
template <class Emit>
void run_slots(const CudaContext& context, DType storage, TileTask task, const Emit& emit,
               EncodeStatus* status, std::uint64_t* states) {
  task.status = status;
  task.states = states;
  reset_tiles(context, task);
  if (task.tiles == 0) return;
  with_storage(storage, [&]<DType type>() {
    const std::size_t starts = (std::size_t{task.rows_per_tile} + 1) * 2;
    const std::size_t words = tile_threads * owned_words<type> + staged_units<type> + starts;
    const std::size_t bytes =
        raw_pieces<type>(task) * sizeof(uint4) + words * sizeof(std::uint32_t);
    allow_shared(encode_slots<type, Emit>, bytes);
    encode_slots<type, Emit>
        <<<resident_tile_blocks(context, task), tile_threads, bytes, context.stream>>>(task, emit);
  });
  check_launch();
}

}  // namespace spiketune::cuda
