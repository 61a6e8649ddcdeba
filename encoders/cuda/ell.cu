#include "spiketune/encoders/ell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/slots.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// Packed input takes few registers, and more warps to have as many bytes on their way.
template <DType storage>
inline constexpr int slot_blocks_per_sm = bits_of(storage) < 8 ? 3 : 2;

/// Of a warp, in shared memory.
template <DType storage>
struct alignas(16) SlotFiller {
  StripMemory<storage> bits;
  std::uint32_t starts[strip_words<storage> + 1];  ///< units before each row
  alignas(16) std::uint16_t staged[strip_window<storage> + 8];
};

/// A warp fills the slots of some rows, or of one that it takes part by part, while the input of
/// the next is on its way. It waits for no other: where a row's slots are does not depend on
/// others. Bytes: the input once and the slots once. Bound by memory.
template <DType storage, bool quick>
__global__ void __launch_bounds__(strip_threads, slot_blocks_per_sm<storage>)
    fill_slots(const __grid_constant__ TileTask task, const __grid_constant__ Ell ell,
               const __grid_constant__ ValueSource source) {
  constexpr std::uint32_t owned = owned_words<storage>;
  extern __shared__ uint4 shared[];
  const std::uint32_t lane = threadIdx.x % 32;
  SlotFiller<storage>& mine = reinterpret_cast<SlotFiller<storage>*>(shared)[threadIdx.x / 32];
  std::uint32_t* words = mine.bits.words;
  const std::uint32_t width = ell.width();
  const auto strips = static_cast<std::uint32_t>(task.tiles);
  const std::uint32_t stride = gridDim.x * strip_warps * task.parts;
  std::uint32_t index = (blockIdx.x * strip_warps + threadIdx.x / 32) * task.parts;
  Strip strip(task, index, nullptr);
  RegisterPieces<storage> pieces;
  if constexpr (quick) pieces.load(task, strip);
  wait_for_primary();

  std::uint32_t spikes = 0;   // of this lane's words
  std::uint32_t longest = 0;  // of the rows that this lane has looked at
  std::uint32_t part = 0;
  std::uint32_t before = 0;  // spikes of the row in earlier parts
  while (index < strips) {
    pack_strip<storage, quick>(task, strip, pieces, words);
    __syncwarp();
    const Strip here = strip;
    const bool last = part + 1 == task.parts;
    index = last ? index - part + stride : index + 1;
    if (index < strips) {
      strip = Strip(task, index, nullptr);
      if constexpr (quick) pieces.load(task, strip);
    }
    std::uint32_t own[owned];
    load_words<owned>(words + lane * owned, own);
    std::uint32_t count = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) count += count_bits(own[i]);
    spikes += count;
    const std::uint32_t of_lanes = warp_exclusive_sum(count);
    mine.bits.before[lane] = of_lanes;
    const std::uint32_t total = __shfl_sync(all_lanes, of_lanes + count, 31);
    const StripUnits<storage> units{total, &mine.bits, mine.staged};
    SlotRange range{width, before, 0, here.rows * width, true};
    if (here.one_row()) {
      before += total;
      range.all_fit = before <= width;
      range.begin = std::min(range.before, width);
      range.end = last ? width : std::min(before, width);
      if (last) longest = std::max(longest, before);
    } else {
      __syncwarp();
      for (std::uint32_t row = lane; row < here.rows; row += 32) {
        mine.starts[row] = units.before_word(row * here.words_per_row);
      }
      if (lane == 0) mine.starts[here.rows] = total;
      __syncwarp();
      std::uint32_t most = 0;
      for (std::uint32_t row = lane; row < here.rows; row += 32) {
        most = std::max(most, mine.starts[row + 1] - mine.starts[row]);
      }
      longest = std::max(longest, most);
      range.all_fit = __all_sync(all_lanes, most <= width) != 0;
    }
    fill_strip<storage, quick>(ell, source, here, range, units,
                               [&](std::uint32_t row) { return mine.starts[row]; });
    part = last ? 0 : part + 1;
    if (last) before = 0;
  }
  add_to(&task.status->nnz, spikes);
  raise_to(&task.status->needed, longest);
}

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
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    const auto kernel = cuda::is_quick(task) && ell.values.type == DType::bit
                            ? cuda::fill_slots<storage, true>
                            : cuda::fill_slots<storage, false>;
    const std::size_t bytes = cuda::strip_warps * sizeof(cuda::SlotFiller<storage>);
    cuda::allow_shared(kernel, bytes);
    const auto blocks =
        static_cast<unsigned>(ceil_div(ceil_div(task.tiles, task.parts), cuda::strip_warps));
    cuda::launch_dependent(
        context, kernel,
        std::min(blocks, cuda::resident_blocks(context, cuda::slot_blocks_per_sm<storage>)),
        cuda::strip_threads, bytes, task, ell, value_source(spikes, order));
  });
}

template void decode(const CudaContext&, const Ell&, const MutableSpikeView&);

}  // namespace spiketune
