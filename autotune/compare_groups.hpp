#pragma once
/// \file
/// The second half of a comparison: what many points say together. compare.hpp has the method.

#include <nlohmann/json.hpp>
#include <vector>

#include "spiketune/autotune/compare_series.hpp"

namespace spiketune::comparison {

/// A judged family as an entry of `families`: its drift, counts of verdicts, and the groups all,
/// kernels, formats and workloads.
[[nodiscard]] nlohmann::json family_to_json(const Family& family, const nlohmann::json& base_points,
                                            const std::vector<Match>& matches, double min_effect);

}  // namespace spiketune::comparison
