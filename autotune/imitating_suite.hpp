#pragma once
/// \file
/// A suite that imitates recorded spikes without holding any of them.

#include <cstdint>
#include <nlohmann/json.hpp>

#include "spiketune/core/dtype.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/inspect.hpp"

namespace spiketune {

/// A suite (suite.hpp) of one entry: the shape, storage and order of these spikes, and the `layer`
/// pattern with the statistics found (datasets/imitate.hpp), rounded to four digits. `source` says
/// what was measured. Nothing else of the recording is in it: no names, no spikes.
/// \param n   columns of W
[[nodiscard]] nlohmann::json imitating_suite(const SpikeView& spikes, const SpikeStatistics& found,
                                             std::uint32_t n, DType weights);

}  // namespace spiketune
