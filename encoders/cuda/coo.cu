#include "spiketune/encoders/coo.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/place.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a nonzero, as in CSR, but it brings its row along and rows need no offsets.
struct EmitCoo {
  static constexpr bool each_spike = true;
  static constexpr bool unites_rows = false;
  static constexpr bool needs_spare = false;
  Coo coo;
  ValueSource source;

  __device__ const std::uint32_t* units(const TileBits& bits, std::uint32_t*, Tally*) const {
    return bits.words;
  }
  __device__ void store(const TileBits& bits, const Units& units, const std::uint32_t*,
                        std::uint64_t first) const {
    const auto row = [&](std::uint32_t unit) {
      return static_cast<std::uint32_t>(bits.first_row) + group_of(unit);
    };
    const std::uint32_t first_column = 32 * bits.first_word;
    store_units(
        units, first, coo.capacity, coo.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = first_column + column_of(unit);
          coo.row_indices[at] = row(unit);
          store_index(coo.column_indices, at, column);
          source.copy_to(coo.values, at, bits.first_row + group_of(unit), column);
        },
        [&](std::uint64_t at, const std::uint32_t(&of)[per_store]) {
          store_rows(coo.row_indices.data, at, of, static_cast<std::uint32_t>(bits.first_row));
          store_columns(coo.column_indices, at, of, first_column);
        });
  }
};

TileTask plan_coo(const SpikeView& spikes, const Coo& coo) {
  return plan_tiles(spikes, coo.layout.row_order, 1);
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
