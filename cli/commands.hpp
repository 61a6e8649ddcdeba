#pragma once
/// \file
/// The commands of the spiketune program. Each parses its flags, calls the library, prints.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace spiketune::cli {

/// What the program returns to its caller.
enum ExitCode : int {
  exit_ok = 0,
  exit_error = 1,       ///< it could not do what was asked
  exit_usage = 2,       ///< it did not understand what was asked
  exit_bad_result = 3,  ///< a result was wrong, a candidate failed, or something became slower
  exit_interrupted = 130
};

/// Adds a command to the program; when it was given, it runs and sets `exit_code`.
/// \param argv   of the program, recorded in reports
void add_sweep(CLI::App& app, const std::vector<std::string>& argv, int& exit_code);
void add_tune(CLI::App& app, const std::vector<std::string>& argv, int& exit_code);
void add_plan(CLI::App& app, int& exit_code);
void add_explain(CLI::App& app, int& exit_code);
void add_cache(CLI::App& app, int& exit_code);
void add_merge(CLI::App& app, int& exit_code);
void add_worker(CLI::App& app, int& exit_code);
void add_info(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_generate(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_encode(CLI::App& app, int& exit_code);
void add_decode(CLI::App& app, int& exit_code);
/// These two describe the commands that were added, whatever their order.
void add_completion(CLI::App& app, int& exit_code);
void add_manual(CLI::App& app, int& exit_code);

}  // namespace spiketune::cli
