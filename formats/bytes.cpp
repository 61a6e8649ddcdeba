#include "spiketune/formats/bytes.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {

Bytes Bytes::plan(const EncodedLayout& layout, const Params& params, std::uint64_t) {
  require(layout.kind != ValueKind::graded, ErrorCode::unsupported,
          "bytes: a byte holds binary or two-bit spikes, not graded ones");
  Bytes bytes;
  bytes.layout = layout;
  bytes.params = params;
  bytes.capacity = max_capacity(layout, params);
  bytes.values = {nullptr, bytes.capacity};
  return bytes;
}

void Bytes::validate(const EncodeStatus& counts) const {
  const unsigned most = layout.kind == ValueKind::binary ? 1 : 3;
  std::uint64_t nonzeros = 0;
  for (std::uint64_t i = 0; i < values.size; ++i) {
    nonzeros += values[i] != 0;
    if (values[i] > most) {
      detail::invalid_format(name, "value " + std::to_string(i) + " is " +
                                       std::to_string(values[i]) + ", above " +
                                       std::to_string(most));
    }
  }
  if (nonzeros != counts.nnz) {
    detail::invalid_format(
        name, std::to_string(nonzeros) + " values are nonzero, not " + std::to_string(counts.nnz));
  }
}

}  // namespace spiketune
