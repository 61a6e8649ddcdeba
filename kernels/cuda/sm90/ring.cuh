#pragma once
/// \file
/// Rings of buffers in shared memory, which copies fill and warps read in turn.

#include <cstdint>

#include "spiketune/kernels/cuda/sm90/wgmma.cuh"

namespace spiketune::cuda {

/// The swizzle works on addresses: buffers begin at multiples of this many bytes.
inline constexpr std::uint32_t buffer_alignment = 1024;

/// From an address in shared memory, of which a launch asks for buffer_alignment bytes more, to the
/// first one for a buffer.
__device__ inline std::uint32_t bytes_to_buffers(std::uint32_t address) {
  return (buffer_alignment - address % buffer_alignment) % buffer_alignment;
}

/// Barriers of a ring: before it copies into a buffer a thread waits for `empty`, before they read
/// it warps wait for `full`.
struct Ring {
  CopyBarriers full;   ///< copies have written
  CopyBarriers empty;  ///< all warps have read

  /// States in shared memory, one for each buffer.
  __device__ Ring(const std::uint64_t* full_states, const std::uint64_t* empty_states)
      : full(full_states), empty(empty_states) {}
  /// For buffer i, which `warps` read. One thread calls; then fence_barriers(), and a barrier of
  /// the block.
  __device__ void init(std::uint32_t i, std::uint32_t warps) const {
    full.init(i, 1);
    empty.init(i, warps);
  }
};

/// Which buffer of a ring is next, and the parity of its use. Warps wait for `full` with that
/// parity, and the copying thread for `empty` with the other.
struct Turn {
  std::uint32_t buffers;
  std::uint32_t stage = 0;
  std::uint32_t parity = 0;

  __device__ explicit Turn(std::uint32_t count) : buffers(count) {}
  [[nodiscard]] __device__ std::uint32_t previous_stage() const {
    return (stage == 0 ? buffers : stage) - 1;
  }
  __device__ void advance() {
    if (++stage == buffers) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// The same of 2^n buffers in one register.
template <std::uint32_t buffers>
struct CountedTurn {
  static_assert((buffers & (buffers - 1)) == 0);
  std::uint32_t uses = 0;

  [[nodiscard]] __device__ std::uint32_t stage() const { return uses % buffers; }
  [[nodiscard]] __device__ std::uint32_t parity() const { return uses / buffers % 2; }
  [[nodiscard]] __device__ std::uint32_t previous_stage() const { return (uses - 1) % buffers; }
  __device__ void advance() { ++uses; }
};

}  // namespace spiketune::cuda
