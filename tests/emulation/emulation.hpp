#pragma once
/// \file
/// CUDA's device vocabulary for translated kernels; force-included into each. See README.md.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#include "spiketune/core/half.hpp"

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__

namespace emulation {

/// Runs `kernel` once for each thread of the grid, synchronously. Throws std::logic_error where a
/// GPU would hang, fault, or do something undefined.
void launch(const std::function<void()>& kernel, dim3 grid, dim3 block,
            std::size_t shared_bytes = 0, void* stream = nullptr);

[[nodiscard]] void* dynamic_shared();

/// Memory that the threads of a block share, one piece for each key; poison at first.
[[nodiscard]] void* block_memory(const void* key, std::size_t bytes);

/// A __shared__ variable, wrapped in a struct of its own.
template <class Wrapper>
Wrapper& block_variable() {
  static_assert(alignof(Wrapper) <= alignof(std::max_align_t));
  static const char key = 0;
  return *static_cast<Wrapper*>(block_memory(&key, sizeof(Wrapper)));
}

/// Lets other threads run; for loops that wait for other blocks.
void pause();

/// Copies when the thread waits for it; until then the target is poison.
void copy_later(void* to, const void* from, std::size_t bytes);
void commit_copies();
void finish_copies(std::size_t but);

/// Waits for all threads of the block; returns how many passed true.
int block_barrier(bool predicate);

/// A warp collective: each lane gives 8 bytes and gets those of all 32. Throws where a lane of the
/// warp has exited or is in another collective.
const std::uint64_t* warp_exchange(std::uint64_t value, unsigned mask, int operation);

[[nodiscard]] unsigned lane();

template <class T>
std::uint64_t to_word(T value) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}

template <class T>
T from_word(std::uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

enum Operation {
  ballot,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  reduce,
  sync,
  multiply_a,
  multiply_b,
  load_matrix,
  transpose_matrix
};

template <class T>
T shuffle_from(unsigned mask, T value, Operation operation, unsigned source, bool in_range) {
  const std::uint64_t* words = warp_exchange(to_word(value), mask, operation);
  return in_range ? from_word<T>(words[source]) : value;
}

/// d += a · b as the warp's mma.m16n8k16 does it; T has the elements of a and b.
template <class T>
void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  const auto element = [](std::uint64_t word, unsigned at) {
    return spiketune::to_float(T{static_cast<std::uint16_t>(word >> 16 * at)});
  };
  const unsigned row = lane() / 4;
  const unsigned column = lane() % 4 * 2;
  // A word of the exchange has columns 2i, 2i + 1 of rows r and r + 8 of A; or rows 2i, 2i + 1 and
  // 8 further of a column of B.
  float left[2][16];
  for (unsigned half = 0; half < 2; ++half) {
    const std::uint64_t* words =
        warp_exchange(std::uint64_t{a[2 * half + 1]} << 32 | a[2 * half], 0xffffffffu, multiply_a);
    for (unsigned k = 0; k < 8; ++k) {
      for (unsigned below = 0; below < 2; ++below) {
        left[below][8 * half + k] = element(words[4 * row + k / 2], 2 * below + k % 2);
      }
    }
  }
  const std::uint64_t* words = warp_exchange(std::uint64_t{b1} << 32 | b0, 0xffffffffu, multiply_b);
  for (unsigned below = 0; below < 2; ++below) {
    for (unsigned right = 0; right < 2; ++right) {
      for (unsigned k = 0; k < 16; ++k) {
        d[2 * below + right] +=
            left[below][k] * element(words[4 * (column + right) + k % 8 / 2], k / 8 * 2 + k % 2);
      }
    }
  }
}

/// d += a · b as the warp's mma.sp.m16n8k32 with sparsity selector 0 does it.
template <class T>
void mma_sparse_m16n8k32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[4],
                         std::uint32_t metadata) {
  const auto element = [](std::uint64_t word, unsigned at) {
    return spiketune::to_float(T{static_cast<std::uint16_t>(word >> 16 * at)});
  };
  const unsigned row = lane() / 4;
  const unsigned column = lane() % 4 * 2;
  const std::uint64_t* words = warp_exchange(metadata, 0xffffffffu, multiply_a);
  const std::uint32_t places[2] = {static_cast<std::uint32_t>(words[4 * row]),
                                   static_cast<std::uint32_t>(words[4 * row + 1])};
  float left[2][32] = {};
  for (unsigned half = 0; half < 2; ++half) {
    words =
        warp_exchange(std::uint64_t{a[2 * half + 1]} << 32 | a[2 * half], 0xffffffffu, multiply_a);
    for (unsigned kept = 0; kept < 8; ++kept) {
      for (unsigned below = 0; below < 2; ++below) {
        const unsigned place = places[half] >> (16 * below + 2 * kept) & 3u;
        left[below][16 * half + kept / 2 * 4 + place] +=
            element(words[4 * row + kept / 2], 2 * below + kept % 2);
      }
    }
  }
  for (unsigned half = 0; half < 2; ++half) {
    words =
        warp_exchange(std::uint64_t{b[2 * half + 1]} << 32 | b[2 * half], 0xffffffffu, multiply_b);
    for (unsigned below = 0; below < 2; ++below) {
      for (unsigned right = 0; right < 2; ++right) {
        for (unsigned k = 0; k < 16; ++k) {
          d[2 * below + right] +=
              left[below][16 * half + k] *
              element(words[4 * (column + right) + k % 8 / 2], k / 8 * 2 + k % 2);
        }
      }
    }
  }
}

/// d += a · b as the warp's mma.m16n8k32 of bytes does it.
inline void mma_m16n8k32(std::int32_t (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                         std::uint32_t b1) {
  const unsigned row = lane() / 4;
  const unsigned column = lane() % 4 * 2;
  const auto element = [](std::uint64_t word, unsigned at) {
    return static_cast<std::int8_t>(word >> 8 * at);
  };
  std::int8_t left[2][32];  // rows r and r + 8
  for (unsigned half = 0; half < 2; ++half) {
    const std::uint64_t* words =
        warp_exchange(std::uint64_t{a[2 * half + 1]} << 32 | a[2 * half], 0xffffffffu, multiply_a);
    for (unsigned k = 0; k < 16; ++k) {
      for (unsigned below = 0; below < 2; ++below) {
        left[below][16 * half + k] = element(words[4 * row + k / 4], 4 * below + k % 4);
      }
    }
  }
  const std::uint64_t* words = warp_exchange(std::uint64_t{b1} << 32 | b0, 0xffffffffu, multiply_b);
  for (unsigned below = 0; below < 2; ++below) {
    for (unsigned right = 0; right < 2; ++right) {
      for (unsigned k = 0; k < 32; ++k) {
        d[2 * below + right] +=
            left[below][k] * element(words[4 * (column + right) + k % 16 / 4], k / 16 * 4 + k % 4);
      }
    }
  }
}

/// d += shared bits as the warp's mma.m16n8k256.and.popc counts them.
inline void mma_m16n8k256(std::int32_t (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                          std::uint32_t b1) {
  const unsigned row = lane() / 4;
  const unsigned column = lane() % 4 * 2;
  std::uint64_t left[2][4];  // rows r and r + 8 as halves of a word; words 0-3 and 4-7
  for (unsigned half = 0; half < 2; ++half) {
    const std::uint64_t* words =
        warp_exchange(std::uint64_t{a[2 * half + 1]} << 32 | a[2 * half], 0xffffffffu, multiply_a);
    std::copy_n(words + 4 * row, 4, left[half]);
  }
  const std::uint64_t* words = warp_exchange(std::uint64_t{b1} << 32 | b0, 0xffffffffu, multiply_b);
  for (unsigned below = 0; below < 2; ++below) {
    for (unsigned right = 0; right < 2; ++right) {
      for (unsigned k = 0; k < 8; ++k) {
        const auto bits = static_cast<std::uint32_t>(left[k / 4][k % 4] >> 32 * below);
        const auto others =
            static_cast<std::uint32_t>(words[4 * (column + right) + k % 4] >> k / 4 * 32);
        d[2 * below + right] += std::popcount(bits & others);
      }
    }
  }
}

inline void load_transposed(std::uint32_t (&loaded)[4], const void* row) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) throw "misaligned matrix";
  const std::uint64_t* rows =
      warp_exchange(reinterpret_cast<std::uintptr_t>(row), 0xffffffffu, load_matrix);
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    loaded[matrix] = 0;
    for (unsigned below = 0; below < 2; ++below) {
      const auto* from =
          reinterpret_cast<const std::uint16_t*>(rows[8 * matrix + lane() % 4 * 2 + below]);
      loaded[matrix] |= std::uint32_t{from[lane() / 4]} << 16 * below;
    }
  }
}

inline std::uint32_t transpose_8x8(std::uint32_t pair) {
  const std::uint64_t* words = warp_exchange(pair, 0xffffffffu, transpose_matrix);
  const unsigned column = lane() / 4;
  std::uint32_t result = 0;
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned row = lane() % 4 * 2 + i;
    const auto element = static_cast<std::uint16_t>(words[4 * row + column / 2] >> column % 2 * 16);
    result |= std::uint32_t{element} << 16 * i;
  }
  return result;
}

}  // namespace emulation

extern thread_local dim3 threadIdx;
extern thread_local dim3 blockIdx;
extern thread_local dim3 blockDim;
extern thread_local dim3 gridDim;

inline void __syncthreads() {
  emulation::block_barrier(false);
}
inline int __syncthreads_or(int predicate) {
  return emulation::block_barrier(predicate != 0) != 0;
}
inline int __syncthreads_count(int predicate) {
  return emulation::block_barrier(predicate != 0);
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulation::warp_exchange(0, mask, emulation::sync);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const std::uint64_t* words = emulation::warp_exchange(predicate != 0, mask, emulation::ballot);
  unsigned bits = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) != 0 && words[lane] != 0) bits |= 1u << lane;
  }
  return bits;
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  return emulation::shuffle_from(mask, value, emulation::shuffle,
                                 static_cast<unsigned>(source) % 32, true);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned step) {
  const unsigned lane = emulation::lane();
  return emulation::shuffle_from(mask, value, emulation::shuffle_up, (lane - step) % 32,
                                 lane >= step);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned step) {
  const unsigned lane = emulation::lane();
  return emulation::shuffle_from(mask, value, emulation::shuffle_down, (lane + step) % 32,
                                 lane + step < 32);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int step) {
  return emulation::shuffle_from(mask, value, emulation::shuffle_xor,
                                 emulation::lane() ^ static_cast<unsigned>(step), true);
}

namespace emulation {
template <class T, class Combine>
T warp_reduce(unsigned mask, T value, Combine combine) {
  const std::uint64_t* words = warp_exchange(to_word(value), mask, reduce);
  bool first = true;
  T result{};
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    const T other = from_word<T>(words[lane]);
    result = first ? other : combine(result, other);
    first = false;
  }
  return result;
}
}  // namespace emulation

template <class T>
T __reduce_add_sync(unsigned mask, T value) {
  return emulation::warp_reduce(mask, value, [](T a, T b) { return static_cast<T>(a + b); });
}
template <class T>
T __reduce_or_sync(unsigned mask, T value) {
  return emulation::warp_reduce(mask, value, [](T a, T b) { return static_cast<T>(a | b); });
}
template <class T>
T __reduce_max_sync(unsigned mask, T value) {
  return emulation::warp_reduce(mask, value, [](T a, T b) { return std::max(a, b); });
}
template <class T>
T __reduce_min_sync(unsigned mask, T value) {
  return emulation::warp_reduce(mask, value, [](T a, T b) { return std::min(a, b); });
}

// One thread of the emulation runs at a time, so atomics are plain.
template <class T, class U>
T atomicAdd(T* at, U value) {
  const T old = *at;
  *at = static_cast<T>(old + static_cast<T>(value));
  return old;
}
inline unsigned atomicInc(unsigned* at, unsigned last) {
  const unsigned old = *at;
  *at = old >= last ? 0 : old + 1;
  return old;
}
template <class T, class U>
T atomicMin(T* at, U value) {
  const T old = *at;
  *at = std::min(old, static_cast<T>(value));
  return old;
}
template <class T, class U>
T atomicMax(T* at, U value) {
  const T old = *at;
  *at = std::max(old, static_cast<T>(value));
  return old;
}
template <class T, class U>
T atomicOr(T* at, U value) {
  const T old = *at;
  *at = old | static_cast<T>(value);
  return old;
}

template <class T>
T __ldcs(const T* at) {
  if (reinterpret_cast<std::uintptr_t>(at) % alignof(T) != 0) throw "misaligned load";
  return *at;
}
template <class T>
T __ldg(const T* at) {
  return __ldcs(at);
}
template <class T>
T __ldcg(const T* at) {
  return __ldcs(at);
}
template <class T>
void __stcg(T* at, T value) {
  if (reinterpret_cast<std::uintptr_t>(at) % alignof(T) != 0) throw "misaligned store";
  *at = value;
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
  for (int i = 0; i < 32; i += 8) sum += (a >> i & 0xffu) * (b >> i & 0xffu);
  return sum;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const std::uint64_t bytes = std::uint64_t{b} << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<unsigned>(bytes >> 8 * (selector >> 4 * i & 7u) & 0xffu) << 8 * i;
  }
  return result;
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline int __ffsll(long long x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1;
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline void __threadfence() {}
inline void __nanosleep(unsigned) {}

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int) {
  return cudaSuccess;
}
