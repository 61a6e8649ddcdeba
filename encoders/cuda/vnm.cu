// Packed rows to selected columns, slots and a residual. A warp owns the sixteen blocks whose
// groups share a word of presence: first a lane is a column and counts its spikes, then a lane is a
// row and splits its groups. Spikes without a slot stay bits, which become the residual as in CSR.
// Bytes: the packed bits three times, those of the residual three times, and the encoding.

#include "spiketune/encoders/vnm.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t piece_blocks = 16;

/// What a warp owns: blocks of m columns, so many rows of so many words.
template <std::uint32_t m>
struct Piece {
  static constexpr std::uint32_t words = piece_blocks * m / 32;
  static constexpr std::uint32_t blocks_per_word = 32 / m;
  std::uint64_t block_row;
  std::uint64_t first_row;
  std::uint32_t rows;
  std::uint32_t index;  ///< which words of presence

  __device__ Piece(const BitRows& bits, const Vnm& vnm) {
    const std::uint32_t pieces = vnm.presence_words_per_row();
    block_row = global_warp() / pieces;
    first_row = block_row * vnm.block_height();
    rows = first_row < bits.m ? static_cast<std::uint32_t>(
                                    std::min<std::uint64_t>(vnm.block_height(), bits.m - first_row))
                              : 0;
    index = static_cast<std::uint32_t>(global_warp() % pieces);
  }
  /// Word `i` of those of the piece, in row r of the block.
  [[nodiscard]] __device__ std::uint32_t word(const BitRows& bits, std::uint32_t r,
                                              std::uint32_t i) const {
    const std::uint32_t w = index * words + i;
    return r < rows && w < bits.words_per_row() ? bits.word(first_row + r, w) : 0;
  }
};

/// The columns that the blocks of word `i` select, as bits. A lane counts one of 32 columns.
template <std::uint32_t m>
__device__ std::uint32_t select_columns(const BitRows& bits, const Piece<m>& piece,
                                        std::uint32_t i) {
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t count = 0;
  for (std::uint32_t first = 0; first < piece.rows; first += 32) {
    const std::uint32_t word = piece.word(bits, first + lane, i);
#pragma unroll
    for (std::uint32_t column = 0; column < 32; ++column) {
      const std::uint32_t rows = __ballot_sync(all_lanes, word >> column & 1u);
      if (lane == column) count += count_bits(rows);
    }
  }
  std::uint32_t rank = 0;
#pragma unroll
  for (std::uint32_t other = 0; other < m; ++other) {
    const std::uint32_t theirs = __shfl_sync(all_lanes, count, lane / m * m + other);
    rank += theirs > count || (theirs == count && other < lane % m);
  }
  return __ballot_sync(all_lanes, rank < 4);
}

/// A lane splits the groups of row r, and keeps what has no slot in `residual`.
template <std::uint32_t m>
__device__ void split_row(const BitRows& bits, const Vnm& vnm, const Piece<m>& piece,
                          std::uint32_t r, const std::uint32_t (&chosen)[Piece<m>::words],
                          std::uint32_t* residual) {
  constexpr std::uint32_t per_word = Piece<m>::blocks_per_word;
  const std::uint64_t row = piece.first_row + r;
  std::uint32_t words[Piece<m>::words];
  std::uint32_t groups[2] = {0, 0};
#pragma unroll
  for (std::uint32_t i = 0; i < Piece<m>::words; ++i) {
    words[i] = piece.word(bits, r, i);
#pragma unroll
    for (std::uint32_t block = 0; block < per_word; ++block) {
      const std::uint32_t selected = detail::pack_selected(chosen[i] >> (block * m) & low_mask(m));
      const std::uint32_t group = i * per_word + block;
      groups[group / 8] |= detail::gather_selected(words[i] >> (block * m), selected)
                           << (4 * (group % 8));
    }
  }
  const SplitGroups split[2] = {split_groups(groups[0]), split_groups(groups[1])};
#pragma unroll
  for (std::uint32_t half = 0; half < 2; ++half) {
    const std::uint32_t w = 2 * piece.index + half;
    if (w < vnm.words_per_row) vnm.metadata[row * vnm.words_per_row + w] = split[half].metadata;
  }
  vnm.presence[row * vnm.presence_words_per_row() + piece.index] =
      split[0].presence | split[1].presence << 16;
#pragma unroll
  for (std::uint32_t i = 0; i < Piece<m>::words; ++i) {
    const std::uint32_t w = piece.index * Piece<m>::words + i;
#pragma unroll
    for (std::uint32_t block = 0; block < per_word; ++block) {
      const std::uint32_t selected = detail::pack_selected(chosen[i] >> (block * m) & low_mask(m));
      const std::uint32_t group = i * per_word + block;
      const std::uint32_t in_slots =
          (groups[group / 8] & ~split[group / 8].residual) >> (4 * (group % 8));
      words[i] &= ~(detail::scatter_selected(in_slots, selected) << (block * m));
    }
    if (w < bits.words_per_row()) residual[row * bits.words_per_row() + w] = words[i];
  }
}

template <std::uint32_t m>
__global__ void split_blocks(const BitRows bits, const Vnm vnm, std::uint32_t* residual) {
  const Piece<m> piece(bits, vnm);
  if (piece.rows == 0) return;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t chosen[Piece<m>::words];
#pragma unroll
  for (std::uint32_t i = 0; i < Piece<m>::words; ++i) {
    chosen[i] = select_columns(bits, piece, i);
    const std::uint64_t column =
        (std::uint64_t{piece.index} * Piece<m>::words + i) * Piece<m>::blocks_per_word + lane;
    if (lane < Piece<m>::blocks_per_word && column < vnm.block_columns()) {
      vnm.selected[piece.block_row * vnm.block_columns() + column] =
          detail::pack_selected(chosen[i] >> (lane * m) & low_mask(m));
    }
  }
  for (std::uint32_t r = lane; r < piece.rows; r += 32) {
    split_row<m>(bits, vnm, piece, r, chosen, residual);
  }
}

/// A thread writes the 16 values of a word of metadata.
__global__ void fill_slot_values(const ValueSource source, const Vnm vnm) {
  const std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= vnm.metadata.size) return;
  const std::uint64_t row = i / vnm.words_per_row;
  const auto w = static_cast<std::uint32_t>(i % vnm.words_per_row);
  store_slot_values(vnm, source, row, w, vnm.metadata[i], vnm.presence_of(row, w));
}

/// Counts the residual of each row, and adds up a block's with one atomic.
__global__ void count_residual(const BitRows residual, const Vnm vnm) {
  __shared__ std::uint32_t warp_counts[block_threads / 32];
  const std::uint64_t row = global_warp();
  const std::uint32_t count = row < residual.m ? row_count(residual, row) : 0;
  if (threadIdx.x % 32 == 0) {
    warp_counts[threadIdx.x / 32] = count;
    if (row < residual.m && !vnm.prune()) vnm.residual_row_offsets[row] = count;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  unsigned long long sum = 0;
  for (int warp = 0; warp < block_threads / 32; ++warp) sum += warp_counts[warp];
  if (sum == 0) return;
  std::uint64_t* total = vnm.prune() ? &vnm.status->lost : &vnm.status->needed;
  atomicAdd(reinterpret_cast<unsigned long long*>(total), sum);
}

__global__ void expand_residual(const BitRows residual, const ValueSource source, const Vnm vnm) {
  const std::uint64_t row = global_warp();
  if (row >= residual.m || vnm.status->needed > vnm.capacity) return;
  const std::uint64_t begin = vnm.residual_row_offsets[row];
  if (begin == vnm.residual_row_offsets[row + 1]) return;
  for_each_bit_by_warp(
      residual.words_per_row(), [&](std::uint32_t w) { return residual.word(row, w); },
      [&](std::uint32_t ordinal, std::uint32_t column) {
        store_index(vnm.residual_column_indices, begin + ordinal, column);
        source.copy_to(vnm.residual_values, begin + ordinal, row, column);
      });
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Vnm& vnm)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        residual(carver.take<std::uint32_t>(spikes.shape.m() * ceil_div(spikes.shape.k, 32))),
        scan_size(vnm.prune() ? 0 : scan_bytes(vnm.residual_row_offsets.size)),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint32_t* words;
  std::uint32_t* residual;  ///< spikes without a slot, as packed rows
  std::size_t scan_size;
  void* scan;
};

void fill_slots(const CudaContext& context, const BitRows& bits, const ValueSource& source,
                const Vnm& vnm, std::uint32_t* residual) {
  const unsigned blocks = warp_blocks(vnm.block_rows() * vnm.presence_words_per_row());
  switch (vnm.block_width()) {
    case 8:
      split_blocks<8><<<blocks, block_threads, 0, context.stream>>>(bits, vnm, residual);
      break;
    case 16:
      split_blocks<16><<<blocks, block_threads, 0, context.stream>>>(bits, vnm, residual);
      break;
    default:
      split_blocks<32><<<blocks, block_threads, 0, context.stream>>>(bits, vnm, residual);
  }
  check_launch();
  if (vnm.values.type == DType::bit) return;
  fill_slot_values<<<static_cast<unsigned>(ceil_div(vnm.metadata.size, block_threads)),
                     block_threads, 0, context.stream>>>(source, vnm);
  check_launch();
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Vnm& vnm) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes, vnm);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Vnm& vnm,
            Workspace workspace) {
  check_encode(spikes, vnm, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes, vnm);
  const RowOrder order = vnm.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, vnm.status);
  if (!vnm.prune()) {
    fill(context, vnm.residual_row_offsets.data, 0, vnm.residual_row_offsets.bytes());
  }
  if (spikes.shape.elements() == 0) return;  // pack() left needed and lost at 0
  const ValueSource source = value_source(spikes, order);
  cuda::fill_slots(context, bits, source, vnm, scratch.residual);
  const BitRows residual{
      scratch.residual, bits.m, bits.k, {spikes.shape.timesteps, spikes.shape.rows, order, order}};
  const unsigned blocks = cuda::warp_blocks(bits.m);
  cuda::count_residual<<<blocks, cuda::block_threads, 0, context.stream>>>(residual, vnm);
  cuda::check_launch();
  if (vnm.prune()) return;
  cuda::exclusive_scan(context, vnm.residual_row_offsets.data, vnm.residual_row_offsets.size,
                       scratch.scan, scratch.scan_size);
  cuda::expand_residual<<<blocks, cuda::block_threads, 0, context.stream>>>(residual, source, vnm);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Vnm&, const MutableSpikeView&);

}  // namespace spiketune
