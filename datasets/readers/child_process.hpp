#pragma once
/// \file
/// Reading in a child process, for libraries that a hostile file can crash.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "spiketune/datasets/npy.hpp"

namespace spiketune {

/// What `read` returns when it runs in a copy of this process with bounded memory and time. An
/// Error that it throws is thrown here. Throws Error(parse) where the child crashes, runs out of
/// memory or exceeds its time, and Error(io) where there can be no child. `read` must not touch
/// other threads' locks or CUDA: the copy has this thread alone. \param name          the file, for
/// messages \param memory_bytes  that the child may take beyond what this process has \param
/// cpu_seconds   that it may compute
[[nodiscard]] std::vector<NpyArray> read_in_child(
    const std::string& name, std::uint64_t memory_bytes, std::uint64_t cpu_seconds,
    const std::function<std::vector<NpyArray>()>& read);

}  // namespace spiketune
