#pragma once
/// \file
/// Slots of a strip: spike i of row r goes to slot r·width + i, whatever the other rows hold.

#include "spiketune/encoders/cuda/strips.cuh"
#include "spiketune/formats/ell.hpp"

namespace spiketune::cuda {

/// Packed input takes few registers, and more warps to have as many bytes on their way.
template <DType storage>
inline constexpr int slot_blocks_per_sm = bits_of(storage) < 8 ? 3 : 2;

/// Of a warp, in shared memory.
template <DType storage>
struct alignas(16) SlotFiller {
  StripMemory<storage> bits;
  std::uint32_t starts[strip_words<storage> + 1];  ///< units before each row
  alignas(16) std::uint16_t staged[strip_window<storage> + 8];
};

/// A staged slot without a spike.
inline constexpr std::uint32_t empty_slot = 0xffffu;

/// Slots of one strip: of some rows, or of a part of one that has `before` spikes in earlier parts.
struct SlotRange {
  std::uint32_t width;
  std::uint32_t before;
  std::uint32_t begin;  ///< slots of the strip, counted from the first of its first row
  std::uint32_t end;
  bool all_fit;  ///< no row has more spikes than slots
};

/// staged[shift + slot - window] = column - less for the spikes with slots in [window, window +
/// strip_window<storage>). start_of(row) tells the units before a row of the strip.
template <DType storage, class Start>
__device__ void stage_slots(const Strip& strip, const SlotRange& range, std::uint32_t window,
                            std::uint32_t shift, std::uint32_t less,
                            const StripUnits<storage>& units, Start&& start_of) {
  constexpr std::uint32_t owned = owned_words<storage>;
  const std::uint32_t lane = threadIdx.x % 32;
  const SharedHalves out(units.staged);
  const bool all = range.all_fit && range.end - range.begin <= strip_window<storage>;
  std::uint32_t rank = units.memory->before[lane];
#pragma unroll 1
  for (std::uint32_t i = 0; i < owned; ++i) {
    const std::uint32_t w = lane * owned + i;
    const std::uint32_t word = units.memory->words[w];
    const std::uint32_t row = strip.row_of(32 * w);
    const std::uint32_t ordinal = strip.one_row() ? range.before + rank : rank - start_of(row);
    const std::uint32_t first = row * range.width + ordinal - window;
    const std::uint32_t column = strip.column_of(32 * w) - less;
    std::uint32_t left = count_bits(word);
    rank += left;
    if (all) {
      for_each_bit_from_top(word, [&](std::uint32_t bit) {
        --left;
        out.store(shift + first + left, column + bit);
      });
    } else {
      for_each_bit_from_top(ordinal < range.width ? word : 0, [&](std::uint32_t bit) {
        --left;
        if (ordinal + left < range.width && first + left < strip_window<storage>) {
          out.store(shift + first + left, column + bit);
        }
      });
    }
  }
}

/// Writes the slots of a strip of an Ell or Hyb.
template <DType storage, bool pattern, class Format, class Start>
__device__ void fill_strip(const Format& format, const ValueSource& source, const Strip& strip,
                           const SlotRange& range, const StripUnits<storage>& units,
                           Start&& start_of) {
  const AnyArray& indices = format.column_indices;
  const bool narrow = indices.type == DType::u16;
  const std::uint32_t less = narrow ? 0 : strip.first_column;
  const std::uint64_t first = strip.first_row * range.width;
  for (std::uint32_t window = range.begin; window < range.end; window += strip_window<storage>) {
    const std::uint64_t at = first + window;
    const auto shift = static_cast<std::uint32_t>(at % 8);
    const std::uint32_t count =
        range.end - window < strip_window<storage> ? range.end - window : strip_window<storage>;
    __syncwarp();
    for (std::uint32_t i = threadIdx.x % 32; i < (shift + count + 7) / 8; i += 32) {
      reinterpret_cast<uint4*>(units.staged)[i] = {~0u, ~0u, ~0u, ~0u};
    }
    __syncwarp();
    if (strip.one_row() && range.all_fit && range.end - range.begin <= strip_window<storage>) {
      units.stage(shift, 0, strip.first_column - less);
    } else {
      stage_slots<storage>(strip, range, window, shift, less, units, start_of);
    }
    __syncwarp();
    store_window(
        units.staged, at, count, pattern || format.values.type == DType::bit,
        [&](std::uint64_t slot, std::uint32_t staged) {
          if (staged == empty_slot) {
            if constexpr (pattern) {
              store_index(indices, slot, padding_index(indices.type));
            } else {
              detail::store_padding(indices, format.values, slot);
            }
            return;
          }
          store_index(indices, slot, staged + less);
          if (pattern || format.values.type == DType::bit) return;
          const auto row = static_cast<std::uint32_t>(slot - first) / range.width;
          source.copy_to(format.values, slot, strip.first_row + row, staged + less);
        },
        [&](std::uint64_t slot, const uint4& staged) {
          if (narrow) {  // an empty slot is the padding
            indices.as<uint4>()[slot / 8] = staged;
            return;
          }
          const auto index = [&](std::uint32_t half) {
            return half == empty_slot ? padding_index(DType::u32) : half + less;
          };
          const std::uint32_t pairs[4] = {staged.x, staged.y, staged.z, staged.w};
#pragma unroll
          for (std::uint32_t i = 0; i < 4; i += 2) {
            indices.as<uint4>()[(slot + 2 * i) / 4] = {
                index(pairs[i] & 0xffffu), index(pairs[i] >> 16), index(pairs[i + 1] & 0xffffu),
                index(pairs[i + 1] >> 16)};
          }
        });
  }
}

/// A warp fills the slots of some rows, or of one that it takes part by part, while the input of
/// the next is on its way. It waits for no other: where a row's slots are does not depend on
/// others. Bytes: the input once and the slots once. Bound by memory. `Slots` tells what follows:
///
///   Format format                        an Ell or Hyb
///   ValueSource source
///   std::uint32_t rest(strip, index, range, units, start_of)   deals with spikes without a slot;
///                                        all lanes call, and add up what they return
///   void finish(longest, rest)           threads tell what they have seen
template <DType storage, bool quick, class Slots>
__global__ void __launch_bounds__(strip_threads, slot_blocks_per_sm<storage>)
    fill_slots(const __grid_constant__ TileTask task, const __grid_constant__ Slots slots) {
  constexpr std::uint32_t owned = owned_words<storage>;
  extern __shared__ uint4 shared[];
  const std::uint32_t lane = threadIdx.x % 32;
  SlotFiller<storage>& mine = reinterpret_cast<SlotFiller<storage>*>(shared)[threadIdx.x / 32];
  std::uint32_t* words = mine.bits.words;
  const std::uint32_t width = slots.format.width();
  const auto strips = static_cast<std::uint32_t>(task.tiles);
  const std::uint32_t stride = gridDim.x * strip_warps * task.parts;
  std::uint32_t index = (blockIdx.x * strip_warps + threadIdx.x / 32) * task.parts;
  Strip strip(task, index, nullptr);
  RegisterPieces<storage> pieces;
  if constexpr (quick) pieces.load(task, strip);
  wait_for_reset();

  std::uint32_t spikes = 0;   // of this lane's words
  std::uint32_t rest = 0;     // what `slots` counts
  std::uint32_t longest = 0;  // of the rows that this lane has looked at
  std::uint32_t part = 0;
  std::uint32_t before = 0;  // spikes of the row in earlier parts
  while (index < strips) {
    pack_strip<storage, quick>(task, strip, pieces, words);
    __syncwarp();
    Strip here = strip;
    here.words = words;
    const bool last = part + 1 == task.parts;
    const std::uint32_t here_index = index;
    index = last ? index - part + stride : index + 1;
    if (index < strips) {
      strip = Strip(task, index, nullptr);
      if constexpr (quick) pieces.load(task, strip);
    }
    std::uint32_t own[owned];
    load_words<owned>(words + lane * owned, own);
    std::uint32_t count = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) count += count_bits(own[i]);
    spikes += count;
    const std::uint32_t of_lanes = warp_exclusive_sum(count);
    mine.bits.before[lane] = of_lanes;
    const std::uint32_t total = __shfl_sync(all_lanes, of_lanes + count, 31);
    const StripUnits<storage> units{total, &mine.bits, mine.staged};
    SlotRange range{width, before, 0, here.rows * width, true};
    if (here.one_row()) {
      before += total;
      range.all_fit = before <= width;
      range.begin = std::min(range.before, width);
      range.end = last ? width : std::min(before, width);
      if (last) longest = std::max(longest, before);
    } else {
      __syncwarp();
      for (std::uint32_t row = lane; row < here.rows; row += 32) {
        mine.starts[row] = units.before_word(row * here.words_per_row);
      }
      if (lane == 0) mine.starts[here.rows] = total;
      __syncwarp();
      std::uint32_t most = 0;
      for (std::uint32_t row = lane; row < here.rows; row += 32) {
        most = std::max(most, mine.starts[row + 1] - mine.starts[row]);
      }
      longest = std::max(longest, most);
      range.all_fit = __all_sync(all_lanes, most <= width) != 0;
    }
    const auto start_of = [&](std::uint32_t row) { return mine.starts[row]; };
    fill_strip<storage, quick>(slots.format, slots.source, here, range, units, start_of);
    rest += slots.template rest<storage>(here, here_index, range, units, start_of);
    part = last ? 0 : part + 1;
    if (last) before = 0;
  }
  add_to(&task.status->nnz, spikes);
  slots.finish(longest, rest);
}

/// Fills the slots of all rows, after reset_tiles(). `pattern`: there are no values.
template <class Slots>
void run_slots(const CudaContext& context, DType storage, const TileTask& task, const Slots& slots,
               bool pattern) {
  with_storage(storage, [&]<DType type>() {
    const auto kernel =
        is_quick(task) && pattern ? fill_slots<type, true, Slots> : fill_slots<type, false, Slots>;
    const std::size_t bytes = strip_warps * sizeof(SlotFiller<type>);
    allow_shared(kernel, bytes);
    const auto blocks =
        static_cast<unsigned>(ceil_div(ceil_div(task.tiles, task.parts), strip_warps));
    launch_after_reset(context, kernel,
                       std::min(blocks, resident_blocks(context, slot_blocks_per_sm<type>)),
                       strip_threads, bytes, task, slots);
  });
}

}  // namespace spiketune::cuda
