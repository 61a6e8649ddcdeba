#include "spiketune/formats/vnm.hpp"

#include <algorithm>

#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {
namespace {

void check_params(const Vnm::Params& params) {
  const auto fail = [](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "vnm: " + why);
  };
  const int v = params.v;
  if (v != 16 && v != 32 && v != 64 && v != 128) {
    fail("v is " + std::to_string(v) + ", not 16, 32, 64 or 128");
  }
  if (params.m != 8 && params.m != 16 && params.m != 32) {
    fail("m is " + std::to_string(params.m) + ", not 8, 16 or 32");
  }
}

/// The bits of the columns that a word of `selected` names.
std::uint32_t selected_columns(std::uint32_t selected) {
  return detail::scatter_selected(0xfu, selected);
}

/// Four columns of the block, ascending.
void validate_selected(const Vnm& vnm) {
  for (std::uint64_t i = 0; i < vnm.selected.size; ++i) {
    std::uint32_t next = 0;
    for (std::uint32_t position = 0; position < 4; ++position) {
      const std::uint32_t column = vnm.selected[i] >> (8 * position) & 0xffu;
      if (column < next || column >= vnm.block_width()) {
        detail::invalid_format(Vnm::name, "the columns selected in block " + std::to_string(i) +
                                              " do not ascend within the block");
      }
      next = column + 1;
    }
  }
}

/// No column that is not selected has more spikes than one that is, nor as many and is lower.
/// Only where nothing is lost: what was pruned had its say in the selection.
void validate_selection(const Vnm& vnm) {
  const std::uint32_t m = vnm.block_width();
  std::vector<std::uint32_t> spikes(vnm.block_columns() * m);
  for (std::uint64_t block_row = 0; block_row < vnm.block_rows(); ++block_row) {
    std::fill(spikes.begin(), spikes.end(), 0);
    const std::uint64_t first = block_row * vnm.block_height();
    for (std::uint64_t row = first; row < std::min(vnm.layout.m(), first + vnm.block_height());
         ++row) {
      for_each_in_row(vnm, row, [&](std::uint32_t column, float) { ++spikes[column]; });
    }
    for (std::uint64_t block = 0; block < vnm.block_columns(); ++block) {
      const std::uint64_t index = block_row * vnm.block_columns() + block;
      const std::uint32_t chosen = selected_columns(vnm.selected[index]);
      const std::uint32_t* count = &spikes[block * m];
      for (std::uint32_t in = 0; in < m; ++in) {
        for (std::uint32_t out = 0; out < m; ++out) {
          if ((chosen >> in & 1u) == 0 || (chosen >> out & 1u) != 0) continue;
          if (count[out] > count[in] || (count[out] == count[in] && out < in)) {
            detail::invalid_format(Vnm::name, "block " + std::to_string(index) +
                                                  " does not select the columns with most spikes");
          }
        }
      }
    }
  }
}

}  // namespace

Vnm Vnm::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  check_params(params);
  Vnm vnm;
  vnm.layout = layout;
  vnm.params = params;
  vnm.plan_slots(name, vnm.block_columns(), capacity, params.prune);
  vnm.selected = {nullptr, vnm.block_rows() * vnm.block_columns()};
  return vnm;
}

std::uint64_t Vnm::bound(const EncodedLayout& layout, const Params& params, double density) {
  check_params(params);
  const double p = std::clamp(density, 0.0, 1.0);
  // What four columns chosen blindly leave; choosing the fullest leaves less.
  const double in_group = 4.0 * p * p * p * (1.0 - p) + 2.0 * p * p * p * p;
  const double per_row = (params.m - 4) * p + in_group;
  return std::min(likely_entries(layout.shape.elements(), per_row / params.m),
                  max_capacity(layout, params));
}

std::uint64_t Vnm::max_capacity(const EncodedLayout& layout, const Params& params) {
  check_params(params);
  if (params.prune) return 0;
  const auto m = static_cast<std::uint32_t>(params.m);
  const std::uint32_t edge = layout.k() % m;
  return layout.m() * (std::uint64_t{layout.k() / m} * (m - 2) + (edge > 2 ? edge - 2 : 0));
}

void Vnm::validate(const EncodeStatus& counts) const {
  validate_selected(*this);
  validate_slots(name, counts, block_columns(), params.prune);
  for (std::uint64_t row = 0; row < layout.m(); ++row) {
    for_each_in_row(*this, row, [&](std::uint32_t column, float) {
      if (column >= layout.k()) {
        detail::invalid_format(
            name, "row " + std::to_string(row) + " has a spike beyond the last column");
      }
    });
    if (params.prune) continue;
    for (std::uint64_t i = residual_row_offsets[row]; i < residual_row_offsets[row + 1]; ++i) {
      const std::uint32_t k = load_index(residual_column_indices, i);
      const std::uint64_t group = k / block_width();
      const std::uint32_t chosen =
          selected_columns(selected[row / block_height() * block_columns() + group]);
      const std::uint32_t in_block = k % block_width();
      if ((chosen >> in_block & 1u) != 0 &&
          !follows_slots(row, group, count_bits(chosen & low_mask(in_block)))) {
        detail::invalid_format(
            name, "residual entry " + std::to_string(i) + " does not follow two spikes in slots");
      }
    }
  }
  if (!params.prune) validate_selection(*this);
}

}  // namespace spiketune
