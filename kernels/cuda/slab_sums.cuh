#pragma once
/// \file
/// A slab of W in shared memory, and sums of its rows by the tensor cores.
///
/// An ldmatrix collects 32 pieces of 16 bytes of the rows of W that four rows of S name, and one
/// mma with ones in the right places adds their 256 elements in f32: two instructions in place of
/// four loads, eight conversions and eight additions of each lane.
///
///   matrix i of ldmatrix: 8 rows, which are pieces of W, of 8 elements. Transposed it is an
///   operand A, elements × pieces, and B says which pieces to add up: D[element][piece].
///
/// The eight pieces of a matrix are those of a row of 64 columns, which lie in all banks.

#include <cuda_pipeline_primitives.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "spiketune/core/context.hpp"
#include "spiketune/core/cuda/device.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/mma.cuh"

namespace spiketune::cuda {

inline constexpr std::uint32_t group_rows = 4;    // of S, that go together
inline constexpr std::uint32_t line_bytes = 128;  // of shared memory: all banks

/// 64 columns of W in shared memory: `lines` lines, a row each, and one of zeros.
struct Slab {
  std::uint32_t lines;

  [[nodiscard]] std::size_t bytes() const { return (std::size_t{lines} + 1) * line_bytes; }
};

/// Hides from the compiler where a value comes from, so that it keeps the value in a register
/// instead of computing it anew in each round.
__device__ inline void keep(std::uint32_t& value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(value));
#endif
}
template <class T>
__device__ void keep(const T*& pointer) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+l"(pointer));
#endif
}

/// The same for where shared memory begins, in the 32 bits that loads from there take.
__device__ inline void keep_shared(const char*& pointer) {
#if defined(__CUDA_ARCH__)
  auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
  keep(address);
  pointer = static_cast<const char*>(__cvta_shared_to_generic(address));
#endif
}

template <class T>
__device__ const T* advance(const T* base, std::uint32_t count, std::uint32_t bytes) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(base) +
                                    std::uint64_t{count} * bytes);
}

/// Elements of an operand: one or zero each.
template <class W>
__device__ std::uint32_t ones(bool low, bool high) {
  constexpr std::uint32_t one = std::is_same_v<W, Half> ? 0x3c00 : 0x3f80;
  return (low ? one : 0) | (high ? one << 16 : 0);
}

template <class W>
__device__ void load_slab(uint4* to, const Slab& slab, const W* w, std::uint32_t n,
                          std::uint32_t first_column) {
  const std::uint32_t piece = threadIdx.x % 8;
  const std::uint32_t column = first_column + piece * 8;
  for (std::uint32_t row = threadIdx.x / 8; row < slab.lines; row += blockDim.x / 8) {
    if (column < n) {
      __pipeline_memcpy_async(to + row * 8 + piece, w + std::uint64_t{row} * n + column, 16);
    } else {
      to[row * 8 + piece] = {0, 0, 0, 0};
    }
  }
  if (threadIdx.x < 8) to[slab.lines * 8 + threadIdx.x] = {0, 0, 0, 0};
  __pipeline_commit();
}

/// The sums of a group, in the registers of a warp. Lane 4·e + i has element e of pieces 2·i and
/// 2·i + 1 of eight: those of row j are at[j / 2][2·(j % 2)] and the next.
template <class W>
class Sums {
 public:
  float at[2][4] = {};

  struct Operand {
    std::uint32_t same;  ///< B: which pieces to add up

    __device__ explicit Operand(std::uint32_t lane) {
      const std::uint32_t k = lane % 4 * 2;
      const std::uint32_t n = lane / 4;
      same = ones<W>(k == n, k + 1 == n);
      keep(same);
    }
  };

  /// Adds what ldmatrix collected for entry `entry`.
  __device__ void add(const Operand& operand, const std::uint32_t (&loaded)[4], int entry) {
    mma_m16n8k16<W>(at[entry % 2], loaded, operand.same, operand.same);
  }
};

/// Lane 4·e + i has element e of pieces 2·i and 2·i + 1: stores elements 2·i and 2·i + 1 of
/// piece e.
template <class Y>
__device__ void store_pair(const Y* to, bool inside, float low, float high) {
  if constexpr (sizeof(Y) == 2) {
    const std::uint32_t both =
        transpose_8x8(from_float<Y>(low).bits | std::uint32_t{from_float<Y>(high).bits} << 16);
    if (inside) __stcg(reinterpret_cast<unsigned*>(const_cast<Y*>(to)), both);
  } else {
    const std::uint32_t a = __float_as_uint(low);
    const std::uint32_t b = __float_as_uint(high);
    const std::uint32_t lower = transpose_8x8(__byte_perm(a, b, 0x5410));
    const std::uint32_t upper = transpose_8x8(__byte_perm(a, b, 0x7632));
    const uint2 both = {__byte_perm(lower, upper, 0x5410), __byte_perm(lower, upper, 0x7632)};
    if (inside) __stcg(reinterpret_cast<uint2*>(const_cast<Y*>(to)), both);
  }
}

/// How many lines fit into the shared memory of a block, and 2 KB beside them.
inline std::uint32_t most_lines(const CudaContext& context) {
  constexpr int beside = 2048;
  return static_cast<std::uint32_t>(
      (attribute(context, cudaDevAttrMaxSharedMemoryPerBlockOptin) - beside) / line_bytes - 1);
}

/// Into how many parts the rows of S are cut, for a block for each slab and part, and how many of
/// these blocks share a multiprocessor.
struct Cut {
  std::uint64_t parts;
  unsigned beside_each_other;
};

/// All blocks run at a time. They share a multiprocessor only where that leaves fewer of these
/// idle: each loads a slab.
inline Cut cut_rows(const CudaContext& context, std::uint64_t slabs, std::size_t slab_bytes,
                    std::uint64_t most_parts) {
  const auto multiprocessors =
      static_cast<std::uint64_t>(attribute(context, cudaDevAttrMultiProcessorCount));
  const auto shared =
      static_cast<std::size_t>(attribute(context, cudaDevAttrMaxSharedMemoryPerMultiprocessor));
  constexpr std::size_t beside = 2048;  // bytes of a block beside its slab
  const auto parts = [&](unsigned blocks) {
    return std::clamp<std::uint64_t>(multiprocessors * blocks / slabs, 1, most_parts);
  };
  unsigned best = 1;
  for (unsigned blocks = 2; blocks <= 3 && blocks * (slab_bytes + beside) <= shared; ++blocks) {
    if (parts(blocks) * best > parts(best) * blocks) best = blocks;
  }
  return {parts(best), best};
}

}  // namespace spiketune::cuda
