#pragma once
/// \file
/// Positions of the tiles that blocks encode side by side: each tells how many units it has, and
/// finds how many are before it.

#include <cuda/atomic>

#include "spiketune/encoders/cuda/tile.cuh"

namespace spiketune::cuda {

namespace atomics = ::cuda;

using State = atomics::atomic_ref<std::uint64_t, atomics::thread_scope_device>;

/// A state is value · 4 + flag; flag 0: nothing yet, 1: units of the tile, 2: units before it, or,
/// where blocks look back, before its end. One thread calls.
__device__ inline void publish(std::uint64_t* states, std::uint64_t tile, std::uint64_t value,
                               std::uint32_t flag = 1) {
  State(states[tile]).store(value << 2 | flag, atomics::memory_order_relaxed);
}

__device__ inline std::uint64_t load_state(std::uint64_t* states, std::uint64_t tile) {
  return State(states[tile]).load(atomics::memory_order_relaxed);
}

/// Units of all tiles before one, by a warp that looks back to the nearest that tells those before
/// its end, which each publishes when it has found them. All lanes call. Cannot deadlock where
/// blocks take tiles in order.
__device__ inline std::uint64_t look_back(std::uint64_t* states, std::uint64_t tile) {
  constexpr std::uint32_t each = 8;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t before = 0;
  for (auto nearest = static_cast<std::int64_t>(tile) - 1;; nearest -= 32 * each) {
    std::uint64_t found[each];
    std::uint64_t known = 0;
    while (known == 0) {
      known = 1;
#pragma unroll
      for (std::uint32_t i = 0; i < each; ++i) {
        const std::int64_t other = nearest - lane - 32 * i;
        found[i] = other < 0 ? 2 : load_state(states, static_cast<std::uint64_t>(other));
        if ((found[i] & 3) == 0) known = 0;
      }
    }
    __syncwarp();
    bool all = false;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      if (all) continue;
      const std::uint32_t told = __ballot_sync(all_lanes, (found[i] & 2) != 0);
      const std::uint32_t last = told == 0 ? 31 : lowest_bit(told);
      if (lane <= last) before += found[i] >> 2;
      all = told != 0;
    }
    if (!all) continue;
    for (int other = 16; other > 0; other /= 2) before += __shfl_xor_sync(all_lanes, before, other);
    return before;
  }
}

/// Turns the counts of `tiles` tiles into positions, as they come; returns the sum of all. A block
/// of `threads` calls. A turn looks at four tiles a thread and takes those from the first on
/// that have told their counts.
template <int threads = tile_threads>
__device__ std::uint64_t scan_tiles(std::uint64_t* states, std::uint64_t tiles) {
  constexpr std::uint32_t warps = threads / 32;
  constexpr std::uint32_t each = 4;
  __shared__ uint2 seen[2][warps];  // tiles that are ready, and their sum
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t before = 0;
  std::uint64_t first = 0;
  for (std::uint32_t turn = 0; first < tiles; turn ^= 1) {
    const std::uint64_t tile = first + each * threadIdx.x;
    std::uint64_t found[each];
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      found[i] = tile + i < tiles ? load_state(states, tile + i) : 0;
    }
    std::uint32_t ready = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) ready += ready == i && (found[i] & 1) != 0;
    const std::uint32_t whole = __ballot_sync(all_lanes, ready == each);
    const std::uint32_t leading = whole == all_lanes ? 32 : lowest_bit(~whole);
    if (lane > leading) ready = 0;
    std::uint32_t sum = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      if (i < ready) sum += static_cast<std::uint32_t>(found[i] >> 2);
    }
    const std::uint32_t before_in_warp = warp_exclusive_sum(sum);
    const std::uint32_t all_ready = warp_sum(ready);
    if (lane == 31) seen[turn][warp] = {all_ready, before_in_warp + sum};
    __syncthreads();
    std::uint32_t tiles_taken = 0;
    std::uint32_t units_taken = 0;
    std::uint32_t before_warp = 0;
    bool open = true;  // all warps so far saw all of their tiles ready
    bool mine = false;
#pragma unroll
    for (std::uint32_t other = 0; other < warps; ++other) {
      const uint2 of = seen[turn][other];
      if (other == warp) {
        mine = open;
        before_warp = units_taken;
      }
      if (open) {
        tiles_taken += of.x;
        units_taken += of.y;
      }
      open = open && of.x == 32 * each;
    }
    std::uint64_t at = before + before_warp + before_in_warp;
#pragma unroll
    for (std::uint32_t i = 0; i < each; ++i) {
      if (!mine || i >= ready) continue;
      publish(states, tile + i, at, 2);
      at += found[i] >> 2;
    }
    before += units_taken;
    first += tiles_taken;
  }
  return before;
}

}  // namespace spiketune::cuda
