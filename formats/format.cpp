#include "spiketune/formats/format.hpp"

#include <algorithm>
#include <cmath>

#include "spiketune/core/error.hpp"

namespace spiketune {

EncodedLayout layout_of(const SpikeView& spikes, RowOrder row_order) {
  const DType value_type = spikes.kind == ValueKind::binary    ? DType::bit
                           : spikes.kind == ValueKind::graded2 ? DType::u8
                                                               : spikes.storage;
  return {spikes.shape, row_order, spikes.kind, value_type};
}

std::uint64_t likely_entries(std::uint64_t positions, double density) {
  const auto n = static_cast<double>(positions);
  const double p = std::clamp(density, 0.0, 1.0);
  const double likely = std::ceil(n * p + 6.0 * std::sqrt(n * p * (1.0 - p)) + 64.0);
  return likely >= n ? positions : static_cast<std::uint64_t>(likely);
}

void check_status(const EncodeStatus& status, const FormatBase& format, std::string_view name,
                  RowOrder input_order) {
  const SpikeShape& shape = format.layout.shape;
  if (status.first_invalid != EncodeStatus::none_invalid) {
    const std::uint64_t row = status.first_invalid / shape.k;
    const bool time_major = input_order == RowOrder::time_major;
    const std::uint64_t t = time_major ? row / shape.rows : row % shape.timesteps;
    const std::uint64_t position = time_major ? row % shape.rows : row / shape.timesteps;
    throw Error(ErrorCode::invalid_value,
                "spike (t, row, k) = (" + std::to_string(t) + ", " + std::to_string(position) +
                    ", " + std::to_string(status.first_invalid % shape.k) + ") is NaN or not a " +
                    std::string(to_string(format.layout.kind)) + " spike");
  }
  if (status.needed > format.capacity) {
    throw Error(ErrorCode::overflow,
                std::string(name) + ": the spikes need a capacity of " +
                    std::to_string(status.needed) + ", but " + std::to_string(format.capacity) +
                    " was given; plan the format with at least that and encode again");
  }
}

namespace detail {
void invalid_format(std::string_view name, const std::string& what) {
  throw Error(ErrorCode::invalid_value, std::string(name) + ": " + what);
}
}  // namespace detail

}  // namespace spiketune
