#include "spiketune/encoders/coo.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a nonzero, as in CSR, but it brings its row along and rows need no offsets.
struct EmitCoo {
  Coo coo;
  ValueSource source;

  __device__ std::uint32_t mask(const TileBits& bits, std::uint32_t row, std::uint32_t w) const {
    return bits.words[row * bits.words_per_row + w];
  }
  __device__ void store(std::uint64_t position, const TileBits& bits, std::uint32_t row,
                        std::uint32_t column) const {
    coo.row_indices[position] = static_cast<std::uint32_t>(bits.first_row + row);
    store_index(coo.column_indices, position, column);
    source.copy_to(coo.values, position, bits.first_row + row, column);
  }
  __device__ void rest(const TileBits&) const {}
  __device__ std::uint64_t capacity() const { return coo.capacity; }
};

TileTask plan_coo(const SpikeView& spikes, const Coo& coo) {
  return plan_tiles(spikes, coo.layout.row_order, 1, 1);
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Coo& coo) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::tile_states(cuda::plan_coo(spikes, coo)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Coo& coo,
            Workspace workspace) {
  check_encode(spikes, coo, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_coo(spikes, coo);
  auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitCoo{coo, value_source(spikes, coo.layout.row_order)}, nullptr,
                  coo.status, states);
}

template void decode(const CudaContext&, const Coo&, const MutableSpikeView&);

}  // namespace spiketune
