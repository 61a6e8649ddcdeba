#include "spiketune/encoders/bitmap.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A block of 128 threads makes one tile: thread i its word i.
__global__ void encode_tiles(const BitRows bits, const Bitmap bitmap) {
  const std::uint64_t columns = bitmap.tile_columns();
  for (std::uint64_t tile = blockIdx.x; tile < bitmap.occupied.size; tile += gridDim.x) {
    const std::uint64_t row = tile / columns * Bitmap::tile_size + threadIdx.x / 2;
    const auto w = static_cast<std::uint32_t>(tile % columns * 2 + threadIdx.x % 2);
    const std::uint32_t word = row < bits.m && w < bits.words_per_row() ? bits.word(row, w) : 0;
    bitmap.words[tile * 2 * Bitmap::tile_size + threadIdx.x] = word;
    const int any = __syncthreads_or(word != 0);
    if (threadIdx.x == 0) bitmap.occupied[tile] = any != 0;
  }
}

__global__ void scatter_values(const BitRows bits, const ValueSource source, const Bitmap bitmap) {
  const std::uint64_t row = global_warp();
  if (row >= bits.m) return;
  for_each_bit_by_warp(
      bits.words_per_row(), [&](std::uint32_t w) { return bits.word(row, w); },
      [&](std::uint32_t, std::uint32_t column) {
        source.copy_to(bitmap.values, row * bits.k + column, row, column);
      });
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes,
                                   const Bitmap& bitmap) {
  WorkspaceCarver carver;
  if (bitmap.params.tiles) {
    carver.take<std::uint32_t>(packed_words(spikes));
  }
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Bitmap& bitmap,
            Workspace workspace) {
  check_encode(spikes, bitmap, Space::device);
  const RowOrder order = bitmap.layout.row_order;
  BitRows bits{bitmap.words.data,
               spikes.shape.m(),
               spikes.shape.k,
               {spikes.shape.timesteps, spikes.shape.rows, order, order}};
  if (!bitmap.params.tiles) {
    pack_into(context, spikes, order, bitmap.words.data, bitmap.status);
  } else {
    WorkspaceCarver carver(workspace);
    bits = pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)),
                bitmap.status);
    if (bitmap.occupied.size != 0) {
      const auto blocks = std::min<std::uint64_t>(bitmap.occupied.size, 1u << 20);
      cuda::
          encode_tiles<<<static_cast<unsigned>(blocks), 2 * Bitmap::tile_size, 0, context.stream>>>(
              bits, bitmap);
      cuda::check_launch();
    }
  }
  if (bitmap.values.type == DType::bit) return;
  fill(context, bitmap.values.data, 0, bitmap.values.bytes());
  cuda::scatter_values<<<cuda::warp_blocks(bits.m), cuda::block_threads, 0, context.stream>>>(
      bits, value_source(spikes, order), bitmap);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Bitmap&, const MutableSpikeView&);

}  // namespace spiketune
