#include "spiketune/encoders/ell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/slots.cuh"

namespace spiketune {
namespace cuda {
namespace {

struct EmitEll {
  static constexpr bool has_tail = false;
  Ell ell;
  ValueSource source;

  __device__ std::uint32_t width() const { return ell.width(); }
  __device__ void slots(const TileBits& bits, const std::uint32_t* staged, std::uint64_t first,
                        std::uint32_t count) const {
    write_slots(bits, staged, first, count, ell.column_indices, ell.values, source);
  }
};

/// Rows longer than a tile: a warp fills the slots of one from packed bits.
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

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Ell& ell) {
  WorkspaceCarver carver;
  if (!cuda::rows_fit(cuda::plan_tiles(spikes, ell.layout.row_order, 1))) {
    carver.take<std::uint32_t>(packed_words(spikes));
  }
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Ell& ell,
            Workspace workspace) {
  check_encode(spikes, ell, Space::device);
  const RowOrder order = ell.layout.row_order;
  const ValueSource source = value_source(spikes, order);
  const cuda::TileTask task = cuda::plan_tiles(spikes, order, 1);
  if (cuda::rows_fit(task)) {
    cuda::run_slots(context, spikes.storage, task, cuda::EmitEll{ell, source}, ell.status, nullptr);
    return;
  }
  WorkspaceCarver carver(workspace);
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), ell.status);
  if (bits.m == 0) return;  // pack() left needed at 0; there are no slots
  cuda::fill_rows<<<cuda::warp_blocks(bits.m), cuda::block_threads, 0, context.stream>>>(
      bits, source, ell);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Ell&, const MutableSpikeView&);

}  // namespace spiketune
