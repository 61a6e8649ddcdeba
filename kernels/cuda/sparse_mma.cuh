#pragma once
/// \file
/// What the products of slots on sparse tensor cores share.

#include <cstdint>

#include "spiketune/formats/two_four.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/sparse_mma.hpp"

namespace spiketune::cuda {

/// The words of 64 columns of `rows` rows of S.
template <int rows>
struct SlotWords {
  std::uint32_t presence[rows];
  std::uint32_t metadata[rows][2];
};

/// Where the words of a lane's rows are: rows 64·i and 64·i + 8 below the first, i < rows / 2. Rows
/// beyond the matrix read its last one: what comes of them is not kept.
template <int rows>
class SlotRows {
 public:
  __device__ SlotRows(const TwoFour& format, std::uint64_t first) : words_(format.words_per_row) {
    const std::uint64_t last = format.layout.m() - 1;
    const std::uint64_t base = first < last ? first : last;
    presence_ = format.presence.data + base * format.presence_words_per_row();
    metadata_ = format.metadata.data + base * words_;
    left_ = last - base < 32 * rows ? static_cast<std::uint32_t>(last - base) : 32 * rows;
  }
  /// Of columns 64·step and on; nothing beyond the last.
  __device__ void load(std::uint32_t step, SlotWords<rows>& words) const {
    constexpr std::uint32_t empty_groups = 0xccccccccu;
    if (2 * step >= words_) return;
    std::uint32_t below[rows];
#pragma unroll
    for (std::uint32_t i = 0; i < rows; ++i) {
      const std::uint32_t wanted = i / 2 * 64 + i % 2 * 8;
      below[i] = wanted < left_ ? wanted : left_;
      words.presence[i] = __ldg(presence_ + below[i] * ((words_ + 1) / 2) + step);
    }
    if (words_ % 2 == 0) {
#pragma unroll
      for (std::uint32_t i = 0; i < rows; ++i) {
        const uint2 both =
            __ldg(reinterpret_cast<const uint2*>(metadata_ + below[i] * words_) + step);
        words.metadata[i][0] = both.x;
        words.metadata[i][1] = both.y;
      }
    } else {
      const bool whole = 2 * step + 1 < words_;
#pragma unroll
      for (std::uint32_t i = 0; i < rows; ++i) {
        const std::uint32_t* from = metadata_ + below[i] * words_ + 2 * step;
        words.metadata[i][0] = __ldg(from);
        words.metadata[i][1] = whole ? __ldg(from + 1) : empty_groups;
      }
    }
  }

 private:
  const std::uint32_t* presence_;  ///< of the first row
  const std::uint32_t* metadata_;
  std::uint32_t words_;
  std::uint32_t left_;  ///< rows below the first
};

/// Operands A of 64 columns for `blocks` blocks of rows.
template <int blocks>
struct SparseOperands {
  std::uint32_t slots[blocks][2][4];  ///< [block][32 columns][register]
  std::uint32_t metadata[blocks][2];
};

/// Presence is to slots what a word of a bitmap is to columns. Lanes 4·i and 4·i + 1 give the
/// metadata of rows i and i + 8: columns 0 to 15, and 16 to 31. (PTX ISA, mma.sp and
/// wgmma.mma_async.sp, sparsity selector 0.)
template <int blocks>
__device__ void expand_slots(const SlotWords<2 * blocks>& words, std::uint32_t lane,
                             SparseOperands<blocks>& operands) {
  const std::uint32_t shift = lane % 2 * 16;
#pragma unroll
  for (int i = 0; i < 2 * blocks; ++i) {
    std::uint32_t expanded[4];
    expand_bits(words.presence[i], lane, expanded);
#pragma unroll
    for (int j = 0; j < 4; ++j) operands.slots[i / 2][j / 2][i % 2 + j % 2 * 2] = expanded[j];
  }
#pragma unroll
  for (int block = 0; block < blocks; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      operands.metadata[block][half] = (words.metadata[2 * block][half] >> shift & 0xffffu) |
                                       words.metadata[2 * block + 1][half] >> shift << 16;
    }
  }
}

/// The product on sm_90a, in kernels/cuda/sm90/sparse_mma.cu. `config` has no zeros.
void sparse_mma_on_hopper(const CudaContext& context, const TwoFour& two_four,
                          const WeightView& weights, const OutputView& output,
                          const SparseMma& config);

}  // namespace spiketune::cuda
