#include "spiketune/formats/ell.hpp"

#include <cmath>

#include "spiketune/formats/compressed.hpp"
#include "spiketune/formats/coo.hpp"

namespace spiketune {

Ell Ell::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  Ell ell;
  ell.layout = layout;
  ell.params = params;
  ell.capacity = std::min<std::uint64_t>(capacity, layout.k());
  const std::uint64_t slots = layout.m() * ell.capacity;
  detail::check_addressable(name, slots);
  ell.column_indices = {nullptr, index_type(layout.k(), true), slots};
  ell.values = detail::plan_values(layout.value_type, slots);
  return ell;
}

std::uint64_t Ell::bound(const EncodedLayout& layout, const Params&, double density) {
  return detail::likely_row_length(layout.k(), density, 6.0);
}

std::uint64_t Ell::bytes(std::uint64_t stored) const {
  return layout.m() * stored *
         (bits_of(column_indices.type) / 8 +
          (values.type == DType::bit ? 0 : bits_of(values.type) / 8));
}

void Ell::validate(const EncodeStatus& counts) const {
  std::uint64_t total = 0;
  std::uint64_t longest = 0;
  for (std::uint64_t row = 0; row < layout.m(); ++row) {
    const std::uint64_t length =
        detail::validate_slots(name, column_indices, values, row * width(), 1, width(), layout.k());
    total += length;
    longest = std::max(longest, length);
  }
  if (total != counts.nnz) {
    detail::invalid_format(name, "the rows hold " + std::to_string(total) + " spikes, not " +
                                     std::to_string(counts.nnz));
  }
  if (longest != counts.needed) {
    detail::invalid_format(name, "the longest row has " + std::to_string(longest) +
                                     " spikes, not " + std::to_string(counts.needed));
  }
}

namespace detail {

std::uint32_t validate_slots(std::string_view name, const AnyArray& column_indices,
                             const AnyArray& values, std::uint64_t first, std::uint64_t stride,
                             std::uint32_t width, std::uint32_t k) {
  const std::uint32_t padding = padding_index(column_indices.type);
  const auto fail = [&](std::uint64_t slot, const char* what) {
    invalid_format(name, "slot " + std::to_string(slot) + " " + what);
  };
  std::uint32_t length = 0;
  std::uint32_t before = 0;
  for (std::uint32_t i = 0; i < width; ++i) {
    const std::uint64_t slot = first + i * stride;
    const std::uint32_t column = load_index(column_indices, slot);
    const float value = load_value(values, slot);
    if (column == padding) {
      if (values.type != DType::bit && value != 0.0f) fail(slot, "is padding with a value");
      continue;
    }
    if (length != i) fail(slot, "is in use behind padding");
    if (column >= k) fail(slot, "is out of range");
    if (i > 0 && column <= before) fail(slot, "does not ascend");
    if (value == 0.0f || std::isnan(value)) fail(slot, "has a value that is zero or NaN");
    before = column;
    ++length;
  }
  return length;
}

std::uint64_t likely_row_length(std::uint32_t k, double density, double deviations) {
  const double p = std::clamp(density, 0.0, 1.0);
  const double deviation = std::sqrt(k * p * (1.0 - p));
  const double likely = std::ceil(k * p + deviations * deviation + 8.0);
  return likely >= k ? k : static_cast<std::uint64_t>(likely);
}

}  // namespace detail

}  // namespace spiketune
