#include "spiketune/encoders/coo.hpp"

#include "spiketune/encoders/cuda/batches.cuh"
#include "spiketune/encoders/cuda/decode.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a nonzero, as in CSR, but it brings its row along and rows need no offsets.
struct EmitCoo {
  static constexpr bool each_spike = true;
  Coo coo;
  ValueSource source;

  [[nodiscard]] bool is_pattern() const { return coo.values.type == DType::bit; }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& strip, const StripUnits<storage>& units,
                        std::uint64_t first) const {
    store_strip<storage>(
        units, first, coo.capacity, pattern || coo.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint64_t row = strip.first_row + strip.row_of(unit);
          const std::uint32_t column = strip.column_of(unit);
          coo.row_indices[at] = static_cast<std::uint32_t>(row);
          store_index(coo.column_indices, at, column);
          if constexpr (pattern) return;
          source.copy_to(coo.values, at, row, column);
        },
        [&](std::uint64_t at, const uint4& eight) {
          store_rows(strip, coo.row_indices.data, at, eight);
          store_columns(strip, coo.column_indices, at, eight);
        });
  }
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Coo& coo) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::strip_states(cuda::plan_strips(spikes, coo.layout.row_order)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Coo& coo,
            Workspace workspace) {
  check_encode(spikes, coo, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_strips(spikes, coo.layout.row_order);
  auto* states = carver.take<std::uint64_t>(cuda::strip_states(task));
  cuda::run_strips(context, spikes.storage, task,
                   cuda::EmitCoo{coo, value_source(spikes, coo.layout.row_order)}, nullptr,
                   coo.status, states);
}

template void decode(const CudaContext&, const Coo&, const MutableSpikeView&);

}  // namespace spiketune
