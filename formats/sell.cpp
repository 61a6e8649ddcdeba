#include "spiketune/formats/sell.hpp"

#include <algorithm>
#include <bitset>
#include <limits>

#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {
namespace {

void check_params(const Sell::Params& params) {
  constexpr int most = Sell::largest_window;
  const auto fail = [](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "sell: " + why);
  };
  if (params.slice_height < 1 || params.slice_height > most) {
    fail("slice_height is " + std::to_string(params.slice_height) + ", not 1 to " +
         std::to_string(most));
  }
  if (params.sigma < 1 || params.sigma > most ||
      (params.sigma != 1 && params.sigma % params.slice_height != 0)) {
    fail("sigma is " + std::to_string(params.sigma) +
         ", neither 1 nor a multiple of slice_height up to " + std::to_string(most));
  }
}

/// Ranks of each window are a permutation, and sort by falling length, equal ones in their order.
void validate_ranks(const Sell& sell, const std::vector<std::uint32_t>& lengths) {
  const std::uint64_t m = sell.layout.m();
  const std::uint32_t window = sell.window();
  std::vector<std::uint64_t> sorted(window);
  for (std::uint64_t begin = 0; begin < m; begin += window) {
    const std::uint64_t rows = std::min<std::uint64_t>(window, m - begin);
    for (std::uint64_t row = begin; row < begin + rows; ++row) sorted[sell.ranks[row]] = row;
    for (std::uint64_t i = 1; i < rows; ++i) {
      const std::uint64_t before = sorted[i - 1];
      const std::uint64_t here = sorted[i];
      if (lengths[before] < lengths[here] || (lengths[before] == lengths[here] && before > here)) {
        detail::invalid_format(Sell::name, "row " + std::to_string(here) + " is not in order");
      }
    }
  }
}

/// Before anything is looked up by rank.
void check_ranks(const Sell& sell) {
  const std::uint64_t m = sell.layout.m();
  const std::uint32_t window = sell.window();
  for (std::uint64_t begin = 0; begin < m; begin += window) {
    const std::uint64_t rows = std::min<std::uint64_t>(window, m - begin);
    std::bitset<Sell::largest_window> taken;
    for (std::uint64_t row = begin; row < begin + rows; ++row) {
      const std::uint16_t rank = sell.ranks[row];
      if (rank >= rows || taken[rank]) {
        detail::invalid_format(
            Sell::name, "the rank of row " + std::to_string(row) + " is taken or out of range");
      }
      taken[rank] = true;
    }
  }
}

void check_offsets(const Sell& sell, std::uint64_t needed) {
  const std::uint64_t slices = sell.slices();
  const auto fail = [](const std::string& what) { detail::invalid_format(Sell::name, what); };
  if (sell.slice_offsets[0] != 0) fail("slice offset 0 is not 0");
  for (std::uint64_t s = 0; s < slices; ++s) {
    const std::uint64_t begin = sell.slice_offsets[s];
    const std::uint64_t end = sell.slice_offsets[s + 1];
    if (end < begin || (end - begin) % sell.slice_height() != 0) {
      fail("slice " + std::to_string(s) + " is not a multiple of slice_height long");
    }
  }
  if (sell.slice_offsets[slices] != needed || needed > sell.capacity) {
    fail("the last slice offset is " + std::to_string(sell.slice_offsets[slices]) + ", not " +
         std::to_string(needed) + " in a capacity of " + std::to_string(sell.capacity));
  }
}

std::uint64_t padded_rows(const EncodedLayout& layout, const Sell::Params& params) {
  const auto height = static_cast<std::uint64_t>(params.slice_height);
  return ceil_div(layout.m(), height) * height;
}

}  // namespace

Sell Sell::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  check_params(params);
  detail::check_offset_range(name, capacity);
  Sell sell;
  sell.layout = layout;
  sell.params = params;
  sell.capacity = capacity;
  sell.ranks = {nullptr, params.sigma == 1 ? 0 : layout.m()};
  sell.slice_offsets = {nullptr, padded_rows(layout, params) / sell.slice_height() + 1};
  sell.column_indices = {nullptr, index_type(layout.k(), true), capacity};
  sell.values = detail::plan_values(layout.value_type, capacity);
  return sell;
}

std::uint64_t Sell::bound(const EncodedLayout& layout, const Params& params, double density) {
  check_params(params);
  // The widest slice exceeds four deviations; their sum, which counts here, does not.
  const std::uint64_t likely =
      padded_rows(layout, params) * detail::likely_row_length(layout.k(), density, 4.0);
  // What offsets can address may do where the margin exceeds it.
  return std::min<std::uint64_t>(likely, std::numeric_limits<std::uint32_t>::max());
}

std::uint64_t Sell::max_capacity(const EncodedLayout& layout, const Params& params) {
  check_params(params);
  return padded_rows(layout, params) * layout.k();
}

std::uint64_t Sell::bytes(std::uint64_t stored) const {
  return ranks.bytes() + slice_offsets.bytes() +
         stored * (bits_of(column_indices.type) / 8 +
                   (values.type == DType::bit ? 0 : bits_of(values.type) / 8));
}

void Sell::validate(const EncodeStatus& counts) const {
  check_offsets(*this, counts.needed);
  if (params.sigma != 1) check_ranks(*this);
  std::vector<std::uint32_t> lengths(layout.m());
  std::vector<std::uint32_t> longest(slices(), 0);
  std::uint64_t total = 0;
  for (std::uint64_t row = 0; row < slices() * slice_height(); ++row) {
    const std::uint64_t place = row < layout.m() ? position(row) : row;
    const std::uint64_t slice = place / slice_height();
    const std::uint32_t length = detail::validate_slots(
        name, column_indices, values, slice_offsets[slice] + place % slice_height(), slice_height(),
        slice_width(slice), layout.k());
    total += length;
    longest[slice] = std::max(longest[slice], length);
    if (row < layout.m()) {
      lengths[row] = length;
    } else if (length != 0) {
      detail::invalid_format(name, "a lane behind the last row is in use");
    }
  }
  if (total != counts.nnz) {
    detail::invalid_format(name, "the rows hold " + std::to_string(total) + " spikes, not " +
                                     std::to_string(counts.nnz));
  }
  for (std::uint64_t slice = 0; slice < slices(); ++slice) {
    if (longest[slice] != slice_width(slice)) {
      detail::invalid_format(name,
                             "slice " + std::to_string(slice) + " is wider than its longest row");
    }
  }
  if (params.sigma != 1) validate_ranks(*this, lengths);
}

}  // namespace spiketune
