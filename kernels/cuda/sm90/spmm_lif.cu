// Neurons that fire at the end of the tiles of expand_tall.cuh.

#include "spiketune/kernels/cuda/sm90/expand_tall.cuh"
#include "spiketune/kernels/cuda/sm90/fire_rows.cuh"

namespace spiketune::cuda {
namespace {

template <class W>
void launch(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
            const FireTask& task) {
  switch (task.out.shape.timesteps) {
    case 1:
      return tall::launch<W>(context, bitmap, weights, FireRows<1>{task});
    case 2:
      return tall::launch<W>(context, bitmap, weights, FireRows<2>{task});
    default:
      return tall::launch<W>(context, bitmap, weights, FireRows<4>{task});
  }
}

}  // namespace

void spmm_lif_on_hopper(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                        const FireTask& task) {
  weights.type == DType::f16 ? launch<Half>(context, bitmap, weights, task)
                             : launch<Bfloat16>(context, bitmap, weights, task);
}

}  // namespace spiketune::cuda
