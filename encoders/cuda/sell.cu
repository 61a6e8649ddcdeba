#include "spiketune/encoders/sell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A block places the rows of a window. A row's rank is the number of rows in the window that go
/// before it: sigma comparisons a row, read from shared memory by all lanes at once, in place of a
/// sort. Leaves the slots of each slice in slice_offsets, and adds up those of all.
__global__ void place_windows(const std::uint32_t* lengths, const Sell sell) {
  __shared__ std::uint32_t length[Sell::largest_window];
  __shared__ std::uint32_t longest[Sell::largest_window];  // of each slice
  __shared__ unsigned long long slots;
  const std::uint32_t window = sell.window();
  const std::uint32_t height = sell.slice_height();
  const std::uint64_t begin = std::uint64_t{blockIdx.x} * window;
  const std::uint64_t left = sell.layout.m() - begin;
  const std::uint32_t rows = left < window ? static_cast<std::uint32_t>(left) : window;
  if (threadIdx.x == 0) slots = 0;
  for (std::uint32_t i = threadIdx.x; i < rows; i += blockDim.x) {
    length[i] = lengths[begin + i];
    longest[i] = 0;
  }
  __syncthreads();
  for (std::uint32_t i = threadIdx.x; i < rows; i += blockDim.x) {
    std::uint32_t rank = i;
    if (sell.params.sigma != 1) {
      rank = 0;
      for (std::uint32_t other = 0; other < rows; ++other) {
        rank += length[other] > length[i] || (length[other] == length[i] && other < i);
      }
      sell.ranks[begin + i] = static_cast<std::uint16_t>(rank);
    }
    atomicMax(&longest[rank / height], length[i]);
  }
  __syncthreads();
  for (std::uint32_t slice = threadIdx.x; slice * height < rows; slice += blockDim.x) {
    const std::uint64_t here = std::uint64_t{longest[slice]} * height;
    sell.slice_offsets[begin / height + slice] = static_cast<std::uint32_t>(here);
    atomicAdd(&slots, static_cast<unsigned long long>(here));
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&sell.status->needed), slots);
  }
}

/// A warp fills the slots of a row; rows behind the last are empty lanes.
__global__ void fill_slices(const BitRows bits, const ValueSource source,
                            const std::uint32_t* lengths, const Sell sell) {
  const std::uint64_t row = global_warp();
  const std::uint64_t height = sell.slice_height();
  if (row >= sell.slices() * height || sell.status->needed > sell.capacity) return;
  const std::uint64_t position = row < bits.m ? sell.position(row) : row;
  const std::uint64_t slice = position / height;
  const std::uint64_t first = sell.slice_offsets[slice] + position % height;
  const std::uint32_t width = sell.slice_width(slice);
  const std::uint32_t length = row < bits.m ? lengths[row] : 0;
  if (length != 0) {
    for_each_bit_by_warp(
        bits.words_per_row(), [&](std::uint32_t w) { return bits.word(row, w); },
        [&](std::uint32_t ordinal, std::uint32_t column) {
          const std::uint64_t slot = first + ordinal * height;
          store_index(sell.column_indices, slot, column);
          source.copy_to(sell.values, slot, row, column);
        });
  }
  for (std::uint64_t i = std::uint64_t{length} + threadIdx.x % 32; i < width; i += 32) {
    detail::store_padding(sell.column_indices, sell.values, first + i * height);
  }
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Sell& sell)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        lengths(carver.take<std::uint32_t>(spikes.shape.m())),
        scan_size(scan_bytes(sell.slice_offsets.size)),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint32_t* words;
  std::uint32_t* lengths;
  std::size_t scan_size;
  void* scan;
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Sell& sell) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes, sell);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Sell& sell,
            Workspace workspace) {
  check_encode(spikes, sell, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes, sell);
  const RowOrder order = sell.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, sell.status);
  fill(context, sell.slice_offsets.data + sell.slices(), 0, sizeof(std::uint32_t));
  if (bits.m == 0) return;  // slice_offsets is the one 0
  cuda::count_rows<<<cuda::warp_blocks(bits.m), cuda::block_threads, 0, context.stream>>>(
      bits, scratch.lengths);
  cuda::check_launch();
  const auto windows = static_cast<unsigned>(ceil_div(bits.m, sell.window()));
  cuda::place_windows<<<windows, cuda::block_threads, 0, context.stream>>>(scratch.lengths, sell);
  cuda::check_launch();
  cuda::exclusive_scan(context, sell.slice_offsets.data, sell.slice_offsets.size, scratch.scan,
                       scratch.scan_size);
  cuda::fill_slices<<<cuda::warp_blocks(sell.slices() * sell.slice_height()), cuda::block_threads,
                      0, context.stream>>>(bits, value_source(spikes, order), scratch.lengths,
                                           sell);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Sell&, const MutableSpikeView&);

}  // namespace spiketune
