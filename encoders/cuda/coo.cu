#include "spiketune/encoders/coo.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

__global__ void count_entries(const BitRows bits, std::uint64_t* counts) {
  const std::uint64_t row = global_warp();
  if (row >= bits.m) return;
  const std::uint32_t count = row_count(bits, row);
  if (threadIdx.x % 32 == 0) counts[row] = count;
}

__global__ void expand_coo(const BitRows bits, const ValueSource source,
                           const std::uint64_t* row_offsets, const Coo coo) {
  const std::uint64_t row = global_warp();
  if (row == 0 && threadIdx.x == 0) coo.status->needed = coo.status->nnz;
  if (row >= bits.m || coo.status->nnz > coo.capacity) return;
  const std::uint64_t begin = row_offsets[row];
  for_each_bit_by_warp(
      bits.words_per_row(), [&](std::uint32_t w) { return bits.word(row, w); },
      [&](std::uint32_t ordinal, std::uint32_t column) {
        coo.row_indices[begin + ordinal] = static_cast<std::uint32_t>(row);
        store_index(coo.column_indices, begin + ordinal, column);
        source.copy_to(coo.values, begin + ordinal, row, column);
      });
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        row_offsets(carver.take<std::uint64_t>(spikes.shape.m())),
        scan_size(scan_bytes<std::uint64_t>(spikes.shape.m())),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint32_t* words;
  std::uint64_t* row_offsets;
  std::size_t scan_size;
  void* scan;
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Coo&) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Coo& coo,
            Workspace workspace) {
  check_encode(spikes, coo, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes);
  const RowOrder order = coo.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, coo.status);
  if (spikes.shape.elements() == 0) return;  // pack() left needed at 0
  const unsigned blocks = cuda::warp_blocks(bits.m);
  cuda::count_entries<<<blocks, cuda::block_threads, 0, context.stream>>>(bits,
                                                                          scratch.row_offsets);
  cuda::check_launch();
  cuda::exclusive_scan(context, scratch.row_offsets, bits.m, scratch.scan, scratch.scan_size);
  cuda::expand_coo<<<blocks, cuda::block_threads, 0, context.stream>>>(
      bits, value_source(spikes, order), scratch.row_offsets, coo);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Coo&, const MutableSpikeView&);

}  // namespace spiketune
