#include "spiketune/encoders/pack.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {

void check_encode(const SpikeView& spikes, const FormatBase& format, Space space) {
  check_space(spikes, space);
  const EncodedLayout wanted = layout_of(spikes, format.layout.row_order);
  require(wanted.shape == format.layout.shape, ErrorCode::invalid_argument,
          "the format was planned for spikes of another shape");
  require(wanted.kind == format.layout.kind && wanted.value_type == format.layout.value_type,
          ErrorCode::invalid_argument, "the format was planned for another kind of spikes");
  require(format.status != nullptr, ErrorCode::invalid_argument,
          "the format has no memory; call bind() or make an Encoded<>");
}

}  // namespace spiketune
