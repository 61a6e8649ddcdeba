#pragma once
/// \file
/// How many bytes some spikes occupy in each format.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

struct FormatSize {
  std::string format;
  nlohmann::json params;
  std::uint64_t bytes = 0;
  std::string why_missing;  ///< it could not be encoded; bytes is then 0
};

/// Encodes host spikes with rows in `order` in every host format of the registry that is neither a
/// baseline nor lossy, with each of its parameters, for W of type `weights`.
[[nodiscard]] std::vector<FormatSize> format_sizes(const HostContext& context,
                                                   const Registry& registry,
                                                   const SpikeView& spikes, RowOrder order,
                                                   double density, DType weights);

}  // namespace spiketune
