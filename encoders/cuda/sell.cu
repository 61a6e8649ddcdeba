#include "spiketune/encoders/sell.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/positions.cuh"
#include "spiketune/encoders/cuda/strips.cuh"

// Rows are packed and counted by one kernel; another, which begins while the first is still at
// work, sorts the rows of each window that is complete, finds where its slices begin, and fills
// them from the bits. Bytes: the input once, the bits (1/8 of u8) twice, mostly in L2, and the
// slots once. Bound by memory.

namespace spiketune {
namespace cuda {
namespace {

inline constexpr int pack_blocks_per_sm = 2;  ///< there is room for as many that fill
inline constexpr int fill_blocks_per_sm = 4;
inline constexpr std::uint32_t blocks_of_a_unit = 4;
inline constexpr std::uint32_t staged_bytes = 72 << 10;  ///< slots of a block that are staged
/// Strips of a warp that are packed and not yet told to those who wait: a fence for all of them.
inline constexpr std::uint32_t told_together = 4;

/// Rows that are placed together: whole windows, about 256 rows.
constexpr std::uint32_t unit_rows_of(std::uint32_t window) {
  return window * std::max(1u, 256 / window);
}

struct SellTask {
  Sell sell;
  ValueSource source;
  const std::uint32_t* words;  ///< [m · stride], zero beyond the columns
  std::uint64_t stride;        ///< a multiple of 4
  std::uint32_t* lengths;      ///< [m]
  std::uint32_t unit_rows;
  std::uint32_t units;
  std::uint32_t blocks_per_unit;
  std::uint32_t team_warps;  ///< that share 32 rows
  std::uint32_t depth;       ///< slots of a row that are staged at a time
  std::uint64_t* packed;     ///< [units]: rows that are packed
  std::uint64_t* positions;  ///< [units]: states as in positions.cuh

  [[nodiscard]] __device__ std::uint32_t rows_of(std::uint32_t unit) const {
    const std::uint64_t left = sell.layout.m() - std::uint64_t{unit} * unit_rows;
    return left < unit_rows ? static_cast<std::uint32_t>(left) : unit_rows;
  }
};

/// Where packed rows go.
struct PackedRows {
  std::uint32_t* words;  ///< null: the input is packed already
  std::uint64_t stride;
  std::uint32_t* lengths;
  std::uint64_t* packed;
  std::uint32_t unit_rows;
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

template <DType storage>
__device__ void store_lengths(const PackedRows& out, const Strip& strip,
                              const StripMemory<storage>& bits) {
  const StripUnits<storage> units{0, &bits, nullptr};
  for (std::uint32_t row = threadIdx.x % 32; row < strip.rows; row += 32) {
    const std::uint32_t last = (row + 1) * strip.words_per_row - 1;
    out.lengths[strip.first_row + row] = units.before_word(last) + count_bits(bits.words[last]) -
                                         units.before_word(row * strip.words_per_row);
  }
}

/// Tells that strips are packed: `count` of them, `step` rows apart. All lanes call.
__device__ inline void tell_packed(const PackedRows& out, std::uint64_t m, std::uint32_t first_row,
                                   std::uint32_t step, std::uint32_t rows, std::uint32_t count) {
  __syncwarp();
  const std::uint32_t lane = threadIdx.x % 32;
  if (lane >= count) return;
  __threadfence();
  std::uint32_t row = first_row + lane * step;
  const auto end =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{row} + rows, m));
  while (row < end) {
    const std::uint32_t unit = row / out.unit_rows;
    const std::uint64_t next = (std::uint64_t{unit} + 1) * out.unit_rows;
    const std::uint32_t until = next < end ? static_cast<std::uint32_t>(next) : end;
    State(out.packed[unit]).fetch_add(until - row, atomics::memory_order_relaxed);
    row = until;
  }
}

/// Finds the invalid elements of all strips of a warp. Out of line: an error is on its way.
template <DType storage>
__device__ __noinline__ void report_strips(const TileTask& task, std::uint32_t* words) {
  const auto strips = static_cast<std::uint32_t>(task.tiles);
  const std::uint32_t stride = gridDim.x * strip_warps * task.parts;
  std::uint32_t index = (blockIdx.x * strip_warps + threadIdx.x / 32) * task.parts;
  for (; index < strips; index += stride) {
    for (std::uint32_t part = 0; part < task.parts; ++part) {
      pack_scattered_strip<storage>(task, Strip(task, index + part, nullptr), words);
    }
  }
}

/// Of a warp, in shared memory.
template <DType storage>
struct alignas(16) RowPacker {
  StripMemory<storage> bits;
  uint4 raw[32 * lane_pieces<storage>];  ///< input of the next strip
};

/// A warp packs some rows, or one that it takes part by part, and counts their spikes, while the
/// input of the next is on its way.
template <DType storage, bool quick>
__global__ void __launch_bounds__(strip_threads, 2 * pack_blocks_per_sm)
    pack_rows(const __grid_constant__ TileTask task, const __grid_constant__ PackedRows out) {
  constexpr std::uint32_t owned = owned_words<storage>;
  extern __shared__ uint4 shared[];
  const std::uint32_t lane = threadIdx.x % 32;
  RowPacker<storage>& mine = reinterpret_cast<RowPacker<storage>*>(shared)[threadIdx.x / 32];
  const auto strips = static_cast<std::uint32_t>(task.tiles);
  const std::uint32_t stride = gridDim.x * strip_warps * task.parts;
  std::uint32_t index = (blockIdx.x * strip_warps + threadIdx.x / 32) * task.parts;
  Strip strip(task, index, nullptr);
  SharedPieces<storage> pieces{mine.raw};
  if constexpr (quick) pieces.load(task, strip);
  wait_for_reset();
  let_next_begin();

  const std::uint32_t step = gridDim.x * strip_warps * task.rows_per_tile;
  auto untold_row = static_cast<std::uint32_t>(strip.first_row);
  std::uint32_t untold = 0;
  std::uint32_t invalid = 0;
  std::uint32_t spikes = 0;  // of this lane's words
  std::uint32_t part = 0;
  std::uint32_t before = 0;  // spikes of the row in earlier parts
  while (index < strips) {
    if constexpr (quick) {
      pieces.wait();
      invalid |= pack_pieces<storage, lane_pieces<storage>>(
          [&](std::uint32_t i) { return pieces.get(i); }, ValueKind::binary, 0, mine.bits.words);
    } else {
      pack_any_strip<storage>(task, strip, mine.bits.words);
    }
    __syncwarp();
    const bool last = part + 1 == task.parts;
    if (out.words != nullptr) store_bits(out, strip, mine.bits.words);
    std::uint32_t own[owned];
    load_words<owned>(mine.bits.words + lane * owned, own);
    std::uint32_t count = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) count += count_bits(own[i]);
    spikes += count;
    if (strip.one_row()) {
      before += __reduce_add_sync(all_lanes, count);
      if (last && lane == 0) out.lengths[strip.first_row] = before;
    } else {
      mine.bits.before[lane] = warp_exclusive_sum(count);
      __syncwarp();
      store_lengths<storage>(out, strip, mine.bits);
      __syncwarp();  // the next strip's words come to the same place
    }
    index = last ? index - part + stride : index + 1;
    part = last ? 0 : part + 1;
    strip = Strip(task, index, nullptr);
    if constexpr (quick) pieces.load(task, strip);
    if (!last) continue;
    before = 0;
    if (++untold == told_together || index >= strips) {
      tell_packed(out, task.m, untold_row, step, task.rows_per_tile, untold);
      untold_row += untold * step;
      untold = 0;
    }
  }
  if (__any_sync(all_lanes, invalid != 0) != 0) report_strips<storage>(task, mine.bits.words);
  add_to(&task.status->nnz, spikes);
}

__device__ inline void wait_for(std::uint64_t* counter, std::uint64_t value) {
  if (threadIdx.x == 0) {
    while (State(*counter).load(atomics::memory_order_acquire) < value) __nanosleep(100);
  }
  __syncthreads();
}

/// Slots of all units before one. A warp calls; looks back to the nearest unit that tells those
/// before it. Cannot deadlock: blocks begin in order.
__device__ inline std::uint64_t look_back(std::uint64_t* states, std::uint32_t unit) {
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t before = 0;
  for (std::int64_t nearest = std::int64_t{unit} - 1;; nearest -= 32) {
    std::uint64_t state = 2;
    if (nearest >= lane) {
      do {
        state = load_state(states, static_cast<std::uint64_t>(nearest - lane));
      } while ((state & 3) == 0);
    }
    __syncwarp();
    const std::uint32_t told = __ballot_sync(all_lanes, (state & 2) != 0);
    const std::uint32_t last = told == 0 ? 31 : lowest_bit(told);
    std::uint64_t sum = lane <= last ? state >> 2 : 0;
    for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(all_lanes, sum, other);
    before += sum;
    if (told != 0) return before;
  }
}

/// The rows of a unit in their order, in shared memory.
struct Unit {
  std::uint32_t* lengths;  ///< of each row
  std::uint32_t* widths;   ///< of each slice
  std::uint32_t* starts;   ///< slots of the unit before each slice
  std::uint16_t* order;    ///< row at each position
  std::uint32_t index;
  std::uint32_t rows;
  std::uint32_t slices;
  std::uint64_t first_row;

  static constexpr std::size_t bytes_per_row = 14;
  __device__ Unit(const SellTask& task, std::uint32_t unit, uint4* shared)
      : lengths(reinterpret_cast<std::uint32_t*>(shared)),
        widths(lengths + task.unit_rows),
        starts(widths + task.unit_rows),
        order(reinterpret_cast<std::uint16_t*>(starts + task.unit_rows)),
        index(unit),
        rows(task.rows_of(unit)),
        slices((rows + task.sell.slice_height() - 1) / task.sell.slice_height()),
        first_row(std::uint64_t{unit} * task.unit_rows) {}
};

/// Rows of the window that go before row i: longer ones, and equal ones that come first.
/// Comparisons with all, from shared memory, in place of a sort.
__device__ inline std::uint32_t rank_of(const Unit& unit, std::uint32_t begin, std::uint32_t end,
                                        std::uint32_t i) {
  const std::uint32_t length = unit.lengths[i];
  const std::uint32_t near = std::max(begin, i - i % 32);  // rows of this warp's lanes
  const std::uint32_t far = std::min(end, i - i % 32 + 32);
  std::uint32_t rank = 0;
#pragma unroll 8
  for (std::uint32_t other = begin; other < near; ++other) rank += unit.lengths[other] >= length;
  for (std::uint32_t other = near; other < far; ++other) {
    rank += unit.lengths[other] >= length + (other >= i ? 1 : 0);
  }
#pragma unroll 8
  for (std::uint32_t other = far; other < end; ++other) rank += unit.lengths[other] > length;
  return rank;
}

/// Sorts the rows of a unit; the block that `leads` tells of it. All threads call.
__device__ inline void sort_unit(const SellTask& task, const Unit& unit, bool leads) {
  const Sell& sell = task.sell;
  const std::uint32_t window = sell.window();
  const std::uint32_t height = sell.slice_height();
  for (std::uint32_t i = threadIdx.x; i < unit.rows; i += tile_threads) {
    unit.lengths[i] = task.lengths[unit.first_row + i];
    unit.widths[i] = 0;
  }
  __syncthreads();
  for (std::uint32_t i = threadIdx.x; i < unit.rows; i += tile_threads) {
    std::uint32_t position = i;
    if (sell.params.sigma != 1) {
      const std::uint32_t begin = i / window * window;
      const std::uint32_t rank = rank_of(unit, begin, std::min(begin + window, unit.rows), i);
      if (leads) sell.ranks[unit.first_row + i] = static_cast<std::uint16_t>(rank);
      position = begin + rank;
    }
    unit.order[position] = static_cast<std::uint16_t>(i);
    atomicMax(&unit.widths[position / height], unit.lengths[i]);
  }
  __syncthreads();
  std::uint64_t sum = 0;
  for (std::uint32_t base = 0; base < unit.slices; base += tile_threads) {
    const std::uint32_t slice = base + threadIdx.x;
    const std::uint32_t width = slice < unit.slices ? unit.widths[slice] : 0;
    std::uint32_t total = 0;
    const std::uint32_t before = block_exclusive_sum(width * height, &total);
    if (slice < unit.slices) unit.starts[slice] = static_cast<std::uint32_t>(sum) + before;
    sum += total;
    __syncthreads();
  }
  if (leads && threadIdx.x == 0) {
    State(task.positions[unit.index]).store(sum << 2 | 1, atomics::memory_order_relaxed);
  }
}

/// Slots before the unit; the block that `leads` tells of it. A warp calls.
__device__ inline std::uint64_t place_unit(const SellTask& task, const Unit& unit, bool leads) {
  const Sell& sell = task.sell;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t before = look_back(task.positions, unit.index);
  if (!leads) return before;
  const std::uint64_t after = before + unit.starts[unit.slices - 1] +
                              std::uint64_t{unit.widths[unit.slices - 1]} * sell.slice_height();
  if (lane == 0) {
    State(task.positions[unit.index]).store(after << 2 | 2, atomics::memory_order_relaxed);
  }
  const std::uint64_t first_slice = unit.first_row / sell.slice_height();
  for (std::uint32_t slice = lane; slice < unit.slices; slice += 32) {
    sell.slice_offsets[first_slice + slice] =
        static_cast<std::uint32_t>(before) + unit.starts[slice];
  }
  if (lane == 0 && unit.index + 1 == task.units) {
    sell.status->needed = after;
    sell.slice_offsets[sell.slices()] = static_cast<std::uint32_t>(after);
  }
  return before;
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
    word = (word ^ 1u << high) & ~lowest;
    top(high);
    bottom(low);
  }
}

inline constexpr std::uint32_t member_words = 16;  ///< of a row, which a warp expands

/// A team of warps fills the slots of 32 neighbouring positions. A lane expands the bits of one
/// row, from the ordinal on that its words begin with, so that slots of a slice, which lie column
/// by column, are staged without a transposition.
template <class Index>
struct SliceTeam {
  std::uint32_t lane = threadIdx.x % 32;
  std::uint32_t member;  ///< warp of the team
  std::uint32_t warps;
  uint4* raw;           ///< [32 · pitch]: words of the rows
  std::uint32_t pitch;  ///< odd, so that lanes read different banks
  Index* staged;        ///< [depth · 32]
  std::uint64_t row;    ///< of this lane
  bool has_row;
  std::uint32_t length;  ///< of the row
  std::uint32_t width;   ///< of its slice
  std::uint32_t first;   ///< slot of the unit that its position begins with

  __device__ void take(const Unit& unit, std::uint32_t position, std::uint32_t height) {
    const std::uint32_t slice = position / height;
    has_row = position < unit.rows;
    const std::uint32_t of_unit = has_row ? unit.order[position] : 0;
    row = unit.first_row + of_unit;
    length = has_row ? unit.lengths[of_unit] : 0;
    width = slice < unit.slices ? unit.widths[slice] : 0;
    first = slice < unit.slices ? unit.starts[slice] + (position - slice * height) : 0;
  }
  [[nodiscard]] __device__ const uint4* words() const {
    return raw + lane * pitch + member * (member_words / 4);
  }
  /// Copies words of the rows, `pieces` of them being left of each.
  __device__ void fetch(const SellTask& task, std::uint32_t first_piece) const {
    const auto row_pieces = static_cast<std::uint32_t>(task.stride / 4);
    const std::uint32_t per_row = warps * (member_words / 4);
    const std::uint32_t piece = lane % per_row;
    const uint4* from = reinterpret_cast<const uint4*>(task.words) + first_piece + piece;
    const bool there = first_piece + piece < row_pieces;
#pragma unroll
    for (std::uint32_t i = (member * 32 + lane) / per_row; i < 32; i += 8) {
      uint4* to = raw + i * pitch + piece;
      const std::uint64_t source = __shfl_sync(all_lanes, row, static_cast<int>(i));
      const bool exists = __shfl_sync(all_lanes, has_row, static_cast<int>(i)) != 0;
      if (there && exists) {
        __pipeline_memcpy_async(to, from + source * row_pieces, 16);
      } else {
        *to = {0, 0, 0, 0};
      }
    }
    __pipeline_commit();
  }
  [[nodiscard]] __device__ std::uint32_t count() const {
    std::uint32_t sum = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < member_words / 4; ++i) {
      const uint4 four = words()[i];
      sum += count_bits(four.x) + count_bits(four.y) + count_bits(four.z) + count_bits(four.w);
    }
    return sum;
  }
  /// Stages the columns of this warp's words whose ordinals are in [window, window + depth).
  __device__ void expand(std::uint32_t column, std::uint32_t ordinal, std::uint32_t count,
                         std::uint32_t window, std::uint32_t depth) const {
    const bool outside = ordinal + count <= window || ordinal >= window + depth;
    const bool inside = ordinal >= window && ordinal + count <= window + depth;
    if (__all_sync(all_lanes, outside) != 0) return;
    const bool all_inside = __all_sync(all_lanes, inside) != 0;
    const Staged<Index> out(staged);
    std::uint32_t next = ordinal - window;
#pragma unroll 1
    for (std::uint32_t i = 0; i < member_words / 4; ++i) {
      const uint4 four = words()[i];
      const std::uint32_t own[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (std::uint32_t j = 0; j < 4; ++j) {
        const std::uint32_t here = column + 32 * (4 * i + j);
        std::uint32_t low = next;
        next += count_bits(own[j]);
        std::uint32_t to = next;
        if (all_inside) {
          for_each_bit_from_ends(
              own[j], [&](std::uint32_t bit) { out.store(--to * 32 + lane, here + bit); },
              [&](std::uint32_t bit) { out.store(low++ * 32 + lane, here + bit); });
        } else {
          for_each_bit_from_top(own[j], [&](std::uint32_t bit) {
            if (--to < depth) out.store(to * 32 + lane, here + bit);
          });
        }
      }
    }
  }
  __device__ void pad(std::uint32_t window, std::uint32_t depth) const {
    const Staged<Index> out(staged);
    const std::uint32_t end = std::min(width, window + depth);
    for (std::uint32_t i = std::max(length, window) + member; i < end; i += warps) {
      out.store((i - window) * 32 + lane, static_cast<Index>(~Index{0}));
    }
  }
  template <bool pattern>
  __device__ void store(const SellTask& task, std::uint64_t base, std::uint32_t window) const {
    const Sell& sell = task.sell;
    const std::uint64_t height = sell.slice_height();
    if (pattern && sizeof(Index) == 2 && height % 8 == 0) {  // eight lanes are neighbours
      const int leader = static_cast<int>(8 * (lane % 4));
      const std::uint64_t begin = base + __shfl_sync(all_lanes, first, leader) + window * height;
      const std::uint32_t wide = __shfl_sync(all_lanes, width, leader);
      const std::uint32_t end = wide > window ? std::min(wide - window, task.depth) : 0;
      const auto* from = reinterpret_cast<const uint4*>(staged) + lane % 4;
      for (std::uint32_t i = member * 8 + lane / 4; i < end; i += 8 * warps) {
        const std::uint64_t slot = begin + i * height;
        if (slot + 8 <= sell.capacity) sell.column_indices.as<uint4>()[slot / 8] = from[4 * i];
      }
      return;
    }
    const std::uint32_t end = width > window ? std::min(width - window, task.depth) : 0;
    for (std::uint32_t i = member; i < end; i += warps) {
      const std::uint64_t slot = base + first + (window + i) * height;
      if (slot >= sell.capacity) break;
      const std::uint32_t column = staged[i * 32 + lane];
      if (window + i < length) {
        store_index(sell.column_indices, slot, column);
        if constexpr (!pattern) task.source.copy_to(sell.values, slot, row, column);
      } else {
        detail::store_padding(sell.column_indices, sell.values, slot);
      }
    }
  }
};

/// Fills the slices of a unit from `share` on.
template <class Index, bool pattern>
__device__ void fill_slices(const SellTask& task, const Unit& unit, std::uint32_t share,
                            uint4* shared) {
  __shared__ std::uint32_t counts[strip_warps][32];
  __shared__ std::uint32_t widest[strip_warps];
  __shared__ std::uint64_t before;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t teams = strip_warps / task.team_warps;
  const std::uint32_t team = warp / task.team_warps;
  const std::uint32_t height = task.sell.slice_height();
  SliceTeam<Index> mine;
  mine.warps = task.team_warps;
  mine.member = warp - team * task.team_warps;
  mine.pitch = task.team_warps * (member_words / 4) + 1;
  mine.raw = shared + team * 32 * mine.pitch;
  mine.staged = reinterpret_cast<Index*>(shared + teams * 32 * mine.pitch) + team * 32 * task.depth;
  const std::uint32_t chunk = task.team_warps * member_words;
  const auto chunks = static_cast<std::uint32_t>((task.stride + chunk - 1) / chunk);

  std::uint32_t position = (share * teams + team) * 32 + mine.lane;
  const std::uint32_t step = task.blocks_per_unit * teams * 32;
  const std::uint32_t positions = unit.slices * height;
  mine.take(unit, position, height);
  mine.fetch(task, 0);
  if (warp == 0) {
    const std::uint64_t found = place_unit(task, unit, share == 0);
    if (mine.lane == 0) before = found;
  }
  for (std::uint32_t first = share * teams * 32; first < positions; first += step) {
    const std::uint32_t most = __reduce_max_sync(all_lanes, mine.width);
    if (mine.lane == 0) widest[warp] = most;
    __syncthreads();
    std::uint32_t end = 0;
    for (std::uint32_t other = 0; other < strip_warps; ++other) end = std::max(end, widest[other]);
    std::uint32_t window = 0;
    do {
      mine.pad(window, task.depth);
      std::uint32_t ordinal = 0;
      for (std::uint32_t i = 0; i < chunks; ++i) {
        if (chunks > 1 && window + i != 0) {
          __syncthreads();
          mine.fetch(task, i * chunk / 4);
        }
        __pipeline_wait_prior(0);
        __syncthreads();
        const std::uint32_t count = mine.count();
        counts[warp][mine.lane] = count;
        __syncthreads();
        std::uint32_t at = ordinal;
        for (std::uint32_t other = 0; other < task.team_warps; ++other) {
          const std::uint32_t of = counts[team * task.team_warps + other][mine.lane];
          if (other < mine.member) at += of;
          ordinal += of;
        }
        mine.expand((i * chunk + mine.member * member_words) * 32, at, count, window, task.depth);
      }
      __syncthreads();
      const std::uint32_t stored = window;
      window += task.depth;
      SliceTeam<Index> next = mine;
      if (window >= end) {
        position += step;
        next.take(unit, position, height);
        next.fetch(task, 0);
      }
      mine.template store<pattern>(task, before, stored);
      mine = next;
      __syncthreads();
    } while (window < end);
  }
  __pipeline_wait_prior(0);
}

/// Blocks take units in order; those of a unit share its slices.
template <class Index, bool pattern>
__global__ void __launch_bounds__(strip_threads, fill_blocks_per_sm)
    sort_and_fill(const __grid_constant__ SellTask task) {
  extern __shared__ uint4 shared[];
  const std::uint32_t index = blockIdx.x / task.blocks_per_unit;
  const std::uint32_t share = blockIdx.x - index * task.blocks_per_unit;
  const Unit unit(task, index, shared);
  wait_for(task.packed + index, unit.rows);
  sort_unit(task, unit, share == 0);
  fill_slices<Index, pattern>(task, unit, share,
                              shared + ceil_div(Unit::bytes_per_row * task.unit_rows, 16));
  if (blockIdx.x + 1 == gridDim.x) wait_for_reset();  // the other kernel has told the spikes
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
    task.unit_rows = unit_rows_of(sell.window());
    const std::uint64_t units = ceil_div(m, task.unit_rows);
    const bool wide = std::uint64_t{task.unit_rows} * spikes.shape.k > 0xffffffffu;
    if (m > 0xffffffffu || units > 0x1fffffu || wide) {
      throw Error(ErrorCode::unsupported, "the tensor is too large for one launch of the encoder");
    }
    task.units = static_cast<std::uint32_t>(units);
    words = carver.take<std::uint32_t>(in_place ? 0 : m * task.stride);
    task.words = in_place ? static_cast<const std::uint32_t*>(spikes.data) : words;
    task.lengths = carver.take<std::uint32_t>(m);
    states = 2 * units;
    task.packed = carver.take<std::uint64_t>(states);
    task.positions = task.packed + units;
  }
  SellTask task{};
  bool in_place;
  std::uint32_t* words;
  std::uint64_t states;
};

template <class Index, bool pattern>
void launch_fill(const CudaContext& context, SellTask task) {
  const auto members = static_cast<std::uint32_t>(ceil_div(task.stride, member_words));
  task.team_warps = members > 4 ? 8 : members > 2 ? 4 : members;
  const std::uint32_t teams = strip_warps / task.team_warps;
  const std::uint32_t groups = static_cast<std::uint32_t>(ceil_div(task.unit_rows, 32 * teams));
  task.blocks_per_unit = std::min(groups, blocks_of_a_unit);
  // As many slots as rows are likely to have, where there is room.
  const std::uint64_t rows = task.sell.slices() * task.sell.slice_height();
  const std::uint64_t likely = ceil_div(task.sell.capacity, rows);
  task.depth = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(likely, 32, staged_bytes / (32 * sizeof(Index) * teams)));
  const std::size_t bytes = ceil_div(Unit::bytes_per_row * task.unit_rows, 16) * 16 +
                            teams * 32 * (task.team_warps * member_words / 4 + 1) * sizeof(uint4) +
                            teams * 32 * task.depth * sizeof(Index);
  allow_shared(sort_and_fill<Index, pattern>, bytes);
  launch_after_reset(context, sort_and_fill<Index, pattern>, task.units * task.blocks_per_unit,
                     strip_threads, bytes, task);
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
  cuda::TileTask tiles = cuda::plan_strips(spikes, sell.layout.row_order);
  cuda::check_strips(tiles);
  tiles.status = sell.status;
  tiles.states = scratch.task.packed;
  if (tiles.m == 0) tiles.offsets = sell.slice_offsets.data;  // the one 0
  cuda::reset_tiles(context, tiles, scratch.states);
  if (tiles.m == 0) return;
  const cuda::PackedRows rows{scratch.in_place ? nullptr : scratch.words, scratch.task.stride,
                              scratch.task.lengths, scratch.task.packed, scratch.task.unit_rows};
  cuda::with_storage(spikes.storage, [&]<DType storage>() {
    const auto kernel =
        cuda::is_quick(tiles) ? cuda::pack_rows<storage, true> : cuda::pack_rows<storage, false>;
    const std::size_t bytes = cuda::strip_warps * sizeof(cuda::RowPacker<storage>);
    cuda::allow_shared(kernel, bytes);
    const auto blocks =
        static_cast<unsigned>(ceil_div(ceil_div(tiles.tiles, tiles.parts), cuda::strip_warps));
    cuda::launch_after_reset(
        context, kernel, std::min(blocks, cuda::resident_blocks(context, cuda::pack_blocks_per_sm)),
        cuda::strip_threads, bytes, tiles, rows);
  });
  const bool narrow = sell.column_indices.type == DType::u16;
  const bool pattern = sell.values.type == DType::bit;
  if (narrow) {
    pattern ? cuda::launch_fill<std::uint16_t, true>(context, scratch.task)
            : cuda::launch_fill<std::uint16_t, false>(context, scratch.task);
  } else {
    pattern ? cuda::launch_fill<std::uint32_t, true>(context, scratch.task)
            : cuda::launch_fill<std::uint32_t, false>(context, scratch.task);
  }
}

template void decode(const CudaContext&, const Sell&, const MutableSpikeView&);

}  // namespace spiketune
