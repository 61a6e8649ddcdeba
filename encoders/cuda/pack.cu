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
  wait_for_reset();
  add_to(&task.status->nnz, spikes);
}

void pack_rows(const CudaContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  check_space(spikes, Space::device);
  TileTask task = plan_tiles(spikes, order, 1);
  task.status = status;
  reset_tiles(context, task);
  if (spikes.shape.elements() == 0) return;
  with_storage(spikes.storage, [&]<DType storage>() {
    launch_after_reset(context, pack_tiles<storage>, tile_blocks(task), tile_threads,
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
