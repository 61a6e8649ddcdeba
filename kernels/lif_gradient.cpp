#include "spiketune/kernels/lif_gradient.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {

void check_lif_gradient(const SpikeView& spikes, const LifSurrogate& surrogate,
                        const LifParams& params, const CurrentView& gradient, const void* result,
                        Space space) {
  const auto require = [](bool holds, const char* message) {
    if (!holds) throw Error(ErrorCode::invalid_argument, message);
  };
  check_neurons(gradient.shape, params, spikes, space);
  require(spikes.storage == DType::bit && spikes.row_order == RowOrder::time_major,
          "lif_gradient: spikes must be time-major bits");
  require(is_floating(gradient.type), "lif_gradient: the gradient must be f16, bf16 or f32");
  require(gradient.space == space,
          "lif_gradient: the gradient is not in the memory of the context");
  require(surrogate.width > 0, "lif_gradient: the width of the surrogate must be above 0");
  const bool empty = gradient.shape.elements() == 0;
  require(empty || (gradient.data != nullptr && result != nullptr && surrogate.near != nullptr),
          "lif_gradient: the gradient, the result or the surrogate's bits are null");
}

}  // namespace spiketune
