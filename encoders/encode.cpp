#include "spiketune/encoders/encode.hpp"

#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune {

void check_decode(const FormatBase& format, const MutableSpikeView& spikes, Space space) {
  check_space(spikes, space);
  require(spikes.shape == format.layout.shape, ErrorCode::invalid_argument,
          "the spikes to decode into have another shape than the format");
  const DType value = format.layout.value_type;
  const bool holds = value == DType::bit  ? true
                     : value == DType::u8 ? spikes.storage != DType::bit
                                          : spikes.storage == value || spikes.storage == DType::f32;
  if (!holds) {
    throw Error(ErrorCode::invalid_argument,
                "storage " + std::string(to_string(spikes.storage)) + " cannot hold " +
                    std::string(to_string(format.layout.kind)) + " spikes of type " +
                    std::string(to_string(value)));
  }
}

}  // namespace spiketune
