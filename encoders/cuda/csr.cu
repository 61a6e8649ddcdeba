#include "spiketune/encoders/csr.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

__global__ void expand_csr(const BitRows bits, const ValueSource source, const Csr csr) {
  const std::uint64_t row = global_warp();
  if (row == 0 && threadIdx.x == 0) csr.status->needed = csr.status->nnz;
  if (row >= bits.m || csr.status->nnz > csr.capacity) return;
  const std::uint64_t begin = csr.row_offsets[row];
  for_each_bit_by_warp(
      bits.words_per_row(), [&](std::uint32_t w) { return bits.word(row, w); },
      [&](std::uint32_t ordinal, std::uint32_t column) {
        store_index(csr.column_indices, begin + ordinal, column);
        source.copy_to(csr.values, begin + ordinal, row, column);
      });
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Csr& csr)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        scan_size(scan_bytes(csr.row_offsets.size)),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint32_t* words;
  std::size_t scan_size;
  void* scan;
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Csr& csr) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes, csr);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Csr& csr,
            Workspace workspace) {
  check_encode(spikes, csr, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes, csr);
  const RowOrder order = csr.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, csr.status);
  const unsigned blocks = cuda::warp_blocks(bits.m);
  fill(context, csr.row_offsets.data + bits.m, 0, sizeof(std::uint32_t));
  cuda::count_rows<<<blocks, cuda::block_threads, 0, context.stream>>>(bits, csr.row_offsets.data);
  cuda::check_launch();
  cuda::exclusive_scan(context, csr.row_offsets.data, csr.row_offsets.size, scratch.scan,
                       scratch.scan_size);
  cuda::expand_csr<<<blocks, cuda::block_threads, 0, context.stream>>>(
      bits, value_source(spikes, order), csr);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Csr&, const MutableSpikeView&);

}  // namespace spiketune
