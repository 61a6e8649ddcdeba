#include "spiketune/encoders/hyb.hpp"

#include "spiketune/encoders/cuda/batches.cuh"
#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/slots.cuh"

// Slots are where they are whatever the other rows hold, the tail follows that of the rows before:
// strips of batches.cuh, whose units are the spikes without a slot. Bytes: the input once and the
// encoding once. Bound by memory.

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a spike of the tail.
struct EmitHyb {
  static constexpr bool each_spike = false;
  Hyb hyb;
  ValueSource source;
  /// [strips]: 2 · spikes + 1 of those that are packed, else 0; null unless rows have several.
  std::uint32_t* spikes;
};

/// Bits of a strip; `before` counts spikes.
template <DType storage>
struct alignas(16) HybSlot : StripMemory<storage> {
  std::uint32_t total;    ///< spikes
  std::uint32_t earlier;  ///< spikes of the row in earlier strips
};

template <DType input, DType storage>
struct alignas(Line) HybCrewMember {
  uint4 raw[32 * lane_pieces<input>];  ///< what comes next of the input
  HybSlot<storage> slots[strip_slots];
  std::uint32_t starts[strip_words<storage> + 1];
  alignas(16) std::uint16_t staged[strip_window<storage> + 8];
};

/// Spikes of a row in the strips before one, each of which is packed or will be soon: blocks take
/// strips in order. All lanes call.
__device__ inline std::uint32_t spikes_earlier(std::uint32_t* spikes, std::uint32_t first,
                                               std::uint32_t strip) {
  using Counter = atomics::atomic_ref<std::uint32_t, atomics::thread_scope_device>;
  std::uint32_t sum = 0;
  for (std::uint32_t other = first + threadIdx.x % 32; other < strip; other += 32) {
    std::uint32_t found = 0;
    while (found == 0) found = Counter(spikes[other]).load(atomics::memory_order_relaxed);
    sum += found / 2;
  }
  __syncwarp();
  return warp_sum(sum);
}

/// Quick strips are as long as those of bytes at least, so that few rows have several.
template <DType storage, bool quick>
inline constexpr DType strips_as = quick&& bits_of(storage) > 8 ? DType::u8 : storage;

/// How a warp turns a strip of rows into slots and units of the tail; see RowStrips.
template <DType input, bool quick>
struct HybStrips {
  static constexpr DType storage = strips_as<input, quick>;
  using Emit = EmitHyb;
  using Member = HybCrewMember<input, storage>;
  using Slot = HybSlot<storage>;
  static constexpr bool waits_in_row = true;
  static constexpr int blocks_per_sm = 2;
  static constexpr std::uint32_t owned = owned_words<storage>;

  static __device__ void init(Member&) {}
  static __device__ void load(const TileTask& task, const Strip& strip, Member& mine) {
    if constexpr (quick) SharedPieces<input>{mine.raw}.load(task, stretch(strip, 0));
  }
  static __device__ void pack(const TileTask& task, const Strip& strip, Member& mine, Slot& slot,
                              const Emit&, std::uint32_t) {
    constexpr std::uint32_t stretches = strip_words<storage> / strip_words<input>;
    const SharedPieces<input> pieces{mine.raw};
#pragma unroll
    for (std::uint32_t i = 0; i < stretches; ++i) {
      const Strip here = quick ? stretch(strip, i) : strip;
      pack_strip<input, quick>(task, here, pieces, slot.words + i * strip_words<input>);
      if constexpr (quick) {
        if (i + 1 < stretches) SharedPieces<input>{mine.raw}.load(task, stretch(strip, i + 1));
      }
    }
  }
  /// Units of the rows that the lane looks at.
  static __device__ std::uint32_t count(const TileTask& task, const Strip& strip, Slot& slot,
                                        const Emit& emit, Tally* tally) {
    const std::uint32_t lane = threadIdx.x % 32;
    std::uint32_t words[owned];
    load_words<owned>(slot.words + lane * owned, words);
    std::uint32_t count = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) count += count_bits(words[i]);
    tally->spikes += count;
    const std::uint32_t before = warp_exclusive_sum(count);
    const std::uint32_t total = __shfl_sync(all_lanes, before + count, 31);
    slot.before[lane] = before;
    const std::uint32_t width = emit.hyb.width();
    const auto beyond = [&](std::uint32_t spikes) { return spikes > width ? spikes - width : 0; };
    std::uint32_t earlier = 0;
    if (task.parts > 1 && strip.rows != 0) {
      wait_for_primary();
      const auto row = static_cast<std::uint32_t>(strip.first_row) * task.parts;
      const std::uint32_t index = row + strip.first_word / task.part_words;
      if (lane == 0) {
        atomics::atomic_ref<std::uint32_t, atomics::thread_scope_device>(emit.spikes[index])
            .store(2 * total + 1, atomics::memory_order_relaxed);
      }
      earlier = spikes_earlier(emit.spikes, row, index);
    }
    if (lane == 0) {
      slot.total = total;
      slot.earlier = earlier;
    }
    if (strip.one_row()) return lane == 0 ? beyond(earlier + total) - beyond(earlier) : 0;
    __syncwarp();
    const StripUnits<storage> units{total, &slot, nullptr};
    std::uint32_t tail = 0;
    for (std::uint32_t row = lane; row < strip.rows; row += 32) {
      const std::uint32_t last = (row + 1) * strip.words_per_row - 1;
      tail += beyond(units.before_word(last) + count_bits(slot.words[last]) -
                     units.before_word(row * strip.words_per_row));
    }
    return tail;
  }
  static __device__ void keep(Slot&, std::uint32_t) {}

  /// Writes the slots of a strip, and its units, of which there are `tail`.
  static __device__ void store(const TileTask& task, const Strip& strip, Member& mine, Slot& slot,
                               const Emit& emit, std::uint32_t tail, std::uint64_t first) {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t width = emit.hyb.width();
    const StripUnits<storage> spikes{slot.total, &slot, mine.staged};
    if (quick && strip.one_row() && tail != 0 && slot.total - tail <= strip_window<storage>) {
      store_row(strip, slot, emit, spikes, first);
      return __syncwarp();  // the slot is packed anew
    }
    SlotRange range{width, slot.earlier, 0, strip.rows * width, tail == 0};
    if (strip.one_row()) {
      const std::uint32_t after = slot.earlier + slot.total;
      const bool last = strip.first_word + strip.words_per_row == task.words_per_row;
      range.all_fit = after <= width;
      range.begin = std::min(range.before, width);
      range.end = last ? width : std::min(after, width);
    } else {
      for (std::uint32_t row = lane; row < strip.rows; row += 32) {
        mine.starts[row] = spikes.before_word(row * strip.words_per_row);
      }
      __syncwarp();
    }
    const auto start_of = [&](std::uint32_t row) { return mine.starts[row]; };
    fill_strip<storage, quick>(emit.hyb, emit.source, strip, range, spikes, start_of);
    if (tail != 0 && first < emit.hyb.capacity) {
      remove_slots(strip, range, slot, start_of);
      store_tail(strip, emit, StripUnits<storage>{tail, &slot, mine.staged}, first);
    }
    __syncwarp();  // the slot is packed anew
  }

 private:
  /// Part of a strip whose input comes together.
  static __device__ Strip stretch(Strip strip, std::uint32_t i) {
    if constexpr (input == storage) return strip;
    const std::uint32_t begin = i * strip_words<input>;
    const std::uint32_t total = strip.total_words();
    strip.first_word += begin;
    strip.words_per_row =
        begin < total ? std::min(total - begin, std::uint32_t{strip_words<input>}) : 0;
    strip.rows = 1;
    return strip;
  }
  /// The row is longer than its slots: what has one and what has none are staged together.
  static __device__ void store_row(const Strip& strip, const Slot& slot, const Emit& emit,
                                   const StripUnits<storage>& units, std::uint64_t first) {
    const Hyb& hyb = emit.hyb;
    const std::uint32_t begin = std::min(slot.earlier, hyb.width());
    const std::uint32_t slots = std::min(slot.total, hyb.width() - begin);
    const std::uint64_t to = strip.first_row * hyb.width() + begin;
    const std::uint64_t room = hyb.capacity > first ? hyb.capacity - first : 0;
    const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(units.total, slots + room));
    const std::uint32_t shift = static_cast<std::uint32_t>(first - slots) % 8;  // that of the tail
    for (std::uint32_t window = 0; window < units.total; window += strip_window<storage>) {
      __syncwarp();
      units.stage(shift, window);
      __syncwarp();
      std::uint32_t at = 0;
      if (window == 0) {
        for (std::uint32_t i = threadIdx.x % 32; i < slots; i += 32) {
          store_index(hyb.column_indices, to + i, strip.first_column + units.staged[shift + i]);
        }
        at = slots;
      }
      const std::uint32_t until =
          end > window ? std::min(end - window, std::uint32_t{strip_window<storage>}) : 0;
      if (until <= at) continue;
      const std::uint64_t place = first + window + at - slots;
      store_window(
          units.staged + shift + at - place % 8, place, until - at, true,
          [&](std::uint64_t entry, std::uint32_t unit) { store_entry(strip, emit, entry, unit); },
          [&](std::uint64_t entry, const uint4& eight) {
            store_rows(strip, hyb.tail_row_indices.data, entry, eight);
            store_columns(strip, hyb.tail_column_indices, entry, eight);
          });
    }
  }
  static __device__ void store_entry(const Strip& strip, const Emit& emit, std::uint64_t at,
                                     std::uint32_t unit) {
    const Hyb& hyb = emit.hyb;
    const std::uint64_t row = strip.first_row + strip.row_of(unit);
    const std::uint32_t column = strip.column_of(unit);
    hyb.tail_row_indices[at] = static_cast<std::uint32_t>(row);
    store_index(hyb.tail_column_indices, at, column);
    if constexpr (quick) return;
    emit.source.copy_to(hyb.tail_values, at, row, column);
  }
  /// Leaves the spikes that have no slot, and counts those.
  template <class Start>
  static __device__ void remove_slots(const Strip& strip, const SlotRange& range, Slot& slot,
                                      Start&& start_of) {
    const std::uint32_t lane = threadIdx.x % 32;
    std::uint32_t rank = slot.before[lane];
    std::uint32_t left = 0;
#pragma unroll 1
    for (std::uint32_t i = 0; i < owned; ++i) {
      const std::uint32_t w = lane * owned + i;
      std::uint32_t word = slot.words[w];
      const std::uint32_t count = count_bits(word);
      const std::uint32_t ordinal =
          strip.one_row() ? range.before + rank : rank - start_of(strip.row_of(32 * w));
      rank += count;
      if (ordinal + count <= range.width) {
        word = 0;
      } else {
        for (std::uint32_t at = ordinal; at < range.width; ++at) word &= word - 1;
      }
      left += count_bits(word);
      slot.words[w] = word;
    }
    slot.before[lane] = warp_exclusive_sum(left);
  }
  static __device__ void store_tail(const Strip& strip, const Emit& emit,
                                    const StripUnits<storage>& units, std::uint64_t first) {
    const Hyb& hyb = emit.hyb;
    store_strip<storage>(
        units, first, hyb.capacity, quick || hyb.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) { store_entry(strip, emit, at, unit); },
        [&](std::uint64_t at, const uint4& eight) {
          store_rows(strip, hyb.tail_row_indices.data, at, eight);
          store_columns(strip, hyb.tail_column_indices, at, eight);
        });
  }
};

inline bool takes_rows(const TileTask& task, const Hyb& hyb) {
  return is_quick(task) && hyb.values.type == DType::bit;
}

inline TileTask plan_hyb(const SpikeView& spikes, const Hyb& hyb) {
  const RowOrder order = hyb.layout.row_order;
  const TileTask longer = plan_tiles(
      spikes, order, 1, 32 * std::max(owned_words_of(DType::u8), owned_words_of(spikes.storage)));
  return takes_rows(longer, hyb) ? longer : plan_strips(spikes, order);
}

/// Words of the workspace: states of the batches, and the spikes of strips where rows have several.
inline std::uint64_t hyb_states(const TileTask& task) {
  return batch_states(task) + (task.parts > 1 ? ceil_div(task.tiles, 2) : 0);
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Hyb& hyb) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::hyb_states(cuda::plan_hyb(spikes, hyb)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Hyb& hyb,
            Workspace workspace) {
  check_encode(spikes, hyb, Space::device);
  WorkspaceCarver carver(workspace);
  cuda::TileTask task = cuda::plan_hyb(spikes, hyb);
  cuda::check_strips(task);
  const std::uint64_t states = cuda::hyb_states(task);
  task.status = hyb.status;
  task.states = carver.take<std::uint64_t>(states);
  cuda::reset_tiles(context, task, states);
  const cuda::EmitHyb emit{
      hyb, value_source(spikes, hyb.layout.row_order),
      task.parts > 1 ? reinterpret_cast<std::uint32_t*>(task.states + cuda::batch_states(task))
                     : nullptr};
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    if (cuda::takes_rows(task, hyb)) {
      cuda::launch_strips<cuda::HybStrips<storage, true>>(context, task, emit);
    } else {
      cuda::launch_strips<cuda::HybStrips<storage, false>>(context, task, emit);
    }
  });
}

template void decode(const CudaContext&, const Hyb&, const MutableSpikeView&);

}  // namespace spiketune
