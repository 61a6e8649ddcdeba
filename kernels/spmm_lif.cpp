#include "spiketune/kernels/spmm_lif.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

void require(bool holds, const char* message) {
  if (!holds) throw Error(ErrorCode::invalid_argument, message);
}

}  // namespace

MutableSpikeView words_of(const Bitmap& bitmap, Space space) {
  if (bitmap.params.tiles || bitmap.layout.value_type != DType::bit) {
    throw Error(ErrorCode::invalid_argument,
                "words_of: the bitmap must be in rows, not in tiles, and hold no values");
  }
  return {bitmap.words.data, bitmap.layout.shape,     DType::bit,
          ValueKind::binary, bitmap.layout.row_order, space};
}

void check_spmm_lif(const Bitmap& spikes, const WeightView& weights, const LifParams& params,
                    const SpikeView& out, const LifSurrogate& surrogate, Space space) {
  require(weights.type != DType::e4m3, "spmm_lif: W must be f32, f16, bf16, s8 or s4");
  require(spikes.layout.value_type == DType::bit, "spmm_lif: spikes must be binary");
  const SpikeShape& shape = spikes.layout.shape;
  check_neurons({shape.timesteps, shape.rows, weights.n}, params, out, space);
  check_spmm(spikes, weights,
             {const_cast<void*>(out.data), DType::f32, shape.m(), weights.n, space}, space);
  if (surrogate.near == nullptr) return;
  require(out.storage == DType::bit, "spmm_lif: a surrogate is kept beside spikes as bits");
  require(surrogate.width > 0, "spmm_lif: the width of the surrogate must be above 0");
}

}  // namespace spiketune
