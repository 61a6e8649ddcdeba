#include "spiketune/formats/hyb.hpp"

#include <cmath>

#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {

std::vector<Hyb::Params> Hyb::choices(const EncodedLayout& layout, DType) {
  std::vector<Params> result;
  for (const int width : {32, 8, 128}) {
    const Params clipped{static_cast<int>(std::min<std::uint32_t>(width, layout.k()))};
    if (std::find(result.begin(), result.end(), clipped) == result.end()) {
      result.push_back(clipped);
    }
  }
  return result;
}

Hyb Hyb::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  require(params.width >= 0, ErrorCode::invalid_argument, "hyb: width must not be negative");
  Hyb hyb;
  hyb.layout = layout;
  hyb.params = params;
  hyb.capacity = capacity;
  const std::uint64_t slots = layout.m() * hyb.width();
  detail::check_addressable(name, slots);
  detail::check_addressable(name, capacity);
  hyb.column_indices = {nullptr, index_type(layout.k(), true), slots};
  hyb.values = detail::plan_values(layout.value_type, slots);
  hyb.tail_row_indices = {nullptr, capacity};
  hyb.tail_column_indices = {nullptr, index_type(layout.k()), capacity};
  hyb.tail_values = detail::plan_values(layout.value_type, capacity);
  return hyb;
}

std::uint64_t Hyb::bound(const EncodedLayout& layout, const Params& params, double density) {
  const double p = std::clamp(density, 0.0, 1.0);
  const double rows = static_cast<double>(layout.m());
  const double excess = layout.k() * p - params.width;
  const double deviation = std::sqrt(layout.k() * p * (1.0 - p));
  // Rows whose length is normally distributed: what one exceeds its slots by, on average, and how
  // far the sum of all may stray.
  double mean = std::max(0.0, excess);
  double spread = 0.0;
  if (deviation > 0.0) {
    const double z = excess / deviation;
    const double share = std::erfc(-z / std::sqrt(2.0)) / 2.0;  // of rows that have a tail
    constexpr double density_at_zero = 0.3989422804014327;      // 1 / sqrt(2 pi)
    mean = deviation * density_at_zero * std::exp(-z * z / 2.0) + excess * share;
    spread = deviation * std::sqrt(rows * share);
  }
  const double likely = std::ceil(rows * mean + 6.0 * spread + 64.0);
  const std::uint64_t most = max_capacity(layout, params);
  return likely >= static_cast<double>(most) ? most : static_cast<std::uint64_t>(likely);
}

std::uint64_t Hyb::max_capacity(const EncodedLayout& layout, const Params& params) {
  const auto width = static_cast<std::uint32_t>(std::max(0, params.width));
  return width < layout.k() ? layout.m() * (layout.k() - width) : 0;
}

std::uint64_t Hyb::bytes(std::uint64_t stored) const {
  const std::uint64_t value = values.type == DType::bit ? 0 : bits_of(values.type) / 8;
  return layout.m() * width() * (bits_of(column_indices.type) / 8 + value) +
         stored * (sizeof(std::uint32_t) + bits_of(tail_column_indices.type) / 8 + value);
}

void Hyb::validate(const EncodeStatus& counts) const {
  if (counts.needed > capacity) {
    detail::invalid_format(name, "the tail is longer than fits");
  }
  detail::validate_coordinates(name, layout, tail_row_indices, tail_column_indices, counts.needed);
  detail::validate_values(name, tail_values, counts.needed);
  std::uint64_t total = counts.needed;
  std::uint64_t tail = 0;
  for (std::uint64_t row = 0; row < layout.m(); ++row) {
    const std::uint64_t first = row * width();
    const std::uint32_t length =
        detail::validate_slots(name, column_indices, values, first, 1, width(), layout.k());
    total += length;
    const bool has_tail = tail < counts.needed && tail_row_indices[tail] == row;
    if (has_tail && length < width()) {
      detail::invalid_format(name, "row " + std::to_string(row) + " has a tail and free slots");
    }
    if (has_tail && width() > 0 &&
        load_index(tail_column_indices, tail) <= load_index(column_indices, first + width() - 1)) {
      detail::invalid_format(
          name, "the tail of row " + std::to_string(row) + " does not follow its slots");
    }
    while (tail < counts.needed && tail_row_indices[tail] == row) ++tail;
  }
  if (total != counts.nnz) {
    detail::invalid_format(name, "the rows hold " + std::to_string(total) + " spikes, not " +
                                     std::to_string(counts.nnz));
  }
}

}  // namespace spiketune
