#pragma once
/// \file
/// Where a sweep ran: the `environment` of a report, and what was built.

#include <nlohmann/json.hpp>
#include <string>

#include "spiketune/core/context.hpp"

namespace spiketune {

/// "0.1.0", and the revision it was built from ("" outside a checkout).
[[nodiscard]] std::string build_version();
[[nodiscard]] std::string build_revision();
/// Of the sources that times depend on (core, formats, encoders, kernels); "" where not known.
[[nodiscard]] std::string build_source_hash();

/// Every key that the report schema requires; what a host does not have is null. copy_gbps is
/// filled in by whoever measured it.
[[nodiscard]] nlohmann::json describe_environment(const HostContext& context);
/// The same with the GPU's. Defined in builds with CUDA.
[[nodiscard]] nlohmann::json describe_environment(const CudaContext& context);

/// Bytes of memory that can be had without swapping; 0 where the system does not say.
[[nodiscard]] std::uint64_t available_host_memory();

/// Now, ISO 8601 in UTC: "2025-01-31T12:00:00Z".
[[nodiscard]] std::string utc_now();

}  // namespace spiketune
