#include "spiketune/encoders/csr.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a nonzero; the words of units are the packed rows themselves.
struct EmitCsr {
  Csr csr;
  ValueSource source;

  __device__ std::uint32_t mask(const TileBits& bits, std::uint32_t row, std::uint32_t w) const {
    return bits.words[row * bits.words_per_row + w];
  }
  __device__ void store(std::uint64_t position, const TileBits& bits, std::uint32_t row,
                        std::uint32_t column) const {
    store_index(csr.column_indices, position, column);
    source.copy_to(csr.values, position, bits.first_row + row, column);
  }
  __device__ void rest(const TileBits&) const {}
  __device__ std::uint64_t capacity() const { return csr.capacity; }
};

TileTask plan_csr(const SpikeView& spikes, const Csr& csr) {
  return plan_tiles(spikes, csr.layout.row_order, 1, 1);
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Csr& csr) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::tile_states(cuda::plan_csr(spikes, csr)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Csr& csr,
            Workspace workspace) {
  check_encode(spikes, csr, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_csr(spikes, csr);
  auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitCsr{csr, value_source(spikes, csr.layout.row_order)},
                  csr.row_offsets.data, csr.status, states);
}

template void decode(const CudaContext&, const Csr&, const MutableSpikeView&);

}  // namespace spiketune
