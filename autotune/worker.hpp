#pragma once
/// \file
/// Measuring in a process of its own, so that what a candidate breaks (an illegal access, a hang,
/// an abort, all memory) costs its own point and nothing else.
///
///   sweep ──jobs, lines of JSON──▶ worker        on its standard input
///         ◀─steps, points, done──                on descriptor worker_output
///
/// Before anything that can go wrong the worker says for which candidates it is done. When it dies,
/// or says nothing for too long, those have failed; a new worker gets what is left of the job.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/executor.hpp"
#include "spiketune/autotune/plugin.hpp"

namespace spiketune {

struct WorkerOptions {
  /// A program and its arguments that ends in serve_jobs(): "spiketune", "worker", ...
  std::vector<std::string> command;
  double deadline_seconds = 60;  ///< for each step of a candidate; setting up a problem gets 10 x
};

/// Starts its worker when first needed. Throws Error(io) where none can be started, and what
/// environment() of the worker throws.
[[nodiscard]] std::unique_ptr<Executor> make_worker_executor(WorkerOptions options);

/// The descriptor on which a worker answers; its standard output may be written to by anybody.
inline constexpr int worker_output = 3;

/// The worker's side: answers jobs from standard input until it ends. Limits the memory of the
/// process to what the machine has left (host backend), offers it to the system as the first to be
/// killed, and dies with its parent.
void serve_jobs(Backend& backend, const Registry& registry,
                const std::function<bool()>& interrupted);

}  // namespace spiketune
