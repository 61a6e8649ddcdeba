// Counts over packed rows: lengths, unions, spikes beyond 2:4, spikes that stay.
//
// Bytes: the bits once, and once more (from L2) as the next time step of the row before; 4096² bits
// are 2 MB. Bound by the integer pipe, at about 20 instructions a word, of which population counts
// have a quarter of its rate; and at that size by the latency of a launch, which is why the kernel
// begins while another clears the sums.
//
//   warp    4 rows, a lane 16 bytes of each: all loads are in flight together
//           rows -> lengths (redux), OR of the four in registers
//   block   16 warps, 64 rows: ORs meet in shared memory -> vectors of 8, 16 and 64, 16×16 blocks
//   grid    blocks stay and take group after group; at the end one atomic a block and field

#include "spiketune/encoders/features.hpp"

#include <algorithm>
#include <cstdint>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/pack.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t warps = 16;
constexpr std::uint32_t rows_per_warp = 4;
constexpr std::uint32_t group_rows = warps * rows_per_warp;
/// Pieces of four words fill the registers.
template <std::uint32_t count>
constexpr int blocks_per_sm = count == 4 ? 1 : 2;

/// Counts of a thread. A warp's sum of one has room for 2³² spikes; those of whole rows are in lane
/// 0 only.
struct Tally {
  std::uint64_t nnz = 0, squared = 0;
  std::uint32_t longest = 0;
  std::uint32_t beyond = 0, followed = 0, stayed = 0;
  std::uint32_t vectors8 = 0, vectors16 = 0, vectors64 = 0, blocks = 0;
};

/// Words of one row that a lane holds at a time: 16 bytes, or a word where rows are not made of
/// whole pieces of 16.
template <std::uint32_t count>
struct Piece {
  std::uint32_t words[count];
};

template <std::uint32_t count>
__device__ Piece<count> load_piece(const BitRows& bits, std::uint64_t source, std::uint32_t w) {
  Piece<count> piece;
  const std::uint32_t* from = bits.words + source * bits.words_per_row() + w;
  if constexpr (count == 4) {
    const uint4 four = *reinterpret_cast<const uint4*>(from);
    piece.words[0] = four.x;
    piece.words[1] = four.y;
    piece.words[2] = four.z;
    piece.words[3] = four.w;
  } else {
    piece.words[0] = *from;
  }
  piece.words[count - 1] &= low_mask(bits.k - 32 * (w + count - 1));
  return piece;
}

/// Spikes beyond two in each four bits.
__device__ std::uint32_t beyond_two(std::uint32_t word) {
  std::uint32_t counts = word - (word >> 1 & 0x55555555u);
  counts = (counts & 0x33333333u) + (counts >> 2 & 0x33333333u);  // 0 to 4 in each four bits
  const std::uint32_t four = counts & 0x44444444u;
  return count_bits((counts & counts >> 1 & 0x11111111u) | four | four >> 1);
}

__device__ std::uint64_t next_step(const BitRows& bits, std::uint64_t source) {
  if (bits.map.from == RowOrder::time_major) {
    return source + bits.map.rows < bits.m ? source + bits.map.rows : source;
  }
  const auto step = static_cast<std::uint32_t>(source) % bits.map.timesteps;
  return step + 1 < bits.map.timesteps ? source + 1 : source;
}

/// ORs of the block's 64 rows meet: `unions` has those of each warp's four.
template <std::uint32_t count>
__device__ void tally_unions(const std::uint32_t (&unions)[warps][32 * count], Tally& tally) {
  static_assert(rows_per_warp == 4 && warps == 16);
  for (std::uint32_t i = threadIdx.x; i < 32 * count * 4; i += warps * 32) {
    const std::uint32_t first = i / (32 * count) * 4;  // of four warps
    const std::uint32_t w = i % (32 * count);
    const std::uint32_t upper = unions[first][w] | unions[first + 1][w];
    const std::uint32_t lower = unions[first + 2][w] | unions[first + 3][w];
    const std::uint32_t any = upper | lower;
    tally.vectors8 += count_bits(upper) + count_bits(lower);
    tally.vectors16 += count_bits(any);
    tally.blocks += ((any & 0xffffu) != 0) + (any >> 16 != 0);
  }
  for (std::uint32_t i = threadIdx.x; i < 32 * count; i += warps * 32) {
    std::uint32_t any = 0;
    for (std::uint32_t warp = 0; warp < warps; ++warp) any |= unions[warp][i];
    tally.vectors64 += count_bits(any);
  }
}

/// Adds up what the block's threads counted, and that to *features.
__device__ void add_tally(const Tally& tally, Features* features) {
  constexpr std::uint32_t fields = 9;
  __shared__ std::uint64_t of_warps[fields][warps];
  const std::uint64_t sums[fields] = {tally.nnz,
                                      tally.squared,
                                      warp_sum(tally.vectors8),
                                      warp_sum(tally.vectors16),
                                      warp_sum(tally.vectors64),
                                      warp_sum(tally.blocks),
                                      warp_sum(tally.beyond),
                                      warp_sum(tally.followed),
                                      warp_sum(tally.stayed)};
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (std::uint32_t i = 0; i < fields; ++i) of_warps[i][threadIdx.x / 32] = sums[i];
  }
  __syncthreads();
  if (threadIdx.x < fields) {
    std::uint64_t* const to[fields] = {&features->nnz,
                                       &features->squared_lengths,
                                       &features->vectors[0],
                                       &features->vectors[1],
                                       &features->vectors[2],
                                       &features->blocks,
                                       &features->beyond_two_four,
                                       &features->followed,
                                       &features->stayed};
    unsigned long long sum = 0;
    for (std::uint32_t warp = 0; warp < warps; ++warp) sum += of_warps[threadIdx.x][warp];
#pragma unroll
    for (std::uint32_t i = 0; i < fields; ++i) {
      if (i == threadIdx.x && sum != 0) {
        atomicAdd(reinterpret_cast<unsigned long long*>(to[i]), sum);
      }
    }
  }
}

__global__ void clear(Features* features) {
  start_dependents();
  static_assert(sizeof(Features) % 8 == 0);
  for (unsigned i = threadIdx.x; i < sizeof(Features) / 8; i += blockDim.x) {
    reinterpret_cast<std::uint64_t*>(features)[i] = 0;
  }
}

template <std::uint32_t count>
__global__ void __launch_bounds__(warps * 32, blocks_per_sm<count>)
    measure(const BitRows bits, Features* features) {
  __shared__ std::uint32_t unions[warps][32 * count];
  __shared__ std::uint32_t lengths[Features::length_classes];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t words = bits.words_per_row();
  if (threadIdx.x < Features::length_classes) lengths[threadIdx.x] = 0;
  __syncthreads();
  Tally tally;
  const bool steps = bits.map.timesteps > 1;
  const std::uint64_t groups = ceil_div(bits.m, group_rows);
  for (std::uint64_t group = blockIdx.x; group < groups; group += gridDim.x) {
    const std::uint64_t first = group * group_rows + warp * rows_per_warp;
    std::uint32_t length[rows_per_warp] = {};
    for (std::uint32_t base = 0; base < words; base += 32 * count) {
      const std::uint32_t w = base + lane * count;
      Piece<count> rows[rows_per_warp] = {};
      Piece<count> later[rows_per_warp] = {};
      bool last[rows_per_warp];
#pragma unroll
      for (std::uint32_t r = 0; r < rows_per_warp; ++r) {
        last[r] = true;
        if (first + r >= bits.m || w >= words) continue;
        const std::uint64_t source = bits.map.source(first + r);
        const std::uint64_t next = next_step(bits, source);
        last[r] = next == source;
        rows[r] = load_piece<count>(bits, source, w);
        if (!last[r]) later[r] = load_piece<count>(bits, next, w);
      }
#pragma unroll
      for (std::uint32_t i = 0; i < count; ++i) {
        std::uint32_t any = 0;
#pragma unroll
        for (std::uint32_t r = 0; r < rows_per_warp; ++r) {
          const std::uint32_t word = rows[r].words[i];
          const std::uint32_t spikes = count_bits(word);
          any |= word;
          length[r] += spikes;
          if (steps) {
            if (!last[r]) tally.followed += spikes;
            tally.stayed += count_bits(word & later[r].words[i]);
          }
          tally.beyond += beyond_two(word);
        }
        unions[warp][lane * count + i] = any;
      }
      __syncthreads();
      tally_unions<count>(unions, tally);
      __syncthreads();
    }
#pragma unroll
    for (std::uint32_t r = 0; r < rows_per_warp; ++r) {
      const std::uint32_t total = warp_sum(length[r]);
      if (lane != 0 || first + r >= bits.m) continue;
      tally.nnz += total;
      tally.squared += std::uint64_t{total} * total;
      tally.longest = std::max(tally.longest, total);
      atomicAdd(&lengths[length_class(total)], 1u);
    }
  }
  wait_for_primary();  // which clears
  add_tally(tally, features);
  if (lane == 0) {
    atomicMax(reinterpret_cast<unsigned long long*>(&features->longest),
              static_cast<unsigned long long>(tally.longest));
  }
  if (threadIdx.x < Features::length_classes && lengths[threadIdx.x] != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&features->lengths[threadIdx.x]),
              static_cast<unsigned long long>(lengths[threadIdx.x]));
  }
}

}  // namespace
}  // namespace cuda

void measure_features(const CudaContext& context, const SpikeView& spikes, RowOrder order,
                      Features* features) {
  check_features(spikes, features, Space::device);
  const SpikeShape& shape = spikes.shape;
  const BitRows bits{static_cast<const std::uint32_t*>(spikes.data),
                     shape.m(),
                     shape.k,
                     {shape.timesteps, shape.rows, spikes.row_order, order}};
  cuda::clear<<<1, 64, 0, context.stream>>>(features);
  cuda::check_launch();
  if (bits.m == 0) return;
  const bool wide = bits.words_per_row() % 4 == 0 &&
                    reinterpret_cast<std::uintptr_t>(bits.words) % sizeof(uint4) == 0;
  const int per_sm = wide ? cuda::blocks_per_sm<4> : cuda::blocks_per_sm<1>;
  const auto blocks = static_cast<unsigned>(std::min<std::uint64_t>(
      ceil_div(bits.m, cuda::group_rows), cuda::resident_blocks(context, per_sm)));
  const auto kernel = wide ? &cuda::measure<4> : &cuda::measure<1>;
  cuda::launch_dependent(context, kernel, dim3(blocks), dim3(cuda::warps * 32), 0, bits, features);
}

}  // namespace spiketune
