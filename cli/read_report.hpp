#pragma once
/// \file
/// Reports as the commands that show them read them.

#include <nlohmann/json.hpp>
#include <string>

namespace spiketune::cli {

/// Throws Error(io) or Error(parse) that names the file where it is no report of this schema.
[[nodiscard]] nlohmann::json read_report(const std::string& path);
/// A report whose sweep measured everything; anything else, and nothing at all, is not.
[[nodiscard]] bool is_finished_report(const std::string& path);

}  // namespace spiketune::cli
