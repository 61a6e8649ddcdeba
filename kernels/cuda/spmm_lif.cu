// Spikes → product → neurons → spikes: dispatch, and neurons at the end of the tiles of
// expand_mma.cuh. A lane's two rows of a tile are two time steps of a position, or one of two where
// T is 1.

#include "spiketune/kernels/spmm_lif.hpp"

#include <cstdint>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/expand_mma.cuh"
#include "spiketune/kernels/cuda/fire.cuh"

namespace spiketune {
namespace cuda {
namespace {

template <std::uint32_t steps_at_once>
struct FireRows {
  static constexpr std::uint32_t positions = mma::tile_m / steps_at_once;  ///< of a block

  FireTask task;

  [[nodiscard]] std::uint64_t tiles_m() const { return ceil_div(task.out.shape.rows, positions); }
  [[nodiscard]] __device__ std::uint32_t parts() const {
    return (task.out.shape.timesteps + steps_at_once - 1) / steps_at_once;
  }
  [[nodiscard]] __device__ Steps steps(const Bitmap& bitmap) const {
    const std::uint32_t t = task.out.shape.timesteps;
    return {bitmap, std::uint64_t{blockIdx.x} * positions * t,
            task.order == RowOrder::token_major ? positions * t / 64 : 0};
  }
  [[nodiscard]] __device__ static std::uint64_t position(int slot) {
    return std::uint64_t{blockIdx.x} * positions + threadIdx.x / 32 * (16 / steps_at_once) +
           8 * slot + threadIdx.x % 32 / 4;
  }
  [[nodiscard]] __device__ std::uint64_t row(std::uint32_t part, int below) const {
    return row_of_step(task, position(below / static_cast<int>(steps_at_once)),
                       part * steps_at_once + below % steps_at_once);
  }
  __device__ void put(const mma::Sums& sums, std::uint32_t part, std::uint32_t column) const {
    __shared__ float2 membranes[mma::tile_n / 8 * mma::threads];
    __shared__ ColumnPair pairs[mma::tile_n / 2 * mma::threads / 32];
    const LaneSums lane_sums{[&](int row, int i, int c) { return sums[i][2 * row + c]; },
                             [&](int slot) { return position(slot); },
                             part * steps_at_once,
                             column,
                             pairs + threadIdx.x / 32 * (mma::tile_n / 2),
                             membranes + threadIdx.x,
                             mma::threads};
    fire<2, steps_at_once, mma::tile_n>(task, lane_sums, threadIdx.x % 32);
  }
};

template <class W>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const FireTask& task) {
  task.out.shape.timesteps == 1 ? mma::launch<W>(context, bitmap, weights, FireRows<1>{task})
                                : mma::launch<W>(context, bitmap, weights, FireRows<2>{task});
}

void check_here(const Bitmap& bitmap, const WeightView& weights, const LifInput& input,
                const LifState& state, const SpikeView& out) {
  const auto require = [](bool holds, const char* message) {
    if (!holds) throw Error(ErrorCode::invalid_argument, message);
  };
  require(weights.type != DType::f32, "spmm_lif: W must be f16 or bf16");
  require(weights.n % 8 == 0, "spmm_lif: N must be a multiple of 8");
  for (const void* data :
       {weights.data, static_cast<const void*>(input.scales), static_cast<const void*>(input.bias),
        static_cast<const void*>(state.before), static_cast<const void*>(state.after)}) {
    require(reinterpret_cast<std::uintptr_t>(data) % 16 == 0,
            "spmm_lif: W, scales, bias and membranes must be aligned to 16 bytes");
  }
  require(reinterpret_cast<std::uintptr_t>(out.data) % 4 == 0,
          "spmm_lif: spikes must be aligned to 4 bytes");
  require(bitmap.layout.row_order == RowOrder::token_major || bitmap.words.size < 1ull << 32,
          "spmm_lif: time-major spikes must take less than 16 GB");
}

bool on_hopper(const CudaContext& context) {
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device));
  return major == 9;
}

}  // namespace
}  // namespace cuda

void spmm_lif(const CudaContext& context, const Bitmap& spikes, const WeightView& weights,
              const LifInput& input, const LifParams& params, const LifState& state,
              const MutableSpikeView& out) {
  check_spmm_lif(spikes, weights, params, out, Space::device);
  cuda::check_here(spikes, weights, input, state, out);
  if (out.shape.elements() == 0) return;
  const cuda::FireTask task = cuda::make_task(input, params, state, out, spikes.layout.row_order);
  if (weights.k != 0 && cuda::on_hopper(context)) {  // no tensor map has an empty side
    cuda::spmm_lif_on_hopper(context, spikes, weights, task);
  } else if (weights.type == DType::f16) {
    cuda::launch<Half>(context, spikes, weights, task);
  } else {
    cuda::launch<Bfloat16>(context, spikes, weights, task);
  }
}

}  // namespace spiketune
