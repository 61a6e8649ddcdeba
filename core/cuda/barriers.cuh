#pragma once
/// \file
/// Barriers of shared memory that count arrivals and the bytes that asynchronous copies bring, by
/// their addresses there: `mbarrier` of PTX, from Hopper on.

#include <cstdint>

namespace spiketune::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define SPIKETUNE_BARRIERS 1
#else
#define SPIKETUNE_BARRIERS 0
#endif

#if defined(__CUDACC__)
__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}
#endif

#if SPIKETUNE_BARRIERS
/// Of 64 bits of shared memory. One thread calls; then fence_barriers(), and a barrier of those
/// that use it.
__device__ inline void init_barrier(std::uint32_t barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ inline void arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/// Arrives; the phase is not over before copies have brought `bytes` more.
__device__ inline void arrive_expecting(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

/// Until the phase of that parity is over.
__device__ inline void wait_for_phase(std::uint32_t barrier, std::uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
#endif

/// Makes initialised barriers visible to asynchronous copies.
__device__ inline void fence_barriers() {
#if SPIKETUNE_BARRIERS
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// What the thread wrote to shared memory comes before copies that it begins, or that a thread
/// begins which it meets at a barrier.
__device__ inline void fence_shared_writes() {
#if SPIKETUNE_BARRIERS
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

}  // namespace spiketune::cuda
