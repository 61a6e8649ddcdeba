#include "spiketune/formats/compressed.hpp"

#include <cmath>
#include <limits>

#include "spiketune/core/error.hpp"

namespace spiketune::detail {

void check_offset_range(std::string_view name, std::uint64_t capacity) {
  if (capacity > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorCode::unsupported,
                std::string(name) + ": a capacity of " + std::to_string(capacity) +
                    " exceeds what 32-bit offsets address (4294967295); split the rows");
  }
}

void validate_segments(std::string_view name, const Array<std::uint32_t>& offsets,
                       const AnyArray& indices, std::uint64_t stored, std::uint64_t bound) {
  const std::uint64_t segments = offsets.size - 1;
  if (offsets[0] != 0) invalid_format(name, "offset 0 is not 0");
  if (offsets[segments] != stored) {
    invalid_format(name, "the last offset is " + std::to_string(offsets[segments]) + ", not " +
                             std::to_string(stored));
  }
  for (std::uint64_t s = 0; s < segments; ++s) {
    if (offsets[s] > offsets[s + 1] || offsets[s + 1] > stored) {
      invalid_format(name, "offset " + std::to_string(s + 1) +
                               " is below the one before, or above the number of entries");
    }
    for (std::uint64_t i = offsets[s]; i < offsets[s + 1]; ++i) {
      const std::uint32_t index = load_index(indices, i);
      if (index >= bound) invalid_format(name, "index " + std::to_string(i) + " is out of range");
      if (i > offsets[s] && load_index(indices, i - 1) >= index) {
        invalid_format(name, "index " + std::to_string(i) + " does not ascend");
      }
    }
  }
}

void validate_values(std::string_view name, const AnyArray& values, std::uint64_t stored) {
  if (values.type == DType::bit) return;
  for (std::uint64_t i = 0; i < stored; ++i) {
    const float value = load_value(values, i);
    if (value == 0.0f || std::isnan(value)) {
      invalid_format(name, "value " + std::to_string(i) + " is zero or NaN");
    }
  }
}

}  // namespace spiketune::detail
