#pragma once
/// \file
/// The flags that sweep and tune share: which problems, which candidates, measured how.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/executor.hpp"
#include "spiketune/autotune/search.hpp"
#include "spiketune/autotune/sweep.hpp"

namespace spiketune::cli {

/// As they were given; names are parsed when the sweep starts.
struct SweepFlags {
  std::string suite;
  std::string replay;
  std::vector<std::string> shapes;
  SuiteEntry entry;
  std::vector<double> densities{0.01, 0.05, 0.2};
  std::string pattern_params;
  std::string input = "u8";
  std::string value = "binary";
  std::vector<std::string> weights{"f32"};
  std::string output = "f32";
  std::string row_order = "time-major";

  std::string backend = "auto";
  std::vector<std::string> devices{"0"};
  int threads = 0;
  std::vector<std::string> plugins;
  std::string configs = "default";
  std::string config;
  std::vector<std::string> modes{"cold", "hot"};
  double budget = 0;
  SweepOptions options;

  std::string out;
  std::string html;
  bool quiet = false;

  double deadline = 60;
  bool in_process = false;
  std::string shard;
};

void add_source_flags(CLI::App& command, SweepFlags& flags);
void add_problem_flags(CLI::App& command, SweepFlags& flags);
void add_candidate_flags(CLI::App& command, SweepFlags& flags);
void add_measuring_flags(CLI::App& command, SweepFlags& flags);
void add_running_flags(CLI::App& command, SweepFlags& flags);
void add_output_flags(CLI::App& command, SweepFlags& flags);

/// Flags over suite over defaults.
[[nodiscard]] SweepOptions options_of(const SweepFlags& flags, const CLI::App& command);

/// What is to be measured, and on what.
struct Setting {
  Registry registry;                 ///< the plan points into it
  std::unique_ptr<Backend> backend;  ///< of an executor in this process
  SweepPlan plan;
  std::vector<std::unique_ptr<Executor>> executors;
};
/// Completes the options by what the flags say of the machine.
[[nodiscard]] Setting open_setting(const SweepFlags& flags, SweepOptions& options);

/// Measures, prints and writes what the flags ask for; returns the exit code.
/// \param search   how to search; null: everything is measured
[[nodiscard]] int run_sweep(const SweepFlags& flags, SweepOptions options,
                            const SearchOptions* search);

}  // namespace spiketune::cli
