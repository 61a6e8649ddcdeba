#include "spiketune/encoders/hyb.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/slots.cuh"

// One kernel fills the slots and keeps what has none as bits, another makes the tail of those.
// Bytes: the input and the encoding once, and, of strips that have a tail, the bits (1/8 of u8)
// twice, mostly in L2. Bound by memory.

namespace spiketune {
namespace cuda {
namespace {

inline constexpr std::uint32_t tile_strips = 32;   ///< whose tails a block stores
inline constexpr std::uint32_t region_tiles = 64;  ///< whose entries are added up, for the others

/// The tail on its way from one kernel to the other.
struct TailBits {
  std::uint32_t* words;    ///< [strips · words of a strip]; written where there is a tail
  std::uint32_t* entries;  ///< [strips]
  std::uint64_t* tiles;    ///< [tiles]: their entries
  std::uint64_t* regions;  ///< [regions]
};

struct HybSlots {
  Hyb format;
  ValueSource source;
  TailBits tail;

  /// Keeps the spikes beyond the slots of their rows, in place and for the other kernel.
  template <DType storage, class Start>
  __device__ std::uint32_t rest(const Strip& strip, std::uint32_t index, const SlotRange& range,
                                const StripUnits<storage>& units, Start&& start_of) const {
    constexpr std::uint32_t owned = owned_words<storage>;
    const std::uint32_t lane = threadIdx.x % 32;
    std::uint32_t entries = 0;
    if (!range.all_fit) {
      std::uint32_t rank = units.memory->before[lane];
#pragma unroll 1
      for (std::uint32_t i = 0; i < owned; ++i) {
        const std::uint32_t w = lane * owned + i;
        std::uint32_t word = strip.words[w];
        const std::uint32_t ordinal =
            strip.one_row() ? range.before + rank : rank - start_of(strip.row_of(32 * w));
        rank += count_bits(word);
        for (std::uint32_t slot = ordinal; slot < range.width && word != 0; ++slot) {
          word &= word - 1;
        }
        strip.words[w] = word;
        entries += count_bits(word);
      }
      __syncwarp();
      const auto* from = reinterpret_cast<const uint4*>(strip.words);
      auto* to = reinterpret_cast<uint4*>(tail.words + std::uint64_t{index} * strip_words<storage>);
#pragma unroll
      for (std::uint32_t i = lane; i < strip_words<storage> / 4; i += 32) to[i] = from[i];
      __syncwarp();  // the next strip's words come to the same place
    }
    const std::uint32_t all = range.all_fit ? 0 : warp_sum(entries);
    if (lane == 0) {
      tail.entries[index] = all;
      if (all != 0) {
        const std::uint32_t tile = index / tile_strips;
        State(tail.tiles[tile]).fetch_add(all, atomics::memory_order_relaxed);
        State(tail.regions[tile / region_tiles]).fetch_add(all, atomics::memory_order_relaxed);
      }
    }
    return entries;
  }
  __device__ void finish(std::uint32_t, std::uint32_t entries) const {
    __syncthreads();  // spikes have been added up in the same shared word
    add_to(&format.status->needed, entries);
  }
};

/// Of a warp, in shared memory.
template <DType storage>
struct alignas(16) TailStager {
  StripMemory<storage> bits;
  std::uint16_t staged[strip_window<storage> + 8];
};

/// Entries of all tiles before one. All threads call.
__device__ inline std::uint64_t entries_before(const TailBits& tail, std::uint32_t tile) {
  __shared__ std::uint64_t sums[strip_warps];
  const std::uint32_t region = tile / region_tiles;
  std::uint64_t sum = 0;
  for (std::uint32_t i = threadIdx.x; i < region; i += strip_threads) sum += tail.regions[i];
  for (std::uint32_t i = region * region_tiles + threadIdx.x; i < tile; i += strip_threads) {
    sum += tail.tiles[i];
  }
  for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(all_lanes, sum, other);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (std::uint32_t warp = 0; warp < strip_warps; ++warp) sum += sums[warp];
  return sum;
}

/// Stores the tail of one strip, which begins at `first`; `words` are the lane's.
template <DType storage, bool pattern>
__device__ void store_tail(const Strip& strip, const Hyb& hyb, const ValueSource& source,
                           const std::uint32_t (&words)[owned_words<storage>], std::uint64_t first,
                           std::uint32_t entries, TailStager<storage>& mine) {
  constexpr std::uint32_t owned = owned_words<storage>;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t count = 0;
  __syncwarp();
#pragma unroll
  for (std::uint32_t i = 0; i < owned; ++i) {
    mine.bits.words[lane * owned + i] = words[i];
    count += count_bits(words[i]);
  }
  mine.bits.before[lane] = warp_exclusive_sum(count);
  const StripUnits<storage> units{entries, &mine.bits, mine.staged};
  store_strip<storage>(
      units, first, hyb.capacity, pattern,
      [&](std::uint64_t at, std::uint32_t unit) {
        const std::uint64_t row = strip.first_row + strip.row_of(unit);
        const std::uint32_t column = strip.column_of(unit);
        hyb.tail_row_indices[at] = static_cast<std::uint32_t>(row);
        store_index(hyb.tail_column_indices, at, column);
        if constexpr (!pattern) source.copy_to(hyb.tail_values, at, row, column);
      },
      [&](std::uint64_t at, const uint4& eight) {
        store_rows(strip, hyb.tail_row_indices.data, at, eight);
        store_columns(strip, hyb.tail_column_indices, at, eight);
      });
}

/// A block stores the tails of a tile, a warp those of every eighth strip.
template <DType storage, bool pattern>
__global__ void __launch_bounds__(strip_threads, bits_of(storage) < 8 ? 2 : 3)
    store_tails(const __grid_constant__ TileTask task, const __grid_constant__ Hyb hyb,
                const __grid_constant__ ValueSource source, const TailBits tail) {
  constexpr std::uint32_t owned = owned_words<storage>;
  constexpr std::uint32_t turns = tile_strips / strip_warps;
  extern __shared__ uint4 shared[];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  TailStager<storage>& mine = reinterpret_cast<TailStager<storage>*>(shared)[warp];
  const std::uint32_t begin = blockIdx.x * tile_strips;
  wait_for_reset();
  const std::uint32_t of_lane = begin + lane < task.tiles ? tail.entries[begin + lane] : 0;
  if (__any_sync(all_lanes, of_lane != 0) == 0) return;
  const std::uint32_t before = warp_exclusive_sum(of_lane);
  std::uint32_t words[turns][owned];
#pragma unroll
  for (std::uint32_t i = 0; i < turns; ++i) {
    const std::uint32_t strip = warp + i * strip_warps;
    const bool there = __shfl_sync(all_lanes, of_lane, static_cast<int>(strip)) != 0;
    const std::uint32_t* from =
        tail.words + std::uint64_t{begin + strip} * strip_words<storage> + lane * owned;
    if (there) {
      load_words<owned>(from, words[i]);
    } else {
#pragma unroll
      for (std::uint32_t j = 0; j < owned; ++j) words[i][j] = 0;
    }
  }
  const std::uint64_t base = entries_before(tail, blockIdx.x);
#pragma unroll
  for (std::uint32_t i = 0; i < turns; ++i) {
    const auto strip = static_cast<int>(warp + i * strip_warps);
    const std::uint32_t entries = __shfl_sync(all_lanes, of_lane, strip);
    const std::uint64_t first = base + __shfl_sync(all_lanes, before, strip);
    if (entries == 0) continue;
    store_tail<storage, pattern>(Strip(task, begin + static_cast<std::uint32_t>(strip), nullptr),
                                 hyb, source, words[i], first, entries, mine);
  }
}

/// The workspace.
struct Scratch {
  Scratch(WorkspaceCarver& carver, DType storage, const TileTask& task)
      : tiles(ceil_div(task.tiles, tile_strips)), states(tiles + ceil_div(tiles, region_tiles)) {
    tail.words = carver.take<std::uint32_t>(task.tiles * 32 * owned_words_of(storage));
    tail.entries = carver.take<std::uint32_t>(task.tiles);
    tail.tiles = carver.take<std::uint64_t>(states);
    tail.regions = tail.tiles + tiles;
  }
  std::uint64_t tiles;
  std::uint64_t states;  ///< that are reset
  TailBits tail{};
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Hyb& hyb) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes.storage, cuda::plan_strips(spikes, hyb.layout.row_order));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Hyb& hyb,
            Workspace workspace) {
  check_encode(spikes, hyb, Space::device);
  WorkspaceCarver carver(workspace);
  const RowOrder order = hyb.layout.row_order;
  const ValueSource source = value_source(spikes, order);
  cuda::TileTask task = cuda::plan_strips(spikes, order);
  cuda::check_strips(task);
  const cuda::Scratch scratch(carver, spikes.storage, task);
  task.status = hyb.status;
  task.states = scratch.tail.tiles;
  cuda::reset_tiles(context, task, scratch.states);
  if (task.tiles == 0) return;
  const bool pattern = hyb.values.type == DType::bit;
  cuda::run_slots(context, spikes.storage, task, cuda::HybSlots{hyb, source, scratch.tail},
                  pattern);
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    const auto kernel =
        pattern ? cuda::store_tails<storage, true> : cuda::store_tails<storage, false>;
    const std::size_t bytes = cuda::strip_warps * sizeof(cuda::TailStager<storage>);
    cuda::allow_shared(kernel, bytes);
    cuda::launch_after_reset(context, kernel, static_cast<unsigned>(scratch.tiles),
                             cuda::strip_threads, bytes, task, hyb, source, scratch.tail);
  });
}

template void decode(const CudaContext&, const Hyb&, const MutableSpikeView&);

}  // namespace spiketune
