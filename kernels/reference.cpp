#include "spiketune/kernels/reference.hpp"

#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune {

void check_reference(const SpikeView& spikes, const WeightView& weights, const double* y,
                     Space space) {
  check_space(spikes, space);
  const auto fail = [](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "reference product: " + why);
  };
  if (weights.k != spikes.shape.k) {
    fail("W has " + std::to_string(weights.k) + " rows, but K is " +
         std::to_string(spikes.shape.k));
  }
  if (const std::string why = why_not_types(weights.type, DType::f32); !why.empty()) fail(why);
  if (weights.space != space) fail("W must be in the memory of the context");
  if (weights.data == nullptr && weights.bytes() != 0) fail("W is null");
  if (y == nullptr && spikes.shape.m() * weights.n != 0) fail("Y is null");
}

}  // namespace spiketune
