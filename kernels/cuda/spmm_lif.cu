// Spikes → product → neurons → spikes: dispatch, and W of f16 or bf16 before Hopper.

#include "spiketune/kernels/spmm_lif.hpp"

#include <cstdint>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/cuda/expand_imma.cuh"
#include "spiketune/kernels/cuda/expand_mma.cuh"
#include "spiketune/kernels/cuda/fire_rows.cuh"

namespace spiketune {
namespace cuda {
namespace {

template <class W>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const FireTask& task) {
  task.out.shape.timesteps == 1 ? mma::launch<W>(context, bitmap, weights, FireRows<1>{task})
                                : mma::launch<W>(context, bitmap, weights, FireRows<2>{task});
}

void check_here(const Bitmap& bitmap, const WeightView& weights, const LifInput& input,
                const LifState& state, const SpikeView& out, const LifSurrogate& surrogate) {
  const auto require = [](bool holds, const char* message) {
    if (!holds) throw Error(ErrorCode::invalid_argument, message);
  };
  require(weights.type != DType::f32, "spmm_lif: W must be f16, bf16, s8 or s4");
  require(!is_quantised(weights.type) || weights.k <= ExpandImma::largest_k,
          "spmm_lif: K must be at most 16777216: sums are s32");
  require(weights.n % 8 == 0, "spmm_lif: N must be a multiple of 8");
  for (const void* data :
       {weights.data, static_cast<const void*>(weights.scales),
        static_cast<const void*>(input.scales), static_cast<const void*>(input.bias),
        static_cast<const void*>(state.before), static_cast<const void*>(state.after)}) {
    require(reinterpret_cast<std::uintptr_t>(data) % 16 == 0,
            "spmm_lif: W, scales, bias and membranes must be aligned to 16 bytes");
  }
  for (const void* data : {out.data, static_cast<const void*>(surrogate.near)}) {
    require(reinterpret_cast<std::uintptr_t>(data) % 4 == 0,
            "spmm_lif: spikes must be aligned to 4 bytes");
  }
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
              const MutableSpikeView& out, Workspace workspace, const LifSurrogate& surrogate) {
  check_spmm_lif(spikes, weights, params, out, surrogate, Space::device);
  cuda::check_here(spikes, weights, input, state, out, surrogate);
  const bool quantised = is_quantised(weights.type);
  cuda::ByteColumns columns(weights);
  if (quantised) {
    WorkspaceCarver carver(workspace);
    columns.carve(carver);
  }
  if (out.shape.elements() == 0) return;
  const cuda::FireTask task =
      cuda::make_task(weights, input, params, state, out, surrogate, spikes.layout.row_order);
  const bool hopper =
      weights.k != 0 && cuda::on_hopper(context);  // no tensor map has an empty side
  if (quantised) {
    hopper ? cuda::spmm_lif_of_bytes_on_hopper(context, spikes, columns, weights, task)
           : cuda::spmm_lif_of_bytes(context, spikes, columns, weights, task);
  } else if (hopper) {
    cuda::spmm_lif_on_hopper(context, spikes, weights, task);
  } else if (weights.type == DType::f16) {
    cuda::launch<Half>(context, spikes, weights, task);
  } else {
    cuda::launch<Bfloat16>(context, spikes, weights, task);
  }
}

std::size_t spmm_lif_workspace_bytes(const CudaContext&, const WeightView& weights) {
  if (!is_quantised(weights.type)) return 0;
  WorkspaceCarver carver;
  cuda::ByteColumns(weights).carve(carver);
  return carver.bytes();
}

void prepare_spmm_lif(const CudaContext& context, const WeightView& weights, Workspace workspace) {
  if (is_quantised(weights.type)) prepare(context, weights, ExpandImma{}, workspace);
}

}  // namespace spiketune
