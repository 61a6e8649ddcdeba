#pragma once
/// \file
/// Slots of a strip: spike i of row r goes to slot r·width + i, whatever the other rows hold.

#include "spiketune/encoders/cuda/strips.cuh"
#include "spiketune/formats/ell.hpp"

namespace spiketune::cuda {

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

}  // namespace spiketune::cuda
