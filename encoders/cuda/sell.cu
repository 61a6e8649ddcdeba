#include "spiketune/encoders/sell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/strips.cuh"

// Three kernels: rows are packed to bits and counted; they are sorted within their windows, which
// tells where slices begin; slices are filled from the bits. Bytes: the input once, the bits (1/8
// of u8) twice, mostly in L2, and the slots once. Packing is bound by memory, filling by
// instructions where spikes are dense. A kernel lets the next begin only as its blocks end: blocks
// that wait beside those at work cost 10 us and more.

namespace spiketune {
namespace cuda {
namespace {

inline constexpr int pack_blocks_per_sm = 2;
inline constexpr int fill_blocks_per_sm = 6;
inline constexpr std::uint32_t member_words = 16;        ///< of a row, that a lane expands
inline constexpr std::uint32_t staged_bytes = 72 << 10;  ///< slots of a block that are staged

/// Rows that are placed together: whole windows, about 256 rows.
constexpr std::uint32_t unit_rows_of(std::uint32_t window) {
  return window * std::max(1u, 256 / window);
}
inline constexpr std::uint32_t largest_unit = Sell::largest_window;
static_assert(largest_unit >= 256);

struct SellTask {
  Sell sell;
  ValueSource source;
  const std::uint32_t* words;  ///< [m · stride], zero beyond the columns
  std::uint64_t stride;        ///< a multiple of 4
  std::uint32_t* ends;         ///< [m · members]: spikes of the row up to the end of each member
  std::uint32_t members;       ///< of a row
  std::uint32_t* order;        ///< [m]: the row at each position
  std::uint32_t unit_rows;
  std::uint32_t units;
  std::uint32_t depth;       ///< slots of a row that are staged at a time
  std::uint64_t* positions;  ///< [units]: states as in positions.cuh
};

/// Where packed rows go.
struct PackedRows {
  std::uint32_t* words;  ///< null: the input is packed already
  std::uint64_t stride;
  std::uint32_t* ends;
  Divisor members;
};

__device__ inline void store_bits(const PackedRows& out, const Strip& strip,
                                  const std::uint32_t* words) {
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t* to = out.words + strip.first_row * out.stride + strip.first_word;
  if (strip.one_row() || strip.words_per_row == out.stride) {
    const std::uint32_t count = (strip.total_words() + 3) / 4 * 4;  // what is beyond is zero
    for (std::uint32_t i = lane; i < count / 4; i += 32) {
      reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(words)[i];
    }
    return;
  }
  const auto stride = static_cast<std::uint32_t>(out.stride);
  const Divisor per_row(stride);
  for (std::uint32_t i = lane; i < strip.rows * stride; i += 32) {
    const std::uint32_t row = per_row.quotient(i);
    const std::uint32_t w = i - row * stride;
    to[i] = w < strip.words_per_row ? words[row * strip.words_per_row + w] : 0;
  }
}

/// Counts the spikes of each row up to the end of each member; `before` are in earlier strips.
template <DType storage>
__device__ void store_ends(const PackedRows& out, const Strip& strip,
                           const StripMemory<storage>& bits, std::uint32_t before) {
  const StripUnits<storage> units{0, &bits, nullptr};
  const std::uint32_t members = (strip.words_per_row + member_words - 1) / member_words;
  std::uint32_t* to =
      out.ends + strip.first_row * out.members.value + strip.first_word / member_words;
  for (std::uint32_t i = threadIdx.x % 32; i < strip.rows * members; i += 32) {
    const std::uint32_t row = strip.one_row() ? 0 : out.members.quotient(i);
    const std::uint32_t first = row * strip.words_per_row;
    const std::uint32_t end = std::min((i - row * members + 1) * member_words, strip.words_per_row);
    const std::uint32_t last = first + end - 1;
    to[i] =
        before + units.before_word(last) + count_bits(bits.words[last]) - units.before_word(first);
  }
}

/// A warp packs some rows, or one that it takes part by part, and counts their spikes, while the
/// input of the next is on its way.
template <DType storage, bool quick>
__global__ void __launch_bounds__(strip_threads, pack_blocks_per_sm)
    pack_rows(const __grid_constant__ TileTask task, const __grid_constant__ PackedRows out) {
  constexpr std::uint32_t owned = owned_words<storage>;
  __shared__ __align__(16) StripMemory<storage> shared[strip_warps];
  const std::uint32_t lane = threadIdx.x % 32;
  StripMemory<storage>& bits = shared[threadIdx.x / 32];
  const auto strips = static_cast<std::uint32_t>(task.tiles);
  const std::uint32_t stride = gridDim.x * strip_warps * task.parts;
  std::uint32_t index = (blockIdx.x * strip_warps + threadIdx.x / 32) * task.parts;
  Strip strip(task, index, nullptr);
  RegisterPieces<storage> pieces;
  if constexpr (quick) pieces.load(task, strip);
  wait_for_primary();

  std::uint32_t spikes = 0;  // of this lane's words
  std::uint32_t part = 0;
  std::uint32_t before = 0;  // spikes of the row in earlier parts
  while (index < strips) {
    pack_strip<storage, quick>(task, strip, pieces, bits.words);
    __syncwarp();
    const Strip here = strip;
    const bool last = part + 1 == task.parts;
    index = last ? index - part + stride : index + 1;
    if (index < strips) {
      strip = Strip(task, index, nullptr);
      if constexpr (quick) pieces.load(task, strip);
    }
    if (out.words != nullptr) store_bits(out, here, bits.words);
    std::uint32_t own[owned];
    load_words<owned>(bits.words + lane * owned, own);
    std::uint32_t count = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) count += count_bits(own[i]);
    spikes += count;
    const std::uint32_t of_lanes = warp_exclusive_sum(count);
    bits.before[lane] = of_lanes;
    __syncwarp();
    store_ends<storage>(out, here, bits, before);
    before += __shfl_sync(all_lanes, of_lanes + count, 31);
    __syncwarp();  // the next strip's words come to the same place
    part = last ? 0 : part + 1;
    if (!last) continue;
    before = 0;
  }
  add_to(&task.status->nnz, spikes);
}

/// Rows of [begin, end) that go before row i: longer ones, and equal ones that come first.
/// Comparisons with all, from shared memory, in place of a sort.
__device__ inline std::uint32_t rank_of(const std::uint32_t* lengths, std::uint32_t begin,
                                        std::uint32_t end, std::uint32_t i) {
  const std::uint32_t length = lengths[i];
  const std::uint32_t near = std::max(begin, i - i % 32);  // rows of this warp's lanes
  const std::uint32_t far = std::min(end, i - i % 32 + 32);
  std::uint32_t rank = 0;
#pragma unroll 8
  for (std::uint32_t other = begin; other < near; ++other) rank += lengths[other] >= length;
  for (std::uint32_t other = near; other < far; ++other) {
    rank += lengths[other] >= length + (other >= i ? 1 : 0);
  }
#pragma unroll 8
  for (std::uint32_t other = far; other < end; ++other) rank += lengths[other] > length;
  return rank;
}

/// A block sorts the rows of a unit within their windows, and finds where its slices begin.
__global__ void __launch_bounds__(tile_threads)
    place_slices(const __grid_constant__ SellTask task) {
  __shared__ std::uint32_t lengths[largest_unit];
  __shared__ std::uint32_t widths[largest_unit];  // of slices; then slots of the unit before each
  __shared__ std::uint64_t before;
  const Sell& sell = task.sell;
  const std::uint32_t window = sell.window();
  const std::uint32_t height = sell.slice_height();
  const std::uint32_t unit = blockIdx.x;
  const std::uint64_t first_row = std::uint64_t{unit} * task.unit_rows;
  const auto rows = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(task.unit_rows, sell.layout.m() - first_row));
  const std::uint32_t slices = (rows + height - 1) / height;
  wait_for_primary();
  for (std::uint32_t i = threadIdx.x; i < rows; i += tile_threads) {
    lengths[i] = task.ends[(first_row + i + 1) * task.members - 1];
    widths[i] = 0;
  }
  __syncthreads();
  for (std::uint32_t i = threadIdx.x; i < rows; i += tile_threads) {
    std::uint32_t position = i;
    if (sell.params.sigma != 1) {
      const std::uint32_t begin = i / window * window;
      const std::uint32_t rank = rank_of(lengths, begin, std::min(begin + window, rows), i);
      sell.ranks[first_row + i] = static_cast<std::uint16_t>(rank);
      position = begin + rank;
    }
    task.order[first_row + position] = static_cast<std::uint32_t>(first_row) + i;
    atomicMax(&widths[position / height], lengths[i]);
  }
  __syncthreads();
  std::uint64_t sum = 0;
  for (std::uint32_t base = 0; base < slices; base += tile_threads) {
    const std::uint32_t slice = base + threadIdx.x;
    std::uint32_t total = 0;
    const std::uint32_t ahead =
        block_exclusive_sum(slice < slices ? widths[slice] * height : 0, &total);
    if (slice < slices) widths[slice] = static_cast<std::uint32_t>(sum) + ahead;
    sum += total;
    __syncthreads();
  }
  if (threadIdx.x == 0) publish(task.positions, unit, sum);
  if (threadIdx.x < 32) {
    const std::uint64_t found = look_back(task.positions, unit);
    if (threadIdx.x == 0) {
      before = found;
      publish(task.positions, unit, found + sum, 2);
      if (unit + 1 == task.units) {
        sell.status->needed = found + sum;
        sell.slice_offsets[sell.slices()] = static_cast<std::uint32_t>(found + sum);
      }
    }
  }
  __syncthreads();
  const std::uint64_t first_slice = first_row / height;
  for (std::uint32_t slice = threadIdx.x; slice < slices; slice += tile_threads) {
    sell.slice_offsets[first_slice + slice] = static_cast<std::uint32_t>(before) + widths[slice];
  }
}

/// Staged columns, by their address in shared memory where they are 16-bit.
template <class Index>
struct Staged {
  Index* at;
  __device__ explicit Staged(Index* to) : at(to) {}
  __device__ void store(std::uint32_t i, std::uint32_t value) const { at[i] = value; }
};
template <>
struct Staged<std::uint16_t> : SharedHalves {
  using SharedHalves::SharedHalves;
};

/// top(bit) from the highest set bit down and bottom(bit) from the lowest up, side by side, which
/// halves the chain of dependent instructions. Both visit the last of an odd number.
template <class Top, class Bottom>
__device__ void for_each_bit_from_ends(std::uint32_t word, Top&& top, Bottom&& bottom) {
  while (word != 0) {
    const auto high = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(word)));
    const std::uint32_t lowest = word & (0u - word);
    const auto low = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(lowest)));
    word &= ~(lowest | 1u << high);
    top(high);
    bottom(low);
  }
}

/// A lane's row, at one of 32 neighbouring positions.
struct SliceLane {
  std::uint64_t row = 0;
  bool has_row;
  std::uint32_t length = 0;
  std::uint32_t width = 0;  ///< of its slice
  std::uint64_t first = 0;  ///< slot of its first element
  const std::uint32_t* ends;
  const std::uint32_t* words;

  __device__ SliceLane(const SellTask& task, std::uint32_t position) {
    const Sell& sell = task.sell;
    const std::uint32_t height = sell.slice_height();
    const std::uint32_t slice = position / height;
    if (slice < sell.slices()) {
      const std::uint32_t begin = sell.slice_offsets[slice];
      width = (sell.slice_offsets[slice + 1] - begin) / height;
      first = std::uint64_t{begin} + (position - slice * height);
    }
    has_row = position < sell.layout.m();
    if (has_row) row = task.order[position];
    ends = task.ends + row * task.members;
    words = task.words + row * task.stride;
    if (has_row) length = ends[task.members - 1];
  }
};

/// Stages the columns of the lane's words of one member whose ordinals are in [window, window +
/// depth), the last first.
template <class Index>
__device__ void expand_member(const SellTask& task, const SliceLane& lane, std::uint32_t member,
                              std::uint32_t window, Index* staged) {
  const std::uint32_t begin = lane.has_row && member != 0 ? lane.ends[member - 1] : 0;
  const std::uint32_t end = lane.has_row ? lane.ends[member] : 0;
  const std::uint32_t limit = window + task.depth;
  const std::uint32_t first = member * member_words;
  const Staged<Index> out(staged + threadIdx.x % 32);
  std::uint32_t to = end - window;
  const bool inside = begin >= window && end <= limit;
  if (__all_sync(all_lanes, inside) != 0) {
    uint4 pieces[member_words / 4];
#pragma unroll
    for (std::uint32_t i = 0; i < member_words / 4; ++i) {
      const bool there = lane.has_row && first + 4 * i < task.stride;
      pieces[i] =
          there ? *reinterpret_cast<const uint4*>(lane.words + first + 4 * i) : uint4{0, 0, 0, 0};
    }
    to *= 32;
    const auto expand = [&](std::uint32_t word, std::uint32_t w) {
      const std::uint32_t column = (first + w) * 32;
      std::uint32_t above = to;
      to -= 32 * count_bits(word);
      std::uint32_t below = to;
      for_each_bit_from_ends(
          word,
          [&](std::uint32_t bit) {
            above -= 32;
            out.store(above, column + bit);
          },
          [&](std::uint32_t bit) {
            out.store(below, column + bit);
            below += 32;
          });
    };
#pragma unroll
    for (std::uint32_t i = member_words / 4; i-- > 0;) {
      expand(pieces[i].w, 4 * i + 3);
      expand(pieces[i].z, 4 * i + 2);
      expand(pieces[i].y, 4 * i + 1);
      expand(pieces[i].x, 4 * i);
    }
    return;
  }
  const bool outside = end <= window || begin >= limit;
  if (__all_sync(all_lanes, outside) != 0) return;
#pragma unroll 1
  for (std::uint32_t i = member_words; i-- > 0;) {
    const bool there = lane.has_row && first + i < task.stride;
    for_each_bit_from_top(there ? lane.words[first + i] : 0, [&](std::uint32_t bit) {
      if (--to < task.depth) out.store(to * 32, (first + i) * 32 + bit);
    });
  }
}

/// Writes slots [window, window + depth) of 32 positions. All threads of the block call.
template <class Index, bool pattern>
__device__ void store_slots(const SellTask& task, const SliceLane& mine, std::uint32_t window,
                            const Index* staged) {
  const Sell& sell = task.sell;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t height = sell.slice_height();
  if (pattern && sizeof(Index) == 2 && height % 8 == 0) {  // eight lanes are neighbours
    const int leader = static_cast<int>(8 * (lane % 4));
    const std::uint64_t begin = __shfl_sync(all_lanes, mine.first, leader) + window * height;
    const std::uint32_t width = __shfl_sync(all_lanes, mine.width, leader);
    const std::uint32_t end = width > window ? std::min(width - window, task.depth) : 0;
    const auto* from = reinterpret_cast<const uint4*>(staged) + lane % 4;
    for (std::uint32_t i = threadIdx.x / 4; i < end; i += blockDim.x / 4) {
      const std::uint64_t slot = begin + i * height;
      if (slot + 8 <= sell.capacity) sell.column_indices.as<uint4>()[slot / 8] = from[4 * i];
    }
    return;
  }
  const std::uint32_t end = mine.width > window ? std::min(mine.width - window, task.depth) : 0;
  for (std::uint32_t i = threadIdx.x / 32; i < end; i += blockDim.x / 32) {
    const std::uint64_t slot = mine.first + (window + i) * height;
    if (slot >= sell.capacity) break;
    const std::uint32_t column = staged[i * 32 + lane];
    if (window + i < mine.length) {
      store_index(sell.column_indices, slot, column);
      if constexpr (!pattern) task.source.copy_to(sell.values, slot, mine.row, column);
    } else {
      detail::store_padding(sell.column_indices, sell.values, slot);
    }
  }
}

/// A block fills the slots of 32 neighbouring positions. A lane expands the bits of one row, a warp
/// some members of each, from the ordinal that they end with, so that slots of a slice, which lie
/// column by column, are staged without a transposition.
template <class Index, bool pattern>
__global__ void __launch_bounds__(strip_threads, fill_blocks_per_sm)
    fill_slices(const __grid_constant__ SellTask task) {
  extern __shared__ uint4 shared[];
  auto* staged = reinterpret_cast<Index*>(shared);
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t warps = blockDim.x / 32;
  const std::uint32_t first = blockIdx.x * 32;
  wait_for_primary();
  const SliceLane mine(task, first + threadIdx.x % 32);
  const std::uint32_t widest = __reduce_max_sync(all_lanes, mine.width);
  for (std::uint32_t window = 0; window < widest; window += task.depth) {
    for (std::uint32_t member = warp; member < task.members; member += warps) {
      expand_member(task, mine, member, window, staged);
    }
    const Staged<Index> out(staged + threadIdx.x % 32);
    const std::uint32_t padded = std::min(mine.width, window + task.depth);
    for (std::uint32_t i = std::max(mine.length, window) + warp; i < padded; i += warps) {
      out.store((i - window) * 32, static_cast<Index>(~Index{0}));
    }
    __syncthreads();
    store_slots<Index, pattern>(task, mine, window, staged);
    __syncthreads();
  }
}

/// The workspace, and what follows from the format alone.
struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Sell& sell) {
    const std::uint64_t m = spikes.shape.m();
    const TileTask tiles = plan_strips(spikes, sell.layout.row_order);
    in_place = spikes.storage == DType::bit && tiles.wide && tiles.map.from == tiles.map.to;
    task.sell = sell;
    task.source = value_source(spikes, sell.layout.row_order);
    task.stride = (std::uint64_t{tiles.words_per_row} + 3) / 4 * 4;
    task.members = static_cast<std::uint32_t>(ceil_div(tiles.words_per_row, member_words));
    task.unit_rows = unit_rows_of(sell.window());
    const std::uint64_t units = ceil_div(m, task.unit_rows);
    const bool wide = std::uint64_t{task.unit_rows} * spikes.shape.k > 0xffffffffu;
    if (m > 0xffffffffu || units > 0x1fffffu || wide) {
      throw Error(ErrorCode::unsupported, "the tensor is too large for one launch of the encoder");
    }
    task.units = static_cast<std::uint32_t>(units);
    words = carver.take<std::uint32_t>(in_place ? 0 : m * task.stride);
    task.words = in_place ? static_cast<const std::uint32_t*>(spikes.data) : words;
    task.ends = carver.take<std::uint32_t>(m * task.members);
    task.order = carver.take<std::uint32_t>(m);
    task.positions = carver.take<std::uint64_t>(units);
  }
  SellTask task{};
  bool in_place;
  std::uint32_t* words;
};

template <class Index, bool pattern>
void launch_fill(const CudaContext& context, SellTask task) {
  const std::uint32_t warps = std::min(task.members, strip_warps);
  // As many slots as rows are likely to have, where there is room.
  const std::uint64_t positions = task.sell.slices() * task.sell.slice_height();
  task.depth = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
      ceil_div(task.sell.capacity, positions), 32, staged_bytes / (32 * sizeof(Index))));
  const std::size_t bytes = 32 * task.depth * sizeof(Index);
  allow_shared(fill_slices<Index, pattern>, bytes);
  launch_dependent(context, fill_slices<Index, pattern>,
                   static_cast<unsigned>(ceil_div(positions, 32)), 32 * warps, bytes, task);
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Sell& sell) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes, sell);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Sell& sell,
            Workspace workspace) {
  check_encode(spikes, sell, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, spikes, sell);
  const cuda::SellTask& task = scratch.task;
  cuda::TileTask tiles = cuda::plan_strips(spikes, sell.layout.row_order);
  cuda::check_strips(tiles);
  tiles.status = sell.status;
  tiles.states = task.positions;
  if (tiles.m == 0) tiles.offsets = sell.slice_offsets.data;  // the one 0
  cuda::reset_tiles(context, tiles, task.units);
  if (tiles.m == 0) return;
  const cuda::PackedRows rows{scratch.in_place ? nullptr : scratch.words, task.stride, task.ends,
                              cuda::Divisor(task.members)};
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    const auto kernel =
        cuda::is_quick(tiles) ? cuda::pack_rows<storage, true> : cuda::pack_rows<storage, false>;
    const auto blocks =
        static_cast<unsigned>(ceil_div(ceil_div(tiles.tiles, tiles.parts), cuda::strip_warps));
    cuda::launch_dependent(
        context, kernel, std::min(blocks, cuda::resident_blocks(context, cuda::pack_blocks_per_sm)),
        cuda::strip_threads, 0, tiles, rows);
  });
  cuda::launch_dependent(context, cuda::place_slices, task.units, cuda::tile_threads, 0, task);
  const bool narrow = sell.column_indices.type == DType::u16;
  const bool pattern = sell.values.type == DType::bit;
  if (narrow) {
    pattern ? cuda::launch_fill<std::uint16_t, true>(context, task)
            : cuda::launch_fill<std::uint16_t, false>(context, task);
  } else {
    pattern ? cuda::launch_fill<std::uint32_t, true>(context, task)
            : cuda::launch_fill<std::uint32_t, false>(context, task);
  }
}

template void decode(const CudaContext&, const Sell&, const MutableSpikeView&);

}  // namespace spiketune
