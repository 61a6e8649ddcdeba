#pragma once
/// \file
/// Programmatic dependent launch (CUDA Programming Guide): a kernel that begins, with what it can
/// do alone, before the one before it in the stream has ended. Where its code was made for GPUs
/// before sm_90 it begins afterwards, as any other.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <map>
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

/// What the runtime said of a kernel on a device: a thread asks once, since each answer takes half
/// a microsecond.
template <class Answer>
using KernelAnswers = std::map<std::pair<const void*, int>, Answer>;

#if !defined(SPIKETUNE_EMULATED)
/// Whether the code that a device has of a kernel was made for one that can wait.
inline bool can_wait(const CudaContext& context, const void* kernel) {
  static thread_local KernelAnswers<bool> known;
  const std::pair key(kernel, context.device);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  cudaFuncAttributes code = {};
  check(cudaFuncGetAttributes(&code, kernel));
  return known[key] = code.ptxVersion >= 90;
}
#endif

/// Launches the second kernel.
template <class... Parameters, class... Arguments>
void launch_dependent(const CudaContext& context, void (*kernel)(Parameters...), dim3 grid,
                      dim3 block, std::size_t shared_bytes, const Arguments&... arguments) {
#if defined(SPIKETUNE_EMULATED)
  kernel<<<grid, block, shared_bytes, context.stream>>>(arguments...);
#else
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = context.stream;
  config.attrs = &attribute;
  config.numAttrs = can_wait(context, reinterpret_cast<const void*>(kernel)) ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
#endif
}

}  // namespace spiketune::cuda
