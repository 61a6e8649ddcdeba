#pragma once
/// \file
/// One-pass encoders: the dense tensor is read once, packed to bits in shared memory, counted,
/// placed by decoupled look-back, and expanded from the same bits.
///
///   global --16 B loads--> registers --pack--> shared (bits) --popcount, scan--> counts
///     counts --look-back over tiles--> offsets;  bits --expand--> shared (staging) --> global
///
/// A tile is a run of whole groups of rows of about 32 K elements, or, where one group is larger
/// than that, a part of its columns. Tiles are taken in order from a counter, so that the tiles
/// before one are always running or done, and looking back cannot deadlock. Bytes: the input once
/// and the encoding once; bound by memory.
///
/// What is stored is up to an Emit:
///   std::uint32_t mask(bits, group, w)     the w-th word of units of a group of rows in the tile:
///   a
///                                          set bit is a unit of capacity (a nonzero, block,
///                                          vector)
///   void store(position, bits, group, i)   writes unit i of that group at `position`
///   void rest(bits)                        whatever else a tile writes (2:4 metadata)
///   std::uint64_t capacity()
/// (D. Merrill and M. Garland, Single-pass Parallel Prefix Scan with Decoupled Look-back, 2016)

#include <algorithm>
#include <cuda/atomic>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/pack.hpp"

namespace spiketune::cuda {

namespace atomics = ::cuda;

inline constexpr int tile_threads = 256;
inline constexpr std::uint32_t tile_elements = 32768;  ///< aimed at; a multiple of whole rows
inline constexpr std::uint32_t tile_words = 4096;      ///< at most, unless a group has more rows
inline constexpr std::uint32_t staged_units = 4096;

struct TileTask {
  const void* data;
  std::uint64_t m;
  std::uint32_t k;
  std::uint32_t words_per_row;  ///< at least 1: a matrix without columns has empty words
  ValueKind kind;
  RowMap map;  ///< wanted row -> row of data
  std::uint32_t rows_per_tile;
  std::uint32_t rows_per_group;
  std::uint32_t
      words_per_unit_word;   ///< words of a row that make one word of units: 1, or block size
  std::uint32_t part_words;  ///< words of a row in a tile
  std::uint32_t parts;       ///< tiles side by side; 1 unless rows are very long
  std::uint64_t tiles;
  bool wide;               ///< rows are made of whole 16-byte pieces of whole words
  std::uint32_t* offsets;  ///< [groups + 1], or null
  EncodeStatus* status;
  std::uint64_t* states;  ///< [tiles + 1]: look-back words, then the counter of tiles taken
};

/// Bits of one tile in shared memory.
struct TileBits {
  const std::uint32_t* words;
  std::uint64_t first_row;
  std::uint32_t first_word;  ///< of the row
  std::uint32_t rows;
  std::uint32_t words_per_row;  ///< in this tile

  __device__ std::uint32_t word(std::uint32_t row, std::uint32_t w) const {
    return row < rows && w < words_per_row ? words[row * words_per_row + w] : 0;
  }
};

/// Sum of the aggregates of all tiles before `tile`. One warp calls; all its lanes get it.
/// A state is value · 4 + flag; flag 0: nothing yet, 1: the tile's own sum, 2: sum up to its end.
__device__ inline std::uint64_t look_back(std::uint64_t* states, std::uint64_t tile,
                                          std::uint64_t aggregate) {
  using State = atomics::atomic_ref<std::uint64_t, atomics::thread_scope_device>;
  const std::uint32_t lane = threadIdx.x % 32;
  if (lane == 0) {
    State(states[tile]).store(aggregate << 2 | (tile == 0 ? 2 : 1), atomics::memory_order_relaxed);
  }
  std::uint64_t before = 0;
  for (std::uint64_t end = tile; end > 0;) {
    const bool there = lane < end;
    std::uint64_t state = 0;
    do {
      state = there ? State(states[end - 1 - lane]).load(atomics::memory_order_relaxed) : 2;
    } while (__any_sync(all_lanes, (state & 3) == 0));
    const std::uint32_t ends = __ballot_sync(all_lanes, (state & 3) == 2);
    const std::uint32_t last = ends != 0 ? lowest_bit(ends) : 31;
    std::uint64_t sum = lane <= last ? state >> 2 : 0;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(all_lanes, sum, step);
    before += sum;
    if (ends != 0) break;
    end -= 32;
  }
  if (lane == 0 && tile != 0) {
    State(states[tile]).store((before + aggregate) << 2 | 2, atomics::memory_order_relaxed);
  }
  return before;
}

/// Exclusive sum over the block, and the total; all threads call.
template <class T>
__device__ T block_exclusive_sum(T value, T* total) {
  __shared__ T warp_sums[tile_threads / 32];
  const std::uint32_t lane = threadIdx.x % 32;
  T sum = value;
#pragma unroll
  for (std::uint32_t step = 1; step < 32; step *= 2) {
    const T below = __shfl_up_sync(all_lanes, sum, step);
    if (lane >= step) sum += below;
  }
  if (lane == 31) warp_sums[threadIdx.x / 32] = sum;
  __syncthreads();
  T before = 0;
  T all = 0;
#pragma unroll
  for (int warp = 0; warp < tile_threads / 32; ++warp) {
    if (warp == static_cast<int>(threadIdx.x / 32)) before = all;
    all += warp_sums[warp];
  }
  *total = all;
  return before + sum - value;
}

/// Adds the values of a block's threads to a counter of the status: one atomic for the tile, since
/// those at one address wait for each other. All threads call, at most once.
__device__ inline void add_to(std::uint64_t* counter, std::uint32_t value) {
  std::uint32_t total = 0;
  block_exclusive_sum(value, &total);
  if (threadIdx.x == 0 && total != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(counter),
              static_cast<unsigned long long>(total));
  }
}

/// Packed input: words are copied, their padding cleared.
__device__ inline void pack_tile_bits(const TileTask& task, const TileBits& tile,
                                      std::uint32_t* words) {
  const auto* input = static_cast<const std::uint32_t*>(task.data);
  for (std::uint32_t i = threadIdx.x; i < tile.rows * tile.words_per_row; i += tile_threads) {
    const std::uint32_t row = i / tile.words_per_row;
    const std::uint32_t w = tile.first_word + i - row * tile.words_per_row;
    const std::uint64_t source = task.map.source(tile.first_row + row);
    words[i] = task.k == 0 ? 0 : input[source * task.words_per_row + w] & low_mask(task.k - 32 * w);
  }
}

/// Any K and alignment: a warp makes one word by ballot.
template <DType storage>
__device__ void pack_tile_ragged(const TileTask& task, const TileBits& tile, std::uint32_t* words) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t total = tile.rows * tile.words_per_row;
  for (std::uint32_t i = threadIdx.x / 32; i < total; i += tile_threads / 32) {
    const std::uint32_t row = i / tile.words_per_row;
    const std::uint32_t k = (tile.first_word + i - row * tile.words_per_row) * 32 + lane;
    const std::uint64_t source = task.map.source(tile.first_row + row);
    Packed packed;
    if (k < task.k) {
      packed =
          pack_element<storage>(load_pattern<storage>(task.data, task.k, source, k), task.kind);
    }
    if (packed.invalid != 0) report_invalid(task.status, source * task.k + k);
    const std::uint32_t bits = __ballot_sync(all_lanes, packed.bits != 0);
    if (lane == 0) words[i] = bits;
  }
}

/// Whole 16-byte pieces: a thread packs one, the lanes that share a word merge theirs.
template <DType storage>
__device__ void pack_tile_wide(const TileTask& task, const TileBits& tile, std::uint32_t* words) {
  constexpr std::uint32_t per_piece = 128 / bits_of(storage);
  constexpr std::uint32_t per_word = per_piece / 4;
  constexpr int unroll = 4;
  const std::uint32_t stride = task.k / per_piece;  // pieces of a row
  const std::uint32_t pieces_per_row =
      tile.words_per_row * 32 / per_piece;  // of those, in the tile
  const std::uint32_t pieces = tile.rows * pieces_per_row;
  const bool contiguous = task.map.from == task.map.to && task.parts == 1;
  const auto* input = static_cast<const uint4*>(task.data) + tile.first_word * 32 / per_piece;
  const auto place = [&](std::uint32_t piece) {
    if (contiguous) return tile.first_row * stride + piece;
    const std::uint32_t row = piece / pieces_per_row;
    return task.map.source(tile.first_row + row) * stride + (piece - row * pieces_per_row);
  };
  for (std::uint32_t begin = 0; begin < pieces; begin += tile_threads * unroll) {
    uint4 loaded[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint32_t piece = begin + u * tile_threads + threadIdx.x;
      loaded[u] = piece < pieces ? __ldcs(input + place(piece)) : uint4{0, 0, 0, 0};
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint32_t piece = begin + u * tile_threads + threadIdx.x;
      const std::uint32_t parts[4] = {loaded[u].x, loaded[u].y, loaded[u].z, loaded[u].w};
      std::uint64_t bits = 0;  // per_piece of them, at most 64
      std::uint64_t invalid = 0;
#pragma unroll
      for (std::uint32_t part = 0; part < 4; ++part) {
        const Packed packed = pack_word<storage>(parts[part], task.kind);
        bits |= std::uint64_t{packed.bits} << (part * per_word);
        invalid |= std::uint64_t{packed.invalid} << (part * per_word);
      }
      if (invalid != 0) {
        report_invalid(task.status, (place(piece) + tile.first_word * 32 / per_piece) * per_piece +
                                        static_cast<std::uint32_t>(
                                            __ffsll(static_cast<long long>(invalid)) - 1));
      }
      if constexpr (per_piece == 64) {
        if (piece < pieces) {
          words[2 * piece] = static_cast<std::uint32_t>(bits);
          words[2 * piece + 1] = static_cast<std::uint32_t>(bits >> 32);
        }
      } else {
        constexpr std::uint32_t lanes = 32 / per_piece;  // that share a word
        auto word = static_cast<std::uint32_t>(bits) << threadIdx.x % lanes * per_piece;
#pragma unroll
        for (std::uint32_t lane = 1; lane < lanes; lane *= 2) {
          word |= __shfl_xor_sync(all_lanes, word, lane);
        }
        if (threadIdx.x % lanes == 0 && piece < pieces) words[piece / lanes] = word;
      }
    }
  }
}

template <DType storage>
__device__ void pack_tile(const TileTask& task, const TileBits& tile, std::uint32_t* words) {
  if constexpr (storage == DType::bit) {
    pack_tile_bits(task, tile, words);
  } else if (task.wide) {
    pack_tile_wide<storage>(task, tile, words);
  } else {
    pack_tile_ragged<storage>(task, tile, words);
  }
}

/// Walks the words of units [begin, end) of a tile; visit(group, w).
template <class Visit>
__device__ void for_each_unit_word(std::uint32_t begin, std::uint32_t end,
                                   std::uint32_t words_per_group, Visit&& visit) {
  std::uint32_t group = begin / words_per_group;
  std::uint32_t w = begin - group * words_per_group;
  for (std::uint32_t i = begin; i < end; ++i) {
    visit(group, w);
    if (++w == words_per_group) {
      w = 0;
      ++group;
    }
  }
}

/// Spikes in this thread's share of the tile.
__device__ inline std::uint32_t count_spikes(const TileBits& tile) {
  std::uint32_t spikes = 0;
  for (std::uint32_t i = threadIdx.x; i < tile.rows * tile.words_per_row; i += tile_threads) {
    spikes += count_bits(tile.words[i]);
  }
  return spikes;
}

__device__ inline std::uint64_t take_tile(const TileTask& task) {
  __shared__ std::uint64_t tile;
  if (threadIdx.x == 0) {
    tile = atomicAdd(reinterpret_cast<unsigned long long*>(task.states + task.tiles), 1ull);
  }
  __syncthreads();
  return tile;
}

/// Position of the tile's first unit among all. The last tile writes what follows from the total.
__device__ inline std::uint64_t place_tile(const TileTask& task, std::uint64_t tile,
                                           std::uint32_t units) {
  __shared__ std::uint64_t base;
  if (threadIdx.x < 32) {
    const std::uint64_t before = look_back(task.states, tile, units);
    if (threadIdx.x == 0) {
      base = before;
      if (tile + 1 == task.tiles) {
        task.status->needed = before + units;
        if (task.offsets != nullptr) {
          task.offsets[ceil_div(task.m, task.rows_per_group)] =
              static_cast<std::uint32_t>(before + units);
        }
      }
    }
  }
  __syncthreads();
  return base;
}

template <DType storage, class Emit>
__global__ void __launch_bounds__(tile_threads)
    encode_tiles(const __grid_constant__ TileTask task, const __grid_constant__ Emit emit) {
  extern __shared__ std::uint32_t words[];
  __shared__ std::uint32_t staged[staged_units];
  const std::uint64_t tile = take_tile(task);
  const std::uint64_t first_row = tile / task.parts * task.rows_per_tile;
  const auto part = static_cast<std::uint32_t>(tile % task.parts);
  const TileBits bits{
      words, first_row, part * task.part_words,
      static_cast<std::uint32_t>(std::min<std::uint64_t>(task.rows_per_tile, task.m - first_row)),
      std::min(task.part_words, task.words_per_row - part * task.part_words)};
  pack_tile<storage>(task, bits, words);
  __syncthreads();

  // Each thread owns a run of words of units.
  const std::uint32_t groups = (bits.rows + task.rows_per_group - 1) / task.rows_per_group;
  const std::uint32_t words_per_group =
      (bits.words_per_row + task.words_per_unit_word - 1) / task.words_per_unit_word;
  const std::uint32_t per_thread = (groups * words_per_group + tile_threads - 1) / tile_threads;
  const std::uint32_t begin = std::min(threadIdx.x * per_thread, groups * words_per_group);
  const std::uint32_t end = std::min(begin + per_thread, groups * words_per_group);
  std::uint32_t mine = 0;
  for_each_unit_word(begin, end, words_per_group, [&](std::uint32_t group, std::uint32_t w) {
    mine += count_bits(emit.mask(bits, group, w));
  });
  // Units and spikes of the tile in one sum; neither has more than 2^20.
  std::uint64_t counts = 0;
  mine = static_cast<std::uint32_t>(
      block_exclusive_sum(std::uint64_t{count_spikes(bits)} << 32 | mine, &counts));
  const auto units = static_cast<std::uint32_t>(counts);
  if (threadIdx.x == 0 && counts >> 32 != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&task.status->nnz), counts >> 32);
  }
  const std::uint64_t base = place_tile(task, tile, units);
  emit.rest(bits);

  // Expand: units go to shared memory in order, then out, a window at a time, so writes coalesce.
  const std::uint64_t first_group = first_row / task.rows_per_group;
  const std::uint32_t first_unit = part * task.part_words / task.words_per_unit_word * 32;
  for (std::uint32_t window = 0; window == 0 || window < units; window += staged_units) {
    std::uint32_t at = mine;
    for_each_unit_word(begin, end, words_per_group, [&](std::uint32_t group, std::uint32_t w) {
      if (w == 0 && part == 0 && window == 0 && task.offsets != nullptr) {
        task.offsets[first_group + group] = static_cast<std::uint32_t>(base + at);
      }
      for (std::uint32_t mask = emit.mask(bits, group, w); mask != 0; mask &= mask - 1, ++at) {
        if (at - window < staged_units)
          staged[at - window] = group << 16 | (32 * w + lowest_bit(mask));
      }
    });
    __syncthreads();
    const std::uint32_t count = units - window < staged_units ? units - window : staged_units;
    for (std::uint32_t i = threadIdx.x; i < count; i += tile_threads) {
      const std::uint64_t position = base + window + i;
      if (position < emit.capacity()) {
        emit.store(position, bits, staged[i] >> 16, first_unit + (staged[i] & 0xffffu));
      }
    }
    __syncthreads();
  }
}

__global__ static void reset_tiles(EncodeStatus* status, std::uint64_t* states, std::uint64_t count,
                                   std::uint32_t* offsets) {
  const std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i == 0) *status = {0, 0, 0, EncodeStatus::none_invalid};
  if (i == 0 && offsets != nullptr) *offsets = 0;
  if (i < count) states[i] = 0;
}

/// How a matrix is cut into tiles for an encoder whose units come from `rows_per_group` rows, one
/// word of units from `words_per_unit_word` words of a row.
inline TileTask plan_tiles(const SpikeView& spikes, RowOrder order, std::uint32_t rows_per_group,
                           std::uint32_t words_per_unit_word) {
  const SpikeShape& shape = spikes.shape;
  TileTask task{};
  task.data = spikes.data;
  task.m = shape.m();
  task.k = shape.k;
  task.words_per_row = std::max(1u, static_cast<std::uint32_t>(ceil_div(shape.k, 32)));
  task.kind = spikes.kind;
  task.map = {shape.timesteps, shape.rows, spikes.row_order, order};
  task.rows_per_group = rows_per_group;
  task.words_per_unit_word = words_per_unit_word;
  // Unit indices of a tile have 16 bits, and its bits must fit into 64 KiB of shared memory.
  const std::uint32_t most_words =
      std::min(2048u, 16384 / rows_per_group) / words_per_unit_word * words_per_unit_word;
  task.part_words = std::min(task.words_per_row, most_words);
  task.parts = static_cast<std::uint32_t>(ceil_div(task.words_per_row, task.part_words));
  const std::uint32_t fitting =
      std::min(tile_elements / std::max(shape.k, 1u), tile_words / task.part_words);
  task.rows_per_tile =
      task.parts > 1 ? rows_per_group : std::max(fitting / rows_per_group, 1u) * rows_per_group;
  task.tiles = ceil_div(task.m, task.rows_per_tile) * task.parts;
  task.wide = spikes.storage != DType::bit && shape.k != 0 &&
              shape.k % (spikes.storage == DType::u2 ? 64 : 32) == 0 &&
              reinterpret_cast<std::uintptr_t>(spikes.data) % 16 == 0;
  return task;
}

/// Elements of the workspace that run_tiles() needs for look-back.
[[nodiscard]] inline std::uint64_t tile_states(const TileTask& task) {
  return task.tiles + 1;
}

/// Encodes in two launches: one resets the counters, the other does everything.
template <class Emit>
void run_tiles(const CudaContext& context, DType storage, TileTask task, const Emit& emit,
               std::uint32_t* offsets, EncodeStatus* status, std::uint64_t* states) {
  task.offsets = offsets;
  task.status = status;
  task.states = states;
  const std::uint64_t count = tile_states(task);
  std::uint32_t* last =
      offsets == nullptr ? nullptr : offsets + ceil_div(task.m, task.rows_per_group);
  reset_tiles<<<static_cast<unsigned>(ceil_div(count, 256)), 256, 0, context.stream>>>(
      status, states, count, last);
  check_launch();
  if (task.tiles == 0) return;
  with_storage(storage, [&]<DType type>() {
    const std::size_t bytes = std::size_t{task.rows_per_tile} * task.part_words * 4;
    if (bytes > 24 * 1024) {
      check(cudaFuncSetAttribute(encode_tiles<type, Emit>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
    }
    encode_tiles<type, Emit>
        <<<static_cast<unsigned>(task.tiles), tile_threads, bytes, context.stream>>>(task, emit);
  });
  check_launch();
}

}  // namespace spiketune::cuda
