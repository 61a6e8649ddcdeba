#pragma once
/// \file
/// What the products that expand bits share.

#include <cstdint>

#include "spiketune/core/bits.hpp"
#include "spiketune/kernels/expand.hpp"

namespace spiketune::cuda {

/// Steps of 64 columns of S through which a tile of Y goes: all, or, where the bitmap is in tiles,
/// those with a spike in its rows. A warp asks together.
class Steps {
 public:
  /// Rows first_row .. first_row + 64·row_blocks - 1; row_blocks 0: all steps, whatever they hold.
  __device__ Steps(const Bitmap& bitmap, std::uint64_t first_row, std::uint32_t row_blocks)
      : bitmap_(&bitmap),
        first_block_(static_cast<std::uint32_t>(first_row / Bitmap::tile_size)),
        row_blocks_(row_blocks) {}
  /// The next step, or count() after the last, once.
  __device__ std::uint32_t next() {
    if (!bitmap_->params.tiles || row_blocks_ == 0) return seen_++;
    while (occupied_ == 0) {
      if (seen_ >= count()) return count();
      occupied_ = look(seen_);
      seen_ += 32;
    }
    const std::uint32_t bit = lowest_bit(occupied_);
    occupied_ &= occupied_ - 1;
    return seen_ - 32 + bit;
  }
  [[nodiscard]] __device__ std::uint32_t count() const {
    return static_cast<std::uint32_t>(bitmap_->tile_columns());
  }

 private:
  /// Which of the 32 steps from `base` on are to be done.
  __device__ std::uint32_t look(std::uint32_t base) const {
    const std::uint32_t step = base + threadIdx.x % 32;
    bool any = false;
    const auto blocks =
        static_cast<std::uint32_t>(ceil_div(bitmap_->layout.m(), Bitmap::tile_size));
    for (std::uint32_t block = first_block_;
         step < count() && block < first_block_ + row_blocks_ && block < blocks; ++block) {
      any |= bitmap_->occupied[std::uint64_t{block} * count() + step] != 0;
    }
    return __ballot_sync(0xffffffffu, any);
  }

  const Bitmap* bitmap_;
  std::uint32_t first_block_;
  std::uint32_t row_blocks_;
  std::uint32_t seen_ = 0;
  std::uint32_t occupied_ = 0;
};

/// The words of `rows` rows of S, step by step. Rows beyond the matrix read its last one: what
/// comes of them is not kept.
template <int rows>
class RowWords {
 public:
  using Words = std::uint32_t[rows][2];

  /// row_of(i) for i below `rows`.
  template <class RowOf>
  __device__ RowWords(const Bitmap& bitmap, RowOf&& row_of) {
    const std::uint64_t words = bitmap.words_per_row();
    paired_ = bitmap.params.tiles || words % 2 == 0;
    stride_ = bitmap.params.tiles ? 2 * Bitmap::tile_size : 2;
    last_word_ = static_cast<std::uint32_t>(words - 1);
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const std::uint64_t row = row_of(i);
      const std::uint64_t last = bitmap.layout.m() - 1;
      from_[i] = &bitmap.words[bitmap.word_index(row < last ? row : last, 0)];
    }
  }
  __device__ void load(std::uint32_t step, Words& at) const {
    if (paired_) {
      const std::uint32_t offset = step * stride_;
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        const uint2 both = __ldg(reinterpret_cast<const uint2*>(from_[i] + offset));
        at[i][0] = both.x;
        at[i][1] = both.y;
      }
    } else {
      const bool whole = 2 * step < last_word_;
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        at[i][0] = __ldg(from_[i] + 2 * step);
        at[i][1] = whole ? __ldg(from_[i] + 2 * step + 1) : 0;
      }
    }
  }

 private:
  const std::uint32_t* from_[rows];
  std::uint32_t stride_;
  std::uint32_t last_word_;
  bool paired_;
};

/// The product on sm_90a, in kernels/cuda/sm90/expand.cu. `config` has no zeros.
void expand_on_hopper(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                      const OutputView& output, const Expand& config);

}  // namespace spiketune::cuda
