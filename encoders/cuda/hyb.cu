#include "spiketune/encoders/hyb.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/slots.cuh"

namespace spiketune {
namespace cuda {
namespace {

struct EmitHyb {
  Hyb hyb;
  ValueSource source;

  __device__ std::uint32_t width() const { return hyb.width(); }
  __device__ void slots(const TileBits& bits, const std::uint32_t* staged, std::uint64_t first,
                        std::uint32_t count) const {
    write_slots(bits, staged, first, count, hyb.column_indices, hyb.values, source);
  }
  __device__ void tail(const TileBits& bits, const std::uint32_t* staged, std::uint64_t first,
                       std::uint32_t count) const {
    const auto row = [&](std::uint32_t unit) {
      return static_cast<std::uint32_t>(bits.first_row) + group_of(unit);
    };
    store_staged(
        staged, first, count, hyb.capacity, hyb.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          hyb.tail_row_indices[at] = row(unit);
          store_index(hyb.tail_column_indices, at, column_of(unit));
          source.copy_to(hyb.tail_values, at, row(unit), column_of(unit));
        },
        [&](std::uint64_t at, const uint4& units) {
          reinterpret_cast<uint4*>(hyb.tail_row_indices.data)[at / 4] = {
              row(units.x), row(units.y), row(units.z), row(units.w)};
          store_four_columns(hyb.tail_column_indices, at, units, 0);
        });
  }
};

// Rows longer than a tile: packed first, then a warp for each.

__global__ void count_tails(const BitRows bits, std::uint32_t width, std::uint64_t* counts) {
  const std::uint64_t row = global_warp();
  if (row >= bits.m) return;
  const std::uint32_t count = row_count(bits, row);
  if (threadIdx.x % 32 == 0) counts[row] = count > width ? count - width : 0;
}

__global__ void expand_hyb(const BitRows bits, const ValueSource source,
                           const std::uint64_t* tail_offsets, const Hyb hyb) {
  const std::uint64_t row = global_warp();
  const std::uint64_t needed = tail_offsets[bits.m];
  if (row == 0 && threadIdx.x == 0) hyb.status->needed = needed;
  if (row >= bits.m || needed > hyb.capacity) return;
  const std::uint32_t width = hyb.width();
  const std::uint64_t first = row * width;
  const std::uint64_t tail = tail_offsets[row];
  std::uint32_t mine = 0;
  for_each_bit_by_warp(
      bits.words_per_row(), [&](std::uint32_t w) { return bits.word(row, w); },
      [&](std::uint32_t ordinal, std::uint32_t column) {
        ++mine;
        if (ordinal < width) {
          store_index(hyb.column_indices, first + ordinal, column);
          source.copy_to(hyb.values, first + ordinal, row, column);
        } else {
          const std::uint64_t at = tail + (ordinal - width);
          hyb.tail_row_indices[at] = static_cast<std::uint32_t>(row);
          store_index(hyb.tail_column_indices, at, column);
          source.copy_to(hyb.tail_values, at, row, column);
        }
      });
  for (std::uint64_t i = std::uint64_t{warp_sum(mine)} + threadIdx.x % 32; i < width; i += 32) {
    detail::store_padding(hyb.column_indices, hyb.values, first + i);
  }
}

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        tail_offsets(carver.take<std::uint64_t>(spikes.shape.m() + 1)),
        scan_size(scan_bytes<std::uint64_t>(spikes.shape.m() + 1)),
        scan(carver.take<std::byte>(scan_size)) {}
  std::uint32_t* words;
  std::uint64_t* tail_offsets;
  std::size_t scan_size;
  void* scan;
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Hyb& hyb) {
  WorkspaceCarver carver;
  const cuda::TileTask task = cuda::plan_tiles(spikes, hyb.layout.row_order, 1);
  if (cuda::rows_fit(task)) {
    carver.take<std::uint64_t>(cuda::tile_states(task));
  } else {
    cuda::Scratch(carver, spikes);
  }
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Hyb& hyb,
            Workspace workspace) {
  check_encode(spikes, hyb, Space::device);
  WorkspaceCarver carver(workspace);
  const RowOrder order = hyb.layout.row_order;
  const ValueSource source = value_source(spikes, order);
  const cuda::TileTask task = cuda::plan_tiles(spikes, order, 1);
  if (cuda::rows_fit(task)) {
    auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
    cuda::run_slots(context, spikes.storage, task, cuda::EmitHyb{hyb, source}, hyb.status, states);
    return;
  }
  const cuda::Scratch scratch(carver, spikes);
  const BitRows bits = pack(context, spikes, order, scratch.words, hyb.status);
  if (bits.m == 0) return;  // pack() left needed at 0; there are no slots
  const unsigned blocks = cuda::warp_blocks(bits.m);
  fill(context, scratch.tail_offsets + bits.m, 0, sizeof(std::uint64_t));
  cuda::count_tails<<<blocks, cuda::block_threads, 0, context.stream>>>(bits, hyb.width(),
                                                                        scratch.tail_offsets);
  cuda::check_launch();
  cuda::exclusive_scan(context, scratch.tail_offsets, bits.m + 1, scratch.scan, scratch.scan_size);
  cuda::expand_hyb<<<blocks, cuda::block_threads, 0, context.stream>>>(bits, source,
                                                                       scratch.tail_offsets, hyb);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Hyb&, const MutableSpikeView&);

}  // namespace spiketune
