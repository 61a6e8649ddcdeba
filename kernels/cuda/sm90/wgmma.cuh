#pragma once
/// \file
/// Hopper's asynchronous instructions (sm_90a): barriers in shared memory, tensor copies, and
/// matrix products of a warpgroup with A in registers. Elsewhere they trap.

#include <cstdint>
#include <type_traits>

#include "spiketune/core/cuda/barriers.cuh"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/sm90/wgmma_registers.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SPIKETUNE_SM90 1
#else
#define SPIKETUNE_SM90 0
#endif

namespace spiketune::cuda {

/// Barriers of shared memory (core/cuda/barriers.cuh) by the address of the first: an address that
/// the compiler does not find anew each time.
class CopyBarriers {
 public:
  __device__ explicit CopyBarriers(const std::uint64_t* states) : first_(shared_address(states)) {
#if SPIKETUNE_SM90
    asm volatile("" : "+r"(first_));
#endif
  }
  /// One thread calls; then fence_barriers(), and a barrier of the block.
  __device__ void init(std::uint32_t i, std::uint32_t arrivals) const {
#if SPIKETUNE_SM90
    init_barrier(at(i), arrivals);
#endif
  }
  __device__ void arrive(std::uint32_t i) const {
#if SPIKETUNE_SM90
    cuda::arrive(at(i));
#endif
  }
  __device__ void arrive_expecting(std::uint32_t i, std::uint32_t bytes) const {
#if SPIKETUNE_SM90
    cuda::arrive_expecting(at(i), bytes);
#endif
  }
  /// Until the phase of that parity is over.
  __device__ void wait(std::uint32_t i, std::uint32_t parity) const {
#if SPIKETUNE_SM90
    wait_for_phase(at(i), parity);
#endif
  }
  [[nodiscard]] __device__ std::uint32_t at(std::uint32_t i) const {
    return first_ + 8 * i;
  }

 private:
  std::uint32_t first_;
};

/// Copies the box of a tensor map at (x, y) to shared memory; the barrier at that address counts
/// its bytes. One thread calls.
__device__ inline void copy_box(void* to, const void* map, std::uint32_t x, std::uint32_t y,
                                std::uint32_t barrier) {
#if SPIKETUNE_SM90
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
      "l"(map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
#endif
}

/// The same of a map of four dimensions, at (x, y, z, u).
__device__ inline void copy_box(void* to, const void* map, std::uint32_t x, std::uint32_t y,
                                std::uint32_t z, std::uint32_t u, std::uint32_t barrier) {
#if SPIKETUNE_SM90
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4, %5}], [%6];" ::"r"(shared_address(to)),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(u), "r"(barrier)
      : "memory");
#endif
}

/// Copies `bytes`, a multiple of 16, to shared memory; otherwise as copy_box().
__device__ inline void copy_bytes(void* to, const void* from, std::uint32_t bytes,
                                  std::uint32_t barrier) {
#if SPIKETUNE_SM90
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
#endif
}

/// Copies shared memory to the box of a tensor map at (x, y), as far as it is in the tensor. One
/// thread calls, and the same one commit_copies() and what waits.
__device__ inline void copy_box_out(const void* map, std::uint32_t x, std::uint32_t y,
                                    const void* from) {
#if SPIKETUNE_SM90
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map),
      "r"(x), "r"(y), "r"(shared_address(from))
      : "memory");
#endif
}
__device__ inline void commit_copies() {
#if SPIKETUNE_SM90
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
/// Until of at most `pending` groups of copies out of shared memory something is still to be read.
template <int pending>
__device__ void wait_until_read() {
#if SPIKETUNE_SM90
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
#endif
}

/// Barrier `id` of the block, 1 to 15, for `threads` threads, whole warps, of which some wait and
/// others only say that they were there: what they wrote before is visible to those that waited.
__device__ inline void wait_for_others(std::uint32_t id, std::uint32_t threads) {
#if SPIKETUNE_SM90
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
__device__ inline void tell_others(std::uint32_t id, std::uint32_t threads) {
#if SPIKETUNE_SM90
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

/// Registers of each thread of the warpgroup from here on.
template <int registers>
__device__ void take_registers() {
#if SPIKETUNE_SM90
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}
template <int registers>
__device__ void leave_registers() {
#if SPIKETUNE_SM90
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}

/// Before the first product, and after registers of one were written.
__device__ inline void begin_products() {
#if SPIKETUNE_SM90
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ inline void commit_products() {
#if SPIKETUNE_SM90
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
/// Until at most `pending` groups of products are not done.
template <int pending>
__device__ void wait_for_products() {
#if SPIKETUNE_SM90
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
#endif
}
/// Keeps the compiler from reading sums before a wait.
template <int count>
__device__ void keep_in_place(float (&sums)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

/// Operand B of 16-bit elements in shared memory: rows of 64 columns, 128 bytes, in TMA's 128-byte
/// swizzle; 8192 bytes on, the next 64 columns. The matrix begins at `rows`, a multiple of 1024
/// bytes. (PTX ISA, matrix descriptor; N is the major dimension.)
__device__ inline std::uint64_t describe_rows(const void* rows) {
  std::uint64_t described = std::uint64_t{(shared_address(rows) & 0x3ffffu) >> 4} |
                            std::uint64_t{8192 >> 4} << 16 | std::uint64_t{1024 >> 4} << 32 |
                            std::uint64_t{1} << 62;
#if SPIKETUNE_SM90
  asm volatile("" : "+l"(described));  // not to be found anew at each use
#endif
  return described;
}
/// The same matrix from 16 rows further down.
inline constexpr std::uint64_t sixteen_rows = 16 * 128 >> 4;

/// d += a · b for 64 rows and as many columns as `d` has of them: a lane has 4 sums of each 8
/// columns (PTX ISA, wgmma m64nNk16). Asynchronous: see wait_for_products().
template <class T, int columns>
__device__ void multiply(float (&d)[columns / 2], const std::uint32_t (&a)[4], std::uint64_t b) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>);
  static_assert(columns == 64 || columns == 128);
#if SPIKETUNE_SM90
// clang-format off
#define SPIKETUNE_WGMMA_64(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {" \
          SPIKETUNE_SUM_NAMES_32 \
          "}, {%32, %33, %34, %35}, %36, add, 1, 1, 1;\n}\n" \
          : SPIKETUNE_SUMS_32("+f", d, 0) \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define SPIKETUNE_WGMMA_128(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" \
          SPIKETUNE_SUM_NAMES_64 \
          "}, {%64, %65, %66, %67}, %68, add, 1, 1, 1;\n}\n" \
          : SPIKETUNE_SUMS_64("+f", d) \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
  // clang-format on
  if constexpr (columns == 64) {
    if constexpr (std::is_same_v<T, Half>) {
      SPIKETUNE_WGMMA_64("f16");
    } else {
      SPIKETUNE_WGMMA_64("bf16");
    }
  } else {
    if constexpr (std::is_same_v<T, Half>) {
      SPIKETUNE_WGMMA_128("f16");
    } else {
      SPIKETUNE_WGMMA_128("bf16");
    }
  }
#undef SPIKETUNE_WGMMA_64
#undef SPIKETUNE_WGMMA_128
#endif
}

/// The same with A sparse, two of every four of 32 columns: `a` has those that are kept, as if they
/// were a dense 64 × 16, and `metadata` of lanes 4·i and 4·i + 1 their places, rows i and i + 8 of
/// the warp's 16 in its lower and upper half, columns 0 to 15 and 16 to 31. (PTX ISA, wgmma
/// m64nNk32.sp, sparsity selector 0.) `b` has 32 rows.
template <class T, int columns>
__device__ void multiply_sparse(float (&d)[columns / 2], const std::uint32_t (&a)[4],
                                std::uint64_t b, std::uint32_t metadata) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>);
  static_assert(columns == 64 || columns == 128);
#if SPIKETUNE_SM90
// clang-format off
#define SPIKETUNE_WGMMA_SP_64(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sp.sync.aligned.m64n64k32.f32." type "." type " {" \
          SPIKETUNE_SUM_NAMES_32 \
          "}, {%32, %33, %34, %35}, %36, %37, 0, add, 1, 1, 1;\n}\n" \
          : SPIKETUNE_SUMS_32("+f", d, 0) \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(metadata))
#define SPIKETUNE_WGMMA_SP_128(type) \
  asm volatile( \
          "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n" \
          "wgmma.mma_async.sp.sync.aligned.m64n128k32.f32." type "." type " {" \
          SPIKETUNE_SUM_NAMES_64 \
          "}, {%64, %65, %66, %67}, %68, %69, 0, add, 1, 1, 1;\n}\n" \
          : SPIKETUNE_SUMS_64("+f", d) \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(metadata))
  // clang-format on
  if constexpr (columns == 64) {
    if constexpr (std::is_same_v<T, Half>) {
      SPIKETUNE_WGMMA_SP_64("f16");
    } else {
      SPIKETUNE_WGMMA_SP_64("bf16");
    }
  } else {
    if constexpr (std::is_same_v<T, Half>) {
      SPIKETUNE_WGMMA_SP_128("f16");
    } else {
      SPIKETUNE_WGMMA_SP_128("bf16");
    }
  }
#undef SPIKETUNE_WGMMA_SP_64
#undef SPIKETUNE_WGMMA_SP_128
#endif
}

}  // namespace spiketune::cuda
