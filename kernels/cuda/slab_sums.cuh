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
/// The eight pieces of a matrix lie in all banks: they are those of a row of 64 columns, or of
/// 32 columns in the first half of a line of shared memory and 32 in the second.

#include <cuda_pipeline_primitives.h>

#include <cstdint>
#include <type_traits>

#include "spiketune/core/context.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/cuda/mma.cuh"

namespace spiketune::cuda {

inline constexpr std::uint32_t group_rows = 4;    // of S, that go together
inline constexpr std::uint32_t line_bytes = 128;  // of shared memory: all banks

/// 8 · pieces columns of W in shared memory: `lines` lines, and one of zeros.
template <int pieces>
struct Slab {
  static constexpr std::uint32_t halves = 8 / pieces;  // rows of W in a line
  static constexpr std::uint32_t lists = group_rows * halves;
  std::uint32_t lines;

  [[nodiscard]] SPIKETUNE_HD std::uint32_t resident_rows() const { return lines * halves; }
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

template <class W, int pieces>
__device__ void load_slab(uint4* to, const Slab<pieces>& slab, const W* w, std::uint32_t k,
                          std::uint32_t n, std::uint32_t first_column) {
  const std::uint32_t piece = threadIdx.x % pieces;
  const std::uint32_t column = first_column + piece * 8;
  for (std::uint32_t row = threadIdx.x / pieces; row < slab.resident_rows();
       row += blockDim.x / pieces) {
    const std::uint32_t half = row < slab.lines ? 0 : 1;
    uint4* const at = to + (row - half * slab.lines) * 8 + half * pieces + piece;
    if (row < k && column < n) {
      __pipeline_memcpy_async(at, w + std::uint64_t{row} * n + column, 16);
    } else {
      *at = {0, 0, 0, 0};
    }
  }
  if (threadIdx.x < 8) to[slab.lines * 8 + threadIdx.x] = {0, 0, 0, 0};
  __pipeline_commit();
}

/// The sums of a group, in the registers of a warp. Lane 4·e + i has element e of pieces 2·i and
/// 2·i + 1 of eight. Those of 64 columns are of one row: row j's are at[j / 2][2·(j % 2)] and the
/// next. Those of 32 columns are of two: pieces 0 to 3 of row j, 4 to 7 of row j + 2.
template <class W, int pieces>
class Sums {
 public:
  float at[pieces / 4][4] = {};

  struct Operands {
    std::uint32_t low, high;  ///< B: which pieces to add up
    std::uint32_t far[4];     ///< A: a far spike's elements in the order of the sums

    __device__ explicit Operands(std::uint32_t lane) {
      const std::uint32_t k = lane % 4 * 2;
      const std::uint32_t n = lane / 4;
      const std::uint32_t same = ones<W>(k % pieces == n % pieces, (k + 1) % pieces == n % pieces);
      low = pieces == 8 || n < 4 ? same : 0;
      high = pieces == 8 || n >= 4 ? same : 0;
#pragma unroll
      for (std::uint32_t i = 0; i < 4; ++i) {
        const std::uint32_t element = n + i % 2 * 8;
        far[i] = ones<W>(element == 2 * k + i / 2 * 2, element == 2 * k + i / 2 * 2 + 1);
      }
      keep(low);
      keep(high);
      if constexpr (pieces == 4) {
        for (int i = 0; i < 4; ++i) keep(far[i]);
      }
    }
  };

  /// Adds what ldmatrix collected for entry `entry`.
  __device__ void add(const Operands& operands, const std::uint32_t (&loaded)[4], int entry) {
    mma_m16n8k16<W>(at[pieces == 8 ? entry % 2 : 0], loaded, operands.low, operands.high);
  }

  /// Adds the sums of far spikes, which come as: lane 4·e + i has of row i element e of pieces
  /// 0, 2, 1 and 3.
  __device__ void add_far(const float (&far)[4], std::uint32_t lane) {
    const bool odd = lane % 2 != 0;
    const float other0 = __shfl_xor_sync(~0u, odd ? far[0] : far[1], 1);
    const float other1 = __shfl_xor_sync(~0u, odd ? far[2] : far[3], 1);
    at[0][0] += odd ? other0 : far[0];
    at[0][1] += odd ? other1 : far[2];
    at[0][2] += odd ? far[1] : other0;
    at[0][3] += odd ? far[3] : other1;
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

inline int attribute(const CudaContext& context, cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, context.device));
  return value;
}

/// A block has 2 KB beside its lines, so that a block of plan_groups() can run beside it.
inline std::uint32_t most_lines(const CudaContext& context) {
  constexpr int beside = 2048;
  return static_cast<std::uint32_t>(
      (attribute(context, cudaDevAttrMaxSharedMemoryPerBlockOptin) - beside) / line_bytes - 1);
}

}  // namespace spiketune::cuda
