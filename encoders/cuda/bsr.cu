// Packed rows to blocks. A warp owns 32 neighbouring words of the rows of a block row (a piece), a
// lane one of them, for as many rows as a block has: loads are 128 bytes a row, and which blocks
// are occupied is known in registers. Bytes: the packed bits twice, and the encoding.

#include "spiketune/encoders/bsr.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t piece_words = 32;

/// What this warp owns.
template <std::uint32_t b>
struct Piece {
  std::uint64_t block_row;
  std::uint64_t first_row;
  std::uint32_t rows;
  std::uint32_t first_word;
  std::uint32_t w;  ///< this lane's word; may lie beyond the row

  __device__ explicit Piece(const BitRows& bits) {
    const std::uint64_t pieces = ceil_div(bits.words_per_row(), piece_words);
    block_row = global_warp() / pieces;
    first_row = block_row * b;
    rows = first_row < bits.m
               ? static_cast<std::uint32_t>(std::min<std::uint64_t>(b, bits.m - first_row))
               : 0;
    first_word = static_cast<std::uint32_t>(global_warp() % pieces) * piece_words;
    w = first_word + threadIdx.x % 32;
  }
  [[nodiscard]] __device__ std::uint32_t word(const BitRows& bits, std::uint32_t r) const {
    return r < rows && w < bits.words_per_row() ? bits.word(first_row + r, w) : 0;
  }
};

std::uint64_t pieces(const BitRows& bits, const Bsr& bsr) {
  return bsr.block_rows() * ceil_div(bits.words_per_row(), piece_words);
}

/// Which of the 32 / b blocks of a word of united rows are occupied, as bits. A block of 64 columns
/// belongs to the lane of its first word. All lanes call.
template <std::uint32_t b>
__device__ std::uint32_t occupied_blocks(std::uint32_t united) {
  if constexpr (b == 64) {
    const std::uint32_t other = __shfl_xor_sync(all_lanes, united, 1);
    return threadIdx.x % 2 == 0 && (united | other) != 0;
  }
  std::uint32_t blocks = 0;
#pragma unroll
  for (std::uint32_t block = 0; block < 32 / std::min(b, 32u); ++block) {
    blocks |= std::uint32_t{(united >> (block * b % 32) & low_mask(b)) != 0} << block;
  }
  return blocks;
}

/// Or-s the rows of each block row, and counts its blocks.
template <std::uint32_t b>
__global__ void count_blocks(const BitRows bits, const Bsr bsr, std::uint32_t* united) {
  const Piece<b> piece(bits);
  if (piece.rows == 0) return;
  std::uint32_t any = 0;
#pragma unroll 8
  for (std::uint32_t r = 0; r < b; ++r) any |= piece.word(bits, r);
  if (piece.w < bits.words_per_row()) {
    united[piece.block_row * bits.words_per_row() + piece.w] = any;
  }
  const std::uint32_t count = warp_sum(count_bits(occupied_blocks<b>(any)));
  if (threadIdx.x % 32 != 0 || count == 0) return;
  atomicAdd(&bsr.block_row_offsets[piece.block_row], count);
  atomicAdd(reinterpret_cast<unsigned long long*>(&bsr.status->needed),
            static_cast<unsigned long long>(count));
}

/// Blocks of the row before this piece.
template <std::uint32_t b>
__device__ std::uint32_t blocks_before(const Piece<b>& piece, const std::uint32_t* united) {
  std::uint32_t count = 0;
  for (std::uint32_t w = threadIdx.x % 32; w < piece.first_word; w += 32) {
    count += count_bits(occupied_blocks<b>(united[w]));
  }
  return warp_sum(count);
}

/// The patterns of this lane's blocks, the first of which is at `position`.
template <std::uint32_t b>
__device__ void fill_patterns(const BitRows& bits, const Bsr& bsr, const Piece<b>& piece,
                              std::uint32_t blocks, std::uint32_t position) {
  if constexpr (b == 64) {
    const bool mine = __shfl_sync(all_lanes, blocks, threadIdx.x % 32 & ~1u) != 0;
    const std::uint64_t owner = __shfl_sync(all_lanes, position, threadIdx.x % 32 & ~1u);
    for (std::uint32_t r = 0; r < b; ++r) {
      const std::uint32_t word = piece.word(bits, r);
      if (mine) bsr.patterns[owner * (b * b / 32) + 2 * r + piece.w % 2] = word;
    }
  } else {
    constexpr std::uint32_t per_word = 32 / b;  // rows in a word of pattern, blocks in one of a row
    for (std::uint32_t q = 0; q < b / per_word; ++q) {
      std::uint32_t words[per_word];
#pragma unroll
      for (std::uint32_t i = 0; i < per_word; ++i) words[i] = piece.word(bits, q * per_word + i);
      std::uint64_t at = position;
#pragma unroll
      for (std::uint32_t block = 0; block < per_word; ++block) {
        if ((blocks >> block & 1u) == 0) continue;
        std::uint32_t pattern = 0;
#pragma unroll
        for (std::uint32_t i = 0; i < per_word; ++i) {
          pattern |= (words[i] >> (block * b) & low_mask(b)) << (i * b);
        }
        bsr.patterns[at * (b * b / 32) + q] = pattern;
        ++at;
      }
    }
  }
}

/// The values of all blocks of the piece, one after another, by all lanes.
template <std::uint32_t b>
__device__ void fill_values(const BitRows& bits, const ValueSource& source, const Bsr& bsr,
                            const Piece<b>& piece, std::uint32_t blocks, std::uint32_t position) {
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    std::uint64_t at = __shfl_sync(all_lanes, position, lane);
    for (std::uint32_t left = __shfl_sync(all_lanes, blocks, lane); left != 0;
         left &= left - 1, ++at) {
      const std::uint64_t first_column =
          32 * std::uint64_t{piece.first_word + lane} + lowest_bit(left) * b;
      for (std::uint32_t i = threadIdx.x % 32; i < b * b; i += 32) {
        const std::uint32_t r = i / b;
        const std::uint64_t column = first_column + i % b;
        const bool spike =
            r < piece.rows && column < bits.k &&
            (bits.word(piece.first_row + r, static_cast<std::uint32_t>(column / 32)) >>
                 (column % 32) &
             1u) != 0;
        copy_or_clear(source, bsr.values, at * (b * b) + i, piece.first_row + r,
                      static_cast<std::uint32_t>(column), spike);
      }
    }
  }
}

template <std::uint32_t b>
__global__ void fill_blocks(const BitRows bits, const ValueSource source, const Bsr bsr,
                            const std::uint32_t* united) {
  const Piece<b> piece(bits);
  if (piece.rows == 0 || bsr.status->needed > bsr.capacity) return;
  const std::uint32_t* here = united + piece.block_row * bits.words_per_row();
  const std::uint32_t blocks =
      occupied_blocks<b>(piece.w < bits.words_per_row() ? here[piece.w] : 0);
  const std::uint32_t position = bsr.block_row_offsets[piece.block_row] +
                                 blocks_before(piece, here) +
                                 warp_exclusive_sum(count_bits(blocks));
  std::uint64_t at = position;
  for (std::uint32_t left = blocks; left != 0; left &= left - 1, ++at) {
    store_index(bsr.block_column_indices, at,
                static_cast<std::uint32_t>(32 * std::uint64_t{piece.w} / b) + lowest_bit(left));
  }
  fill_patterns<b>(bits, bsr, piece, blocks, position);
  if (bsr.values.type != DType::bit) fill_values<b>(bits, source, bsr, piece, blocks, position);
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Bsr& bsr)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        united(carver.take<std::uint32_t>(bsr.block_rows() * ceil_div(spikes.shape.k, 32))),
        scan_size(scan_bytes(bsr.block_row_offsets.size)),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint32_t* words;
  std::uint32_t* united;  ///< [block rows][words of a row]
  std::size_t scan_size;
  void* scan;
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Bsr& bsr) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes, bsr);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Bsr& bsr,
            Workspace workspace) {
  check_encode(spikes, bsr, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes, bsr);
  const RowOrder order = bsr.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, bsr.status);
  fill(context, bsr.block_row_offsets.data, 0, bsr.block_row_offsets.bytes());
  if (spikes.shape.elements() == 0) return;  // no blocks; pack() left needed at 0
  const unsigned blocks = cuda::warp_blocks(cuda::pieces(bits, bsr));
  detail::with_block_size(bsr, [&]<std::uint32_t b>() {
    cuda::count_blocks<b>
        <<<blocks, cuda::block_threads, 0, context.stream>>>(bits, bsr, scratch.united);
    cuda::check_launch();
    cuda::exclusive_scan(context, bsr.block_row_offsets.data, bsr.block_row_offsets.size,
                         scratch.scan, scratch.scan_size);
    cuda::fill_blocks<b><<<blocks, cuda::block_threads, 0, context.stream>>>(
        bits, value_source(spikes, order), bsr, scratch.united);
    cuda::check_launch();
  });
}

template void decode(const CudaContext&, const Bsr&, const MutableSpikeView&);

}  // namespace spiketune
