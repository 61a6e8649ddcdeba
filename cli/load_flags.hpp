#pragma once
/// \file
/// The flags that say how a file of spikes is to be read; shared by the commands that read one.

#include <CLI/CLI.hpp>
#include <string>

#include "spiketune/autotune/inputs.hpp"
#include "spiketune/datasets/load.hpp"

namespace spiketune::cli {

struct LoadFlags {
  std::string file;
  std::uint32_t images = 0;
  std::string kind = "binary";
  std::string storage = "u8";
  std::string row_order = "time-major";
  std::string matrix_order = "time-major";
  std::string packing = "none";
  LoadOptions options;
};

/// How events become time steps.
void add_event_flags(CLI::App& command, EventOptions& events);
void add_load_flags(CLI::App& command, LoadFlags& flags);
/// Throws Error as load_trace() does.
[[nodiscard]] Trace load(const LoadFlags& flags);

}  // namespace spiketune::cli
