#pragma once
/// \file
/// Rows with slots: ELL, and HYB with a tail for what finds none.
///
/// Spike i of row r goes to slot r·width + i, so that the slots of a tile are one run of memory
/// wherever the other tiles' spikes are. A thread makes eight neighbouring slots. A matrix whose
/// rows are longer than a tile takes the long way: pack(), then a warp for each row.

#include "spiketune/encoders/cuda/place.cuh"
#include "spiketune/formats/ell.hpp"

namespace spiketune::cuda {

/// A slot without a spike.
inline constexpr std::uint32_t empty_slot = 0xffffffffu;

/// indices[at .. at + 7] for eight slots; `at` is a multiple of 8.
__device__ inline void store_slots(const AnyArray& indices, std::uint64_t at,
                                   const std::uint32_t (&slots)[per_store]) {
  if (indices.type == DType::u16) {  // the low half of an empty slot is the padding
    store_columns(indices, at, slots, 0);
    return;
  }
  const auto index = [](std::uint32_t slot) {
    return slot == empty_slot ? padding_index(DType::u32) : column_of(slot);
  };
#pragma unroll
  for (std::uint32_t i = 0; i < per_store; i += 4) {
    indices.as<uint4>()[(at + i) / 4] = {index(slots[i]), index(slots[i + 1]), index(slots[i + 2]),
                                         index(slots[i + 3])};
  }
}

/// Slots of a tile one after another: a slot's unit, or empty_slot. Not past the last.
class SlotCursor {
 public:
  __device__ SlotCursor(const Units& spikes, std::uint32_t width, std::uint32_t slot)
      : spikes_(&spikes), width_(width), row_(slot / width), ordinal_(slot - row_ * width) {
    look_at_row();
  }
  __device__ std::uint32_t next() {
    if (ordinal_ == width_) {
      ordinal_ = 0;
      ++row_;
      look_at_row();
    }
    return ordinal_++ < length_ ? cursor_.next() : empty_slot + 0;
  }

 private:
  __device__ void look_at_row() {
    const std::uint32_t start = spikes_->before(row_);
    length_ = spikes_->before(row_ + 1) - start;
    if (ordinal_ < length_) cursor_ = spikes_->find(start + ordinal_);
  }

  const Units* spikes_;
  std::uint32_t width_;
  std::uint32_t row_;
  std::uint32_t ordinal_;
  std::uint32_t length_;
  Units::Cursor cursor_;
};

/// Writes the slots of a tile's rows, padding where there is no spike. All threads call, all get
/// the spikes of the tile, as long as its words stay as they are.
__device__ inline Units write_slots(const TileBits& bits, std::uint32_t width,
                                    const AnyArray& indices, const AnyArray& values,
                                    const ValueSource& source) {
  __shared__ std::uint32_t starts[tile_threads];
  constexpr std::uint32_t most = 8;  // words of a run
  std::uint32_t total = 0;
  starts[threadIdx.x] =
      block_exclusive_sum(count_run<most>(bits.words, bits.total_words()), &total);
  __syncthreads();
  const Units spikes(bits.words, bits.total_words(), starts, bits.words_per_row, total);
  const std::uint64_t first = bits.first_row * width;
  if (first >= indices.size) return spikes;
  const auto slots =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(bits.rows * width, indices.size - first));
  const bool pattern = values.type == DType::bit;
  for_each_piece(first, slots, [&](std::uint32_t begin, std::uint32_t end) {
    SlotCursor cursor(spikes, width, begin);
    if (pattern && end - begin == per_store) {
      std::uint32_t of[per_store];
#pragma unroll
      for (std::uint32_t i = 0; i < per_store; ++i) of[i] = cursor.next();
      store_slots(indices, first + begin, of);
      return;
    }
    for (; begin < end; ++begin) {
      const std::uint32_t slot = cursor.next();
      if (slot == empty_slot) {
        detail::store_padding(indices, values, first + begin);
      } else {
        store_index(indices, first + begin, column_of(slot));
        source.copy_to(values, first + begin, bits.first_row + group_of(slot), column_of(slot));
      }
    }
  });
  return spikes;
}

/// Takes the spikes that have slots out of the words of a tile. All threads call; a barrier must
/// follow.
__device__ inline void drop_slots(const TileBits& bits, const Units& spikes, std::uint32_t width) {
  const std::uint32_t total = bits.total_words();
  const std::uint32_t begin = std::min(threadIdx.x * run_length(total), total);
  const std::uint32_t end = std::min(begin + run_length(total), total);
  std::uint32_t row = begin / bits.words_per_row;
  std::uint32_t w = begin - row * bits.words_per_row;
  std::uint32_t ordinal = begin < end ? spikes.before_word(begin) - spikes.before(row) : 0;
  __syncthreads();  // all have read what they need
  for (std::uint32_t i = begin; i < end; ++i) {
    const std::uint32_t word = bits.words[i];
    const std::uint32_t count = count_bits(word);
    if (ordinal + count <= width) {
      bits.words[i] = 0;
    } else if (ordinal < width) {
      std::uint32_t left = word;
      for (std::uint32_t n = width - ordinal; n > 0; --n) left &= left - 1;
      bits.words[i] = left;
    }
    ordinal += count;
    if (++w == bits.words_per_row) {
      w = 0;
      ordinal = 0;
    }
  }
}

/// Whether the rows of a matrix fit into tiles, so that they can have slots there.
inline bool rows_fit(const TileTask& task) {
  return task.parts == 1;
}

}  // namespace spiketune::cuda
