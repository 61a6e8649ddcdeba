#pragma once
/// \file
/// What the products that make operands of bits or bytes share.

#include <cstdint>

#include "spiketune/core/bits.hpp"
#include "spiketune/formats/bytes.hpp"
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

/// Of bytes nothing is known: all steps.
class EveryStep {
 public:
  __device__ explicit EveryStep(std::uint32_t count) : count_(count) {}
  __device__ std::uint32_t next() { return seen_++; }
  [[nodiscard]] __device__ std::uint32_t count() const { return count_; }

 private:
  std::uint32_t count_;
  std::uint32_t seen_ = 0;
};

template <class Format>
[[nodiscard]] SPIKETUNE_HD std::uint32_t step_count(const Format& spikes) {
  return static_cast<std::uint32_t>(ceil_div(spikes.layout.k(), 64));
}
/// As Steps'.
__device__ inline Steps steps_of(const Bitmap& bitmap, std::uint64_t first_row,
                                 std::uint32_t row_blocks) {
  return {bitmap, first_row, row_blocks};
}
__device__ inline EveryStep steps_of(const Bytes& bytes, std::uint64_t, std::uint32_t) {
  return EveryStep(step_count(bytes));
}

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

/// 16 bytes from memory where `wanted`; after a branch the compiler would wait for each of a
/// warpgroup's products.
__device__ inline void load_if(bool wanted, const std::uint8_t* from, uint4& to) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "{\n.reg .pred wanted;\nsetp.ne.u32 wanted, %5, 0;\n"
      "@wanted ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];\n}\n"
      : "+r"(to.x), "+r"(to.y), "+r"(to.z), "+r"(to.w)
      : "l"(from), "r"(static_cast<std::uint32_t>(wanted)));
#else
  if (wanted) to = __ldg(reinterpret_cast<const uint4*>(from));
#endif
}

/// Bytes of two rows of S, `row` and the one 8 further down, 64 columns a step, of which each of
/// four lanes that share the rows has 16 neighbouring ones. K is a multiple of 16; beyond it pieces
/// stay as they are, which does not matter, if they were bytes 0 or 1, as such rows of W are zeros.
/// Rows beyond the matrix read its last one.
class TwoRowBytes {
 public:
  using Pieces = uint4[2];

  __device__ TwoRowBytes(const Bytes& bytes, std::uint64_t row) : bytes_(&bytes) {
    const std::uint64_t last = bytes.layout.m() - 1;
    const std::uint32_t k = bytes.layout.k();
    const std::uint64_t first = row < last ? row : last;
    const std::uint64_t second = row + 8 < last ? row + 8 : last;
    from_ = bytes.values.data + first * k + threadIdx.x % 4 * 16;
    further_ = static_cast<std::uint32_t>((second - first) * k);
  }
  __device__ void load(std::uint32_t step, Pieces& at) const {
    const std::uint32_t column = step * 64;
    const bool inside = column + threadIdx.x % 4 * 16 < bytes_->layout.k();
    load_if(inside, from_ + column, at[0]);
    load_if(inside, from_ + column + further_, at[1]);
  }

 private:
  const Bytes* bytes_;
  const std::uint8_t* from_;
  std::uint32_t further_;  // from there on, the second row
};

/// Four neighbouring columns of a row, a byte 0 or 1 each, as operands A: `low` has the first two.
/// The lane should hold columns 2·(lane % 4) + {0, 1} and 8 more; rows of B trade places instead
/// (place_of_row).
__device__ inline void expand_bytes(std::uint32_t bytes, std::uint32_t& low, std::uint32_t& high) {
  const std::uint32_t tops = bytes << 6;
  low = __byte_perm(tops, 0, 0x1404);
  high = __byte_perm(tops, 0, 0x3424);
}

/// Where row `row` of the 64 of a step is in operand B for operands A made of bytes. The lanes of
/// four have columns 16·lane and on; four of them make the lane's operands of 16 rows of B.
__device__ inline std::uint32_t place_of_row(std::uint32_t row) {
  const std::uint32_t lane = row / 16;
  const std::uint32_t part = row / 4 % 4;
  return part * 16 + row / 2 % 2 * 8 + lane * 2 + row % 2;
}

/// The product on sm_90a, in kernels/cuda/sm90/expand.cu. `config` has no zeros.
void expand_on_hopper(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                      const OutputView& output, const Expand& config);
void expand_on_hopper(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
                      const OutputView& output, const Expand& config);

}  // namespace spiketune::cuda
