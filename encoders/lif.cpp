#include "spiketune/encoders/lif.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {

namespace {

void require(bool holds, const char* message) {
  if (!holds) throw Error(ErrorCode::invalid_argument, message);
}

}  // namespace

void check_neurons(const SpikeShape& shape, const LifParams& params, const SpikeView& spikes,
                   Space space) {
  check_space(spikes, space);
  require(shape == spikes.shape, "currents and spikes differ in shape");
  require(spikes.storage == DType::bit || spikes.storage == DType::u8,
          "neurons fire into bits or u8");
  require(spikes.kind == ValueKind::binary, "spikes of neurons are binary");
  require(std::isfinite(params.leak) && std::isfinite(params.gain) &&
              std::isfinite(params.threshold) && std::isfinite(params.reset_value),
          "leak, gain, threshold and reset value must be finite");
}

void check_lif(const CurrentView& currents, const LifParams& params, const SpikeView& spikes,
               Space space) {
  require(is_floating(currents.type), "currents must be f16, bf16 or f32");
  require(currents.space == space, "the currents are not in the memory of the context");
  require(currents.data != nullptr || currents.shape.elements() == 0, "the currents are null");
  check_neurons(currents.shape, params, spikes, space);
}

}  // namespace spiketune
