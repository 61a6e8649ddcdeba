#pragma once
/// \file
/// Programmatic dependent launch (CUDA Programming Guide): a kernel that begins, with what it can
/// do alone, before the one before it in the stream has ended. On GPUs before sm_90 it begins
/// afterwards, as any other.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include "spiketune/core/context.hpp"
#include "spiketune/core/cuda/check.hpp"

namespace spiketune::cuda {

/// In the first kernel: from here on the second may begin.
__device__ inline void start_dependents() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// In the second kernel: waits until the first has ended and what it wrote can be read.
__device__ inline void wait_for_primary() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Launches the second kernel.
template <class... Parameters, class... Arguments>
void launch_dependent(const CudaContext& context, void (*kernel)(Parameters...), dim3 grid,
                      dim3 block, std::size_t shared_bytes, Arguments&&... arguments) {
#if defined(SPIKETUNE_EMULATED)
  kernel<<<grid, block, shared_bytes, context.stream>>>(arguments...);
#else
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device));
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = context.stream;
  config.attrs = &attribute;
  config.numAttrs = major >= 9 ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...));
#endif
}

}  // namespace spiketune::cuda
