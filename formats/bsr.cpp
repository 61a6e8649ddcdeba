#include "spiketune/formats/bsr.hpp"

#include <algorithm>
#include <cmath>

#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {
namespace {

void check_params(const Bsr::Params& params) {
  const int b = params.block_size;
  if (b != 8 && b != 16 && b != 32 && b != 64) {
    throw Error(ErrorCode::invalid_argument,
                "bsr: block_size is " + std::to_string(b) + ", not 8, 16, 32 or 64");
  }
}

/// Spikes of a block; throws unless they are inside the matrix and their values are right.
std::uint64_t validate_block(const Bsr& bsr, std::uint64_t block_row, std::uint64_t block) {
  const std::uint64_t b = bsr.block_size();
  const std::uint64_t first_column = load_index(bsr.block_column_indices, block) * b;
  const auto fail = [&](const std::string& what) {
    detail::invalid_format(Bsr::name, "block " + std::to_string(block) + " " + what);
  };
  std::uint64_t spikes = 0;
  for (std::uint32_t r = 0; r < b; ++r) {
    for (std::uint32_t c = 0; c < b; ++c) {
      const bool spike = (bsr.row_bits(block, r, c / 32 * 32) >> (c % 32) & 1u) != 0;
      spikes += spike;
      if (spike && (block_row * b + r >= bsr.layout.m() || first_column + c >= bsr.layout.k())) {
        fail("has a spike outside the matrix");
      }
      if (bsr.values.type == DType::bit) continue;
      const float value = load_value(bsr.values, (block * b + r) * b + c);
      if (std::isnan(value) || (value != 0.0f) != spike) {
        fail("has a value that is not that of a spike, or none where there is one");
      }
    }
  }
  if (spikes == 0) fail("is empty");
  return spikes;
}

}  // namespace

Bsr Bsr::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  check_params(params);
  detail::check_offset_range(name, capacity);
  Bsr bsr;
  bsr.layout = layout;
  bsr.params = params;
  bsr.capacity = capacity;
  bsr.block_row_offsets = {nullptr, bsr.block_rows() + 1};
  bsr.block_column_indices = {nullptr, index_type(static_cast<std::uint32_t>(bsr.block_columns())),
                              capacity};
  bsr.patterns = {nullptr, capacity * bsr.words_per_block()};
  bsr.values =
      detail::plan_values(layout.value_type, capacity * bsr.block_size() * bsr.block_size());
  return bsr;
}

std::uint64_t Bsr::bound(const EncodedLayout& layout, const Params& params, double density) {
  const double positions = static_cast<double>(params.block_size) * params.block_size;
  const double occupied = 1.0 - std::pow(1.0 - std::clamp(density, 0.0, 1.0), positions);
  return likely_entries(max_capacity(layout, params), occupied);
}

std::uint64_t Bsr::max_capacity(const EncodedLayout& layout, const Params& params) {
  check_params(params);
  const auto b = static_cast<std::uint64_t>(params.block_size);
  return ceil_div(layout.m(), b) * ceil_div(layout.k(), b);
}

std::uint64_t Bsr::bytes(std::uint64_t stored) const {
  const std::uint64_t b = block_size();
  return block_row_offsets.bytes() +
         stored * (bits_of(block_column_indices.type) / 8 + b * b / 8 +
                   (values.type == DType::bit ? 0 : b * b * bits_of(values.type) / 8));
}

void Bsr::validate(const EncodeStatus& counts) const {
  if (counts.needed > capacity) detail::invalid_format(name, "there are more blocks than fit");
  detail::validate_segments(name, block_row_offsets, block_column_indices, counts.needed,
                            block_columns());
  std::uint64_t total = 0;
  for (std::uint64_t block_row = 0; block_row < block_rows(); ++block_row) {
    for (std::uint64_t block = block_row_offsets[block_row];
         block < block_row_offsets[block_row + 1]; ++block) {
      total += validate_block(*this, block_row, block);
    }
  }
  if (total != counts.nnz) {
    detail::invalid_format(name, "the blocks hold " + std::to_string(total) + " spikes, not " +
                                     std::to_string(counts.nnz));
  }
}

}  // namespace spiketune
