#include "spiketune/encoders/ell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// One pass: slots are where they are whatever the other rows hold.
__global__ void fill_rows(const BitRows bits, const ValueSource source, const Ell ell) {
  const std::uint64_t row = global_warp();
  if (row >= bits.m) return;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t width = ell.width();
  const std::uint64_t first = row * width;
  std::uint32_t mine = 0;
  for_each_bit_by_warp(
      bits.words_per_row(), [&](std::uint32_t w) { return bits.word(row, w); },
      [&](std::uint32_t ordinal, std::uint32_t column) {
        ++mine;
        if (ordinal >= width) return;
        store_index(ell.column_indices, first + ordinal, column);
        source.copy_to(ell.values, first + ordinal, row, column);
      });
  const std::uint32_t length = warp_sum(mine);
  for (std::uint64_t i = std::uint64_t{length} + lane; i < width; i += 32) {
    detail::store_padding(ell.column_indices, ell.values, first + i);
  }
  // Few rows are longer than all before them: a look spares the others the atomic.
  auto* longest = reinterpret_cast<unsigned long long*>(&ell.status->needed);
  if (lane == 0 && length > *static_cast<volatile unsigned long long*>(longest)) {
    atomicMax(longest, static_cast<unsigned long long>(length));
  }
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Ell&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Ell& ell,
            Workspace workspace) {
  check_encode(spikes, ell, Space::device);
  WorkspaceCarver carver(workspace);
  const RowOrder order = ell.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), ell.status);
  if (spikes.shape.elements() == 0) return;  // pack() left needed at 0; there are no slots
  cuda::fill_rows<<<cuda::warp_blocks(bits.m), cuda::block_threads, 0, context.stream>>>(
      bits, value_source(spikes, order), ell);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Ell&, const MutableSpikeView&);

}  // namespace spiketune
