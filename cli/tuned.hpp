#pragma once
/// \file
/// Tuned points as plan and cache find them: in a file, in the plan cache, or shipped.

#include <nlohmann/json.hpp>
#include <string>

#include "spiketune/autotune/plan_cache.hpp"

namespace spiketune::cli {

/// The user's cache; its notices go to standard error.
[[nodiscard]] PlanCache open_plan_cache();

/// A document from a report or an exported document. Throws Error(io) or Error(parse) that names
/// the file.
[[nodiscard]] nlohmann::json read_tuned(const std::string& path);

/// What the cache, or else the library, has for a device.
/// \param device   a part of its name, in any case; empty: the device of this machine
/// Throws Error(invalid_argument) where there is nothing, and says what to do.
[[nodiscard]] FoundPlans find_tuned(const std::string& device);

}  // namespace spiketune::cli
