#pragma once
/// \file
/// Clusters of blocks (sm_90): their barrier, and shared memory of other blocks. Elsewhere these
/// do nothing.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "spiketune/core/context.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"

namespace spiketune::cuda {

[[nodiscard]] __device__ inline std::uint32_t rank_in_cluster() {
  std::uint32_t rank = 0;
#if SPIKETUNE_SM90
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}

/// The barrier of a cluster: a thread that waits has arrived before, and reads what others wrote
/// before they arrived. Threads that have ended count as arrived. (PTX ISA, barrier.cluster.)
__device__ inline void arrive_at_cluster() {
#if SPIKETUNE_SM90
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ inline void wait_for_cluster() {
#if SPIKETUNE_SM90
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

/// Of an address in shared memory, the same place in that of block `rank` of the cluster.
[[nodiscard]] __device__ inline std::uint32_t in_cluster(std::uint32_t address,
                                                         std::uint32_t rank) {
  std::uint32_t there = address;
#if SPIKETUNE_SM90
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
#endif
  return there;
}
/// Four values to an in_cluster() address.
__device__ inline void store_in_cluster(std::uint32_t to, const float* values) {
#if SPIKETUNE_SM90
  asm volatile("st.shared::cluster.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to), "f"(values[0]),
               "f"(values[1]), "f"(values[2]), "f"(values[3])
               : "memory");
#endif
}
/// Four values of the block's own.
[[nodiscard]] __device__ inline float4 load_shared(std::uint32_t from) {
  float4 values = {};
#if SPIKETUNE_SM90
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(values.x), "=f"(values.y), "=f"(values.z), "=f"(values.w)
               : "r"(from)
               : "memory");
#endif
  return values;
}

/// Launches `blocks` blocks, a multiple of `size`, in clusters of `size`.
template <class... Parameters, class... Arguments>
void launch_clusters(const CudaContext& context, void (*kernel)(Parameters...), unsigned blocks,
                     unsigned size, unsigned threads, std::size_t shared_bytes,
                     Arguments&&... arguments) {
#if defined(SPIKETUNE_EMULATED)
  kernel<<<blocks, threads, shared_bytes, context.stream>>>(arguments...);
#else
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = size;
  attribute.val.clusterDim.y = 1;
  attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = context.stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...));
#endif
}

}  // namespace spiketune::cuda
