#pragma once
/// \file
/// What this build and this machine offer: the registry, the backends, and what is missing.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/plugin.hpp"

namespace spiketune {

/// Built-in formats and baselines of all backends of this build, then those of the plugin files.
/// Throws Error as load_plugin() does.
[[nodiscard]] Registry make_registry(const std::vector<std::string>& plugin_files = {});

/// Why the CUDA backend cannot be used (not built, no device), and what would help; "" where it
/// can.
[[nodiscard]] std::string why_no_cuda(int device = 0);

/// "host" or "cuda" for those names and "auto" (CUDA where there is a device), without opening it.
/// Throws as open_backend() does.
[[nodiscard]] std::string choose_backend(std::string_view which, int device);

/// \param which   "host", "cuda", or "auto": CUDA where there is a device
/// \param threads of the host backend; 0: as many as OpenMP offers
/// Throws Error(unsupported) with why_no_cuda(), Error(invalid_argument) for another name.
[[nodiscard]] std::unique_ptr<Backend> open_backend(std::string_view which, int device,
                                                    int threads);

/// Version, environment (with the GPU where there is one), file readers, formats with parameters
/// and kernels, and `missing`: a list of {what, why}.
[[nodiscard]] nlohmann::json describe_installation(const Registry& registry);

}  // namespace spiketune
