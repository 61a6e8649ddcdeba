#pragma once
/// \file
/// What kernels ask of the device that they are launched on.

#include <cuda_runtime_api.h>

#include "spiketune/core/context.hpp"
#include "spiketune/core/cuda/check.hpp"

namespace spiketune::cuda {

[[nodiscard]] inline int attribute(const CudaContext& context, cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, context.device));
  return value;
}

}  // namespace spiketune::cuda
