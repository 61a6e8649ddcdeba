#include "spiketune/encoders/csr.hpp"

#include "spiketune/encoders/cuda/batches.cuh"
#include "spiketune/encoders/cuda/decode.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a nonzero.
struct EmitCsr {
  static constexpr bool each_spike = true;
  Csr csr;
  ValueSource source;

  [[nodiscard]] bool is_pattern() const { return csr.values.type == DType::bit; }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& strip, const StripUnits<storage>& units,
                        std::uint64_t first) const {
    store_strip<storage>(
        units, first, csr.capacity, pattern || csr.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = strip.column_of(unit);
          store_index(csr.column_indices, at, column);
          if constexpr (pattern) return;
          source.copy_to(csr.values, at, strip.first_row + strip.row_of(unit), column);
        },
        [&](std::uint64_t at, const uint4& eight) {
          store_columns(strip, csr.column_indices, at, eight);
        });
  }
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Csr& csr) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::strip_states(cuda::plan_strips(spikes, csr.layout.row_order)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Csr& csr,
            Workspace workspace) {
  check_encode(spikes, csr, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_strips(spikes, csr.layout.row_order);
  auto* states = carver.take<std::uint64_t>(cuda::strip_states(task));
  cuda::run_strips(context, spikes.storage, task,
                   cuda::EmitCsr{csr, value_source(spikes, csr.layout.row_order)},
                   csr.row_offsets.data, csr.status, states);
}

template void decode(const CudaContext&, const Csr&, const MutableSpikeView&);

}  // namespace spiketune
