// Spikes of any storage to bits: a tile in shared memory, and from there to where it belongs.
//
// Bytes: the input once, and 1/8 (u8) to 1/32 (f32) of it out; bound by memory.

#include "spiketune/encoders/pack.hpp"

#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// `words` null: counts and checks only.
template <DType storage>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    pack_tiles(const __grid_constant__ TileTask task, std::uint32_t* words) {
  extern __shared__ uint4 shared[];
  auto* packed = reinterpret_cast<std::uint32_t*>(shared);
  const TileBits bits(task, blockIdx.x, packed);
  pack_tile<storage>(task, bits, packed);
  __syncthreads();
  // A tile is whole rows, or part of one: its words are neighbours in memory either way.
  const std::uint64_t first = bits.first_row * task.words_per_row + bits.first_word;
  const std::uint32_t total = bits.total_words();
  const std::uint32_t fours = first % 4 == 0 ? total / 4 : 0;
  std::uint32_t spikes = 0;
  for (std::uint32_t i = threadIdx.x; i < fours; i += tile_threads) {
    const uint4 four = shared[i];
    spikes += count_bits(four.x) + count_bits(four.y) + count_bits(four.z) + count_bits(four.w);
    if (words != nullptr) reinterpret_cast<uint4*>(words)[first / 4 + i] = four;
  }
  for (std::uint32_t i = 4 * fours + threadIdx.x; i < total; i += tile_threads) {
    spikes += count_bits(packed[i]);
    if (words != nullptr) words[first + i] = packed[i];
  }
  wait_for_primary();
  add_to(&task.status->nnz, spikes);
}

/// Finds the first invalid element of a piece of bytes, whose first is `first`.
__device__ __noinline__ void report_bytes(EncodeStatus* status, uint4 piece, std::uint64_t first) {
  const std::uint32_t parts[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
  for (std::uint32_t part = 4; part-- > 0;) {
    const std::uint32_t invalid = pack_word<DType::u8>(parts[part], ValueKind::binary).invalid;
    if (invalid != 0) report_invalid(status, first + 4 * part + lowest_bit(invalid));
  }
}

inline constexpr std::uint32_t thread_pieces = 4;  ///< of a thread of pack_bytes()
inline constexpr std::uint32_t block_elements = 16 * thread_pieces * tile_threads;

/// The same for bytes of 0 and 1 of which no block lacks any: without a check of ends and without
/// shared memory.
__global__ void __launch_bounds__(tile_threads)
    pack_bytes(const uint4* input, std::uint32_t* words, EncodeStatus* status) {
  const std::uint32_t lane = threadIdx.x % 32;
  // Of a warp: thread_pieces times 32 pieces, a lane one of each 32.
  const std::uint64_t first =
      (std::uint64_t{blockIdx.x} * tile_threads + threadIdx.x - lane) * thread_pieces;
  uint4 pieces[thread_pieces];
#pragma unroll
  for (std::uint32_t i = 0; i < thread_pieces; ++i) pieces[i] = input[first + 32 * i + lane];
  std::uint32_t halves[thread_pieces];
  std::uint32_t spikes = 0;
  std::uint32_t invalid = 0;
#pragma unroll
  for (std::uint32_t i = 0; i < thread_pieces; ++i) {
    const auto packed = pack_piece<DType::u8>(pieces[i], ValueKind::binary);
    halves[i] = packed.bits;
    invalid |= packed.invalid;
    spikes += count_bits(packed.bits);
  }
  // Two lanes exchange halves of words: the even one gets a word of 32 pieces, the odd one the same
  // word of the 32 after them.
  const bool odd = lane % 2 != 0;
#pragma unroll
  for (std::uint32_t i = 0; i < thread_pieces; i += 2) {
    const std::uint32_t other = __shfl_xor_sync(all_lanes, odd ? halves[i] : halves[i + 1], 1);
    const std::uint32_t word = odd ? other | halves[i + 1] << 16 : halves[i] | other << 16;
    words[(first + 32 * (odd ? i + 1 : i) + lane) / 2] = word;
  }
  if (invalid != 0) {
#pragma unroll
    for (std::uint32_t i = 0; i < thread_pieces; ++i) {
      report_bytes(status, pieces[i], 16 * (first + 32 * i + lane));
    }
  }
  wait_for_primary();
  add_to(&status->nnz, spikes);
}

void pack_rows(const CudaContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  check_space(spikes, Space::device);
  TileTask task = plan_tiles(spikes, order, 1);
  task.status = status;
  reset_tiles(context, task);
  if (spikes.shape.elements() == 0) return;
  const std::uint64_t blocks = spikes.shape.elements() / block_elements;
  if (spikes.storage == DType::u8 && words != nullptr && task.wide &&
      task.kind == ValueKind::binary && task.map.from == task.map.to &&
      blocks * block_elements == spikes.shape.elements() && blocks <= 0x7fffffffu) {
    return launch_dependent(context, pack_bytes, static_cast<unsigned>(blocks), tile_threads, 0,
                            static_cast<const uint4*>(spikes.data), words, status);
  }
  with_storage(spikes.storage, [&]<DType storage>() {
    launch_dependent(context, pack_tiles<storage>, tile_blocks(task), tile_threads,
                     packed_bytes<storage>, task, words);
  });
}

}  // namespace
}  // namespace cuda

BitRows pack(const CudaContext& context, const SpikeView& spikes, RowOrder order,
             std::uint32_t* words, EncodeStatus* status) {
  const SpikeShape& shape = spikes.shape;
  const bool packed = spikes.storage == DType::bit;
  cuda::pack_rows(context, spikes, order, packed ? nullptr : words, status);
  return {packed ? static_cast<const std::uint32_t*>(spikes.data) : words,
          shape.m(),
          shape.k,
          {shape.timesteps, shape.rows, packed ? spikes.row_order : order, order}};
}

void pack_into(const CudaContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  cuda::pack_rows(context, spikes, order, words, status);
}

}  // namespace spiketune
