#pragma once
/// \file
/// Where warps of a product get the words of slots from: shared memory, where TMA puts them, or,
/// where rows are no whole pieces of 16 bytes, memory itself.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/sparse_mma.cuh"

namespace spiketune::cuda {

/// Keeps the compiler from making operands after the fence before products: it would then fence
/// each of them.
template <int blocks>
__device__ void keep_before_products(SparseOperands<blocks>& operands) {
#if SPIKETUNE_SM90
#pragma unroll
  for (int block = 0; block < blocks; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i) asm volatile("" : "+r"(operands.slots[block][half][i])::"memory");
      asm volatile("" : "+r"(operands.metadata[block][half])::"memory");
    }
  }
#endif
}

/// A buffer of the words of 256 columns of a tile's rows: 16 bytes of presence a row, then 32 bytes
/// of metadata a row, in TMA's 32-byte swizzle: eight rows of one step lie in different banks. A
/// load straight from memory would occupy L1 for eight clocks, one for each row's line.
struct SlotBuffers {
  static constexpr std::uint32_t count = 2;
  static constexpr std::uint32_t steps = 4;
  static constexpr std::uint32_t row_bytes = 48;
  static constexpr std::uint32_t presence_bytes = 16;

  std::uint32_t first;  ///< address in shared memory
  Ring ring;
};

/// Words step by step, tile by tile: load(), used() after they were used, and once more load() for
/// the first step of the next tile.
template <int blocks, bool staged>
class SlotSource;

template <int blocks>
class SlotSource<blocks, true> {
 public:
  static constexpr std::uint32_t tile_m = 128 * blocks;

  __device__ SlotSource(const TwoFour& format, const SlotBuffers& buffers, std::uint32_t in_tile)
      : buffers_(buffers),
        steps_(format.presence_words_per_row()),
        presence_(buffers.first + in_tile * 16),
        metadata_(buffers.first + tile_m * 16 + in_tile * 32),
        swizzle_(in_tile / 4 % 2 * 16) {}

  __device__ void begin_tile(const TwoFour&, std::uint64_t) {}
  __device__ void load(std::uint32_t step, SlotWords<2 * blocks>& words) {
    if (step >= steps_) return;
    const std::uint32_t part = step % SlotBuffers::steps;
    if (part == 0) buffers_.ring.full.wait(turn_.stage, turn_.parity);
    const std::uint32_t buffer = turn_.stage * (tile_m * SlotBuffers::row_bytes);
    const std::uint32_t presence = presence_ + buffer + 4 * part;
    const std::uint32_t metadata = metadata_ + buffer + (8 * part ^ swizzle_);
#pragma unroll
    for (int i = 0; i < 2 * blocks; ++i) {
      const int below = i / 2 * 64 + i % 2 * 8;
      words.presence[i] = load_shared(presence + 16 * below);
      load_shared(metadata + 32 * below, words.metadata[i]);
    }
  }
  __device__ void used(std::uint32_t step, std::uint32_t lane) {
    if (step % SlotBuffers::steps != SlotBuffers::steps - 1 && step + 1 != steps_) return;
    __syncwarp();
    if (lane == 0) buffers_.ring.empty.arrive(turn_.stage);
    turn_.advance();
  }

 private:
  __device__ static std::uint32_t load_shared(std::uint32_t address) {
    std::uint32_t word = 0;
#if SPIKETUNE_SM90
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(address) : "memory");
#endif
    return word;
  }
  __device__ static void load_shared(std::uint32_t address, std::uint32_t (&words)[2]) {
#if SPIKETUNE_SM90
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];"
                 : "=r"(words[0]), "=r"(words[1])
                 : "r"(address)
                 : "memory");
#endif
  }

  SlotBuffers buffers_;
  std::uint32_t steps_;
  std::uint32_t presence_;  ///< addresses of the lane's first row in the first buffer
  std::uint32_t metadata_;
  std::uint32_t swizzle_;
  Turn turn_{SlotBuffers::count};
};

template <int blocks>
class SlotSource<blocks, false> {
 public:
  __device__ SlotSource(const TwoFour& format, const SlotBuffers&, std::uint32_t)
      : rows_(format, 0) {}

  __device__ void begin_tile(const TwoFour& format, std::uint64_t row) {
    rows_ = SlotRows<2 * blocks>(format, row);
  }
  __device__ void load(std::uint32_t step, SlotWords<2 * blocks>& words) {
    rows_.load(step, words);
  }
  __device__ void used(std::uint32_t, std::uint32_t) {}

 private:
  SlotRows<2 * blocks> rows_;
};

}  // namespace spiketune::cuda
