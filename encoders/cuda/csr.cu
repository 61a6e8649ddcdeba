#include "spiketune/encoders/csr.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/place.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a nonzero; the words of units are the packed rows themselves.
struct EmitCsr {
  static constexpr bool each_spike = true;
  static constexpr bool unites_rows = false;
  static constexpr bool needs_spare = false;
  Csr csr;
  ValueSource source;

  __device__ const std::uint32_t* units(const TileBits& bits, std::uint32_t*, Tally*) const {
    return bits.words;
  }
  __device__ void store(const TileBits& bits, const Units& units, const std::uint32_t*,
                        std::uint64_t first) const {
    const std::uint32_t first_column = 32 * bits.first_word;
    store_units(
        units, first, csr.capacity, csr.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = first_column + column_of(unit);
          store_index(csr.column_indices, at, column);
          source.copy_to(csr.values, at, bits.first_row + group_of(unit), column);
        },
        [&](std::uint64_t at, const std::uint32_t(&of)[per_store]) {
          store_columns(csr.column_indices, at, of, first_column);
        });
  }
};

TileTask plan_csr(const SpikeView& spikes, const Csr& csr) {
  return plan_tiles(spikes, csr.layout.row_order, 1);
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
