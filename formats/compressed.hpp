#pragma once
/// \file
/// What the formats made of offsets and ascending indices share: CSR, CSC, and the residuals of
/// 2:4 and V:N:M.

#include <string_view>

#include "spiketune/formats/format.hpp"

namespace spiketune::detail {

/// Throws Error(unsupported) where 32-bit offsets cannot address the capacity.
void check_offset_range(std::string_view name, std::uint64_t capacity);

/// Offsets ascend from 0 to `stored`, indices of each segment ascend strictly below `bound`.
void validate_segments(std::string_view name, const Array<std::uint32_t>& offsets,
                       const AnyArray& indices, std::uint64_t stored, std::uint64_t bound);

/// No value among the first `stored` is zero (or NaN). A pattern passes.
void validate_values(std::string_view name, const AnyArray& values, std::uint64_t stored);

/// Array of `count` values, or an empty one for a pattern.
[[nodiscard]] inline AnyArray plan_values(DType value_type, std::uint64_t count) {
  return {nullptr, value_type, value_type == DType::bit ? 0 : count};
}

}  // namespace spiketune::detail
