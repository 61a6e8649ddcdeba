#pragma once
/// \file
/// Every CUDA call and every launch goes through here.

#include <cuda_runtime_api.h>

#include <source_location>

namespace spiketune::cuda {

/// Throws Error(cuda) (Error(out_of_memory) for cudaErrorMemoryAllocation) that names the error and
/// the place. The sticky "last error" is cleared.
void check(cudaError_t status, std::source_location where = std::source_location::current());

/// Checks the launch that came just before.
inline void check_launch(std::source_location where = std::source_location::current()) {
  check(cudaGetLastError(), where);
}

}  // namespace spiketune::cuda
