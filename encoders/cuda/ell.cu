#include "spiketune/encoders/ell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/slots.cuh"

namespace spiketune {
namespace cuda {
namespace {

struct EllSlots {
  Ell format;
  ValueSource source;

  template <DType storage, class Start>
  __device__ std::uint32_t rest(const Strip&, std::uint32_t, const SlotRange&,
                                const StripUnits<storage>&, Start&&) const {
    return 0;
  }
  __device__ void finish(std::uint32_t longest, std::uint32_t) const {
    raise_to(&format.status->needed, longest);
  }
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView&, const Ell&) {
  return 0;
}

void encode(const CudaContext& context, const SpikeView& spikes, const Ell& ell, Workspace) {
  check_encode(spikes, ell, Space::device);
  const RowOrder order = ell.layout.row_order;
  cuda::TileTask task = cuda::plan_strips(spikes, order);
  task.status = ell.status;
  cuda::check_strips(task);
  cuda::reset_tiles(context, task, 0);
  if (task.tiles == 0) return;
  cuda::run_slots(context, spikes.storage, task, cuda::EllSlots{ell, value_source(spikes, order)},
                  ell.values.type == DType::bit);
}

template void decode(const CudaContext&, const Ell&, const MutableSpikeView&);

}  // namespace spiketune
