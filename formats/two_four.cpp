#include "spiketune/formats/two_four.hpp"

#include <algorithm>

#include "spiketune/formats/compressed.hpp"

namespace spiketune {

TwoFour TwoFour::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  TwoFour two_four;
  two_four.layout = layout;
  two_four.params = params;
  two_four.plan_slots(name, ceil_div(layout.k(), 4), capacity, params.prune);
  return two_four;
}

std::uint64_t TwoFour::bound(const EncodedLayout& layout, const Params& params, double density) {
  const double p = std::clamp(density, 0.0, 1.0);
  // A group of three spikes has one too many, a group of four has two.
  const double per_group = 4.0 * p * p * p * (1.0 - p) + 2.0 * p * p * p * p;
  return std::min(likely_entries(layout.shape.elements(), per_group / 4.0),
                  max_capacity(layout, params));
}

std::uint64_t TwoFour::max_capacity(const EncodedLayout& layout, const Params& params) {
  if (params.prune) return 0;
  return layout.m() * (layout.k() / 4 * 2 + (layout.k() % 4 == 3));
}

void TwoFour::validate(const EncodeStatus& counts) const {
  validate_slots(name, counts, ceil_div(layout.k(), 4), params.prune);
  for (std::uint64_t row = 0; row < layout.m(); ++row) {
    for (std::uint32_t w = 0; w < words_per_row; ++w) {
      const std::uint32_t spikes =
          join_groups(metadata[row * words_per_row + w], presence_of(row, w));
      if ((spikes & ~low_mask(layout.k() - 32 * w)) != 0) {
        detail::invalid_format(
            name, "row " + std::to_string(row) + " has a spike beyond the last column");
      }
    }
    if (params.prune) continue;
    for (std::uint64_t i = residual_row_offsets[row]; i < residual_row_offsets[row + 1]; ++i) {
      const std::uint32_t k = load_index(residual_column_indices, i);
      if (!follows_slots(row, k / 4, k % 4)) {
        detail::invalid_format(
            name, "residual entry " + std::to_string(i) + " does not follow two spikes in slots");
      }
    }
  }
}

}  // namespace spiketune
