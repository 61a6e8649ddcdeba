#pragma once
/// \file
/// Spikes to bits in registers: what pack.cu and the one-pass encoders share.

#include <cstdint>
#include <type_traits>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/core/dtype.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune::cuda {

inline constexpr unsigned all_lanes = 0xffffffffu;

/// Up to 32 elements as bits, and which of them are invalid.
struct Packed {
  std::uint32_t bits = 0;
  std::uint32_t invalid = 0;
};

/// Four bytes, each below 4 if valid, to four bits: bit 8i of x goes to bit 24 + i.
__device__ inline std::uint32_t gather_bytes(std::uint32_t x) {
  return (((x | x >> 1) & 0x01010101u) * 0x01020408u) >> 24 & 0xfu;
}

__device__ inline std::uint32_t compress_even(std::uint32_t x) {
  x &= 0x55555555u;
  x = (x | x >> 1) & 0x33333333u;
  x = (x | x >> 2) & 0x0f0f0f0fu;
  x = (x | x >> 4) & 0x00ff00ffu;
  return (x | x >> 8) & 0x0000ffffu;
}

template <std::uint32_t sign, std::uint32_t exponent, std::uint32_t one, std::uint32_t two,
          std::uint32_t three>
__device__ Packed pack_float(std::uint32_t x, ValueKind kind) {
  const bool nonzero = (x & (sign - 1)) != 0;
  const bool valid = kind == ValueKind::graded   ? (x & exponent) != exponent
                     : kind == ValueKind::binary ? x == one
                                                 : x == one || x == two || x == three;
  return {nonzero, nonzero && !valid};
}

/// One element by its bit pattern.
template <DType storage>
__device__ Packed pack_element(std::uint32_t x, ValueKind kind) {
  if constexpr (storage == DType::f16) {
    return pack_float<0x8000u, 0x7c00u, 0x3c00u, 0x4000u, 0x4200u>(x, kind);
  } else if constexpr (storage == DType::bf16) {
    return pack_float<0x8000u, 0x7f80u, 0x3f80u, 0x4000u, 0x4040u>(x, kind);
  } else if constexpr (storage == DType::f32) {
    return pack_float<0x80000000u, 0x7f800000u, 0x3f800000u, 0x40000000u, 0x40400000u>(x, kind);
  } else {  // bit, u2, u8
    return {x != 0, x > (kind == ValueKind::binary ? 1u : 3u)};
  }
}

/// Four bytes of input.
template <DType storage>
__device__ Packed pack_word(std::uint32_t x, ValueKind kind) {
  const bool binary = kind == ValueKind::binary;
  if constexpr (storage == DType::bit) {
    return {x, 0};
  } else if constexpr (storage == DType::u2) {
    return {compress_even(x | x >> 1), binary ? compress_even(x >> 1) : 0u};
  } else if constexpr (storage == DType::u8) {
    const std::uint32_t bad = x & (binary ? 0xfefefefeu : 0xfcfcfcfcu);
    Packed result{gather_bytes(x), 0};
    if (bad != 0) {  // an error is on its way: no need to be quick
      for (int i = 0; i < 4; ++i) result.invalid |= std::uint32_t{(bad >> 8 * i & 0xff) != 0} << i;
    }
    return result;
  } else if constexpr (storage == DType::f32) {
    return pack_element<storage>(x, kind);
  } else {
    const Packed low = pack_element<storage>(x & 0xffffu, kind);
    const Packed high = pack_element<storage>(x >> 16, kind);
    return {low.bits | high.bits << 1, low.invalid | high.invalid << 1};
  }
}

/// Sixteen bytes of input.
template <DType storage>
struct PackedPiece {
  static constexpr std::uint32_t elements = 128 / bits_of(storage);
  std::conditional_t<storage == DType::u2, std::uint64_t, std::uint32_t> bits = 0;
  std::uint32_t invalid = 0;  ///< zero: all elements are of their kind; else `bits` is anything
};

/// Two or one binary floating-point elements to a word: `one` is 1 as a pattern in each, `unit` the
/// lowest bit of that, `shift` from there to the sign. Zero where all are 0, -0 or 1.
template <std::uint32_t unit, std::uint32_t one, std::uint32_t shift>
__device__ std::uint32_t not_binary(const uint4& x) {
  constexpr std::uint32_t units = one == 0x3f800000u ? unit : unit << 16 | unit;
  constexpr std::uint32_t signs = units << shift;
  const auto differs = [](std::uint32_t word) { return word ^ (word & units) * (one / unit); };
  const std::uint32_t wrong = differs(x.x) | differs(x.y) | differs(x.z) | differs(x.w);
  const std::uint32_t negative =
      (x.x & x.x << shift) | (x.y & x.y << shift) | (x.z & x.z << shift) | (x.w & x.w << shift);
  return (wrong & ~signs) | (negative & signs);
}

/// Eight halves, in each of which bit `log2(unit)` tells a spike, to eight bits.
template <std::uint32_t unit>
__device__ std::uint32_t gather_halves(const uint4& x) {
  constexpr std::uint32_t units = unit << 16 | unit;
  constexpr int at = unit == 0x0400u ? 10 : 7;
  // Elements 0 2 4 6 of a piece are low halves, the others high ones: even bits at `at - 4`, odd
  // ones 16 above.
  const std::uint32_t low = (x.x & units) + (x.y & units) * 4;
  const std::uint32_t high = (x.z & units) + (x.w & units) * 4;
  const std::uint32_t both = (low >> 4) + high;
  return (both >> (at - 4) & 0x55u) | (both >> (at + 11) & 0xaau);
}

/// The quick way for binary spikes and two-bit bytes, word by word for the rest.
template <DType storage>
__device__ PackedPiece<storage> pack_piece(const uint4& x, ValueKind kind) {
  const bool binary = kind == ValueKind::binary;
  if constexpr (storage == DType::u8) {
    uint4 ones = x;
    if (!binary) {
      const auto nonzero = [](std::uint32_t word) { return (word | word >> 1) & 0x01010101u; };
      ones = {nonzero(x.x), nonzero(x.y), nonzero(x.z), nonzero(x.w)};
    }
    const std::uint32_t low = __dp4a(ones.y, 0x80402010u, __dp4a(ones.x, 0x08040201u, 0u));
    const std::uint32_t high = __dp4a(ones.w, 0x80402010u, __dp4a(ones.z, 0x08040201u, 0u));
    return {low + high * 256, (x.x | x.y | x.z | x.w) & (binary ? 0xfefefefeu : 0xfcfcfcfcu)};
  } else if constexpr (storage == DType::f16) {
    if (binary) return {gather_halves<0x0400u>(x), not_binary<0x0400u, 0x3c00u, 5>(x)};
  } else if constexpr (storage == DType::bf16) {
    if (binary) return {gather_halves<0x0080u>(x), not_binary<0x0080u, 0x3f80u, 8>(x)};
  } else if constexpr (storage == DType::f32) {
    constexpr std::uint32_t unit = 0x00800000u;
    if (binary) {
      const std::uint32_t sum =
          (x.x & unit) + (x.y & unit) * 2 + (x.z & unit) * 4 + (x.w & unit) * 8;
      return {sum >> 23, not_binary<unit, 0x3f800000u, 8>(x)};
    }
  }
  constexpr std::uint32_t per_word = PackedPiece<storage>::elements / 4;
  const std::uint32_t parts[4] = {x.x, x.y, x.z, x.w};
  PackedPiece<storage> piece;
#pragma unroll
  for (std::uint32_t part = 0; part < 4; ++part) {
    const Packed packed = pack_word<storage>(parts[part], kind);
    piece.bits |= static_cast<decltype(piece.bits)>(packed.bits) << (part * per_word);
    piece.invalid |= packed.invalid;
  }
  return piece;
}

/// Bit pattern of one element that has bytes of its own, from memory.
template <DType storage>
__device__ std::uint32_t load_pattern(const void* data, std::uint32_t k_total, std::uint64_t row,
                                      std::uint32_t k) {
  if constexpr (storage == DType::u8) {
    return static_cast<const std::uint8_t*>(data)[row * k_total + k];
  } else if constexpr (storage == DType::f32) {
    return static_cast<const std::uint32_t*>(data)[row * k_total + k];
  } else {
    return static_cast<const std::uint16_t*>(data)[row * k_total + k];
  }
}

__device__ inline void report_invalid(EncodeStatus* status, std::uint64_t element) {
  wait_for_primary();
  atomicMin(reinterpret_cast<unsigned long long*>(&status->first_invalid),
            static_cast<unsigned long long>(element));
}

inline constexpr int pack_threads = 256;

/// Adds the counts of a block of pack_threads threads to nnz; all of them call.
__device__ inline void add_count(EncodeStatus* status, std::uint64_t count) {
  for (int lane = 16; lane > 0; lane /= 2) count += __shfl_down_sync(all_lanes, count, lane);
  __shared__ std::uint64_t warp_counts[pack_threads / 32];
  if (threadIdx.x % 32 == 0) warp_counts[threadIdx.x / 32] = count;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < pack_threads / 32; ++warp) count += warp_counts[warp];
  if (count != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&status->nnz),
              static_cast<unsigned long long>(count));
  }
}

static __global__ void reset_status_kernel(EncodeStatus* status) {
  *status = {0, 0, 0, EncodeStatus::none_invalid};
}

/// No spikes, no need, no loss, nothing invalid.
inline void reset_status(const CudaContext& context, EncodeStatus* status) {
  reset_status_kernel<<<1, 1, 0, context.stream>>>(status);
  check_launch();
}

/// Blocks that a device holds at once.
inline unsigned resident_blocks(const CudaContext& context, int per_multiprocessor) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  return static_cast<unsigned>(multiprocessors * per_multiprocessor);
}

/// Blocks of pack_threads threads that a multiprocessor holds.
inline constexpr int full_blocks_per_sm = 2048 / pack_threads;

/// run.operator()<storage>() for the storage of spikes.
template <class Run>
void with_storage(DType storage, Run&& run) {
  switch (storage) {
    case DType::bit:
      return run.template operator()<DType::bit>();
    case DType::u2:
      return run.template operator()<DType::u2>();
    case DType::u8:
      return run.template operator()<DType::u8>();
    case DType::f16:
      return run.template operator()<DType::f16>();
    case DType::bf16:
      return run.template operator()<DType::bf16>();
    default:
      return run.template operator()<DType::f32>();
  }
}

}  // namespace spiketune::cuda
