#pragma once
/// \file
/// Other programs of this machine, run to their end.

#include <filesystem>
#include <string>
#include <vector>

namespace spiketune {

/// The path of the first of these programs that PATH has; empty where it has none.
[[nodiscard]] std::string find_program(const std::vector<std::string>& names);

/// Runs `command` with its standard output in `output` and its errors thrown away; returns its exit
/// status, or -1 where it could not be started or was ended by a signal.
[[nodiscard]] int run_program(const std::vector<std::string>& command,
                              const std::filesystem::path& output);

}  // namespace spiketune
