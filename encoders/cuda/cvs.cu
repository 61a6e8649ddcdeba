#include "spiketune/encoders/cvs.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/tile.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a vector: a column in which some row of the group has a spike.
struct EmitCvs {
  Cvs cvs;
  ValueSource source;

  __device__ std::uint32_t mask(const TileBits& bits, std::uint32_t group, std::uint32_t w) const {
    const std::uint32_t v = cvs.vector();
    std::uint32_t any = 0;
    for (std::uint32_t r = 0; r < v; ++r) any |= bits.word(group * v + r, w);
    return any;
  }
  __device__ void store(std::uint64_t position, const TileBits& bits, std::uint32_t group,
                        std::uint32_t column) const {
    const std::uint32_t v = cvs.vector();
    const std::uint32_t w = column / 32 - bits.first_word;
    std::uint32_t spikes = 0;
    for (std::uint32_t r = 0; r < v; ++r) {
      spikes |= (bits.word(group * v + r, w) >> (column % 32) & 1u) << r;
    }
    store_index(cvs.column_indices, position, column);
    cvs.store_mask(position, spikes);
    if (cvs.values.type == DType::bit) return;
    for (std::uint32_t r = 0; r < v; ++r) {
      copy_or_clear(source, cvs.values, position * v + r, bits.first_row + group * v + r, column,
                    (spikes >> r & 1u) != 0);
    }
  }
  __device__ void rest(const TileBits&) const {}
  __device__ std::uint64_t capacity() const { return cvs.capacity; }
};

TileTask plan_cvs(const SpikeView& spikes, const Cvs& cvs) {
  return plan_tiles(spikes, cvs.layout.row_order, cvs.vector(), 1);
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Cvs& cvs) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::tile_states(cuda::plan_cvs(spikes, cvs)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace) {
  check_encode(spikes, cvs, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_cvs(spikes, cvs);
  auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitCvs{cvs, value_source(spikes, cvs.layout.row_order)},
                  cvs.vector_offsets.data, cvs.status, states);
}

template void decode(const CudaContext&, const Cvs&, const MutableSpikeView&);

}  // namespace spiketune
