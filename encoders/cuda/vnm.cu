// Spikes to selected columns, slots and a residual: a tile of bits in shared memory, whose words
// are 32 columns of a row. Counting, selecting and splitting go on in all blocks of a word at once,
// which are its fields of m bits. What has no slot stays as bits, and those become a CSR as in
// csc.cu.
//
// Bytes: the input once, the residual's bits written and read once more (they mostly stay in L2),
// and the encoding once.

#include "spiketune/encoders/vnm.hpp"

#include "spiketune/encoders/cuda/batches.cuh"
#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A word as numbers of m bits side by side, none of which overflows into the next.
template <std::uint32_t m>
struct Fields {
  static constexpr std::uint32_t count = 32 / m;
  static constexpr std::uint32_t ones = m == 8 ? 0x01010101u : m == 16 ? 0x00010001u : 1u;
  static constexpr std::uint32_t tops = ones << (m - 1);
  static constexpr std::uint32_t steps = m == 8 ? 3 : m == 16 ? 4 : 5;  ///< log2(m)

  /// x << distance, without what leaves its field.
  static __device__ std::uint32_t shift(std::uint32_t x, std::uint32_t distance) {
    return x << distance & (~0u - ones * ((1u << distance) - 1));
  }
  /// All bits of the fields in which x >= y; both are below 2^(m-1).
  static __device__ std::uint32_t at_least(std::uint32_t x, std::uint32_t y) {
    const std::uint32_t top = ((x | tops) - y) & tops;
    return top | (top - (top >> (m - 1)));
  }
  /// How many bits each field has.
  static __device__ std::uint32_t popcount(std::uint32_t x) {
    if constexpr (m == 32) return count_bits(x);
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0fu;
    if constexpr (m == 16) x = (x + (x >> 8)) & 0x00ff00ffu;
    return x;
  }
  /// The lowest bit of each field that has any.
  static __device__ std::uint32_t lowest(std::uint32_t x) {
    const std::uint32_t less_one = ((x | tops) - ones) ^ (~x & tops);
    return x & ~less_one;
  }
};

/// How many rows have a spike in each of 32 columns: bit i of the counts is word i.
struct ColumnCounts {
  static constexpr std::uint32_t bits = 8;  ///< up to Vnm::most_rows
  std::uint32_t words[bits] = {};

  __device__ void add(std::uint32_t row) {
#pragma unroll
    for (std::uint32_t i = 0; i < bits - 2; ++i) {  // a thread has a quarter of the rows
      const std::uint32_t carry = words[i] & row;
      words[i] ^= row;
      row = carry;
    }
  }
  /// Adds those of the lane whose number differs by `distance`.
  __device__ void add_other(int distance) {
    std::uint32_t carry = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < bits; ++i) {
      const std::uint32_t other = __shfl_xor_sync(all_lanes, words[i], distance);
      const std::uint32_t differs = words[i] ^ other;
      const std::uint32_t both = words[i] & other;
      words[i] = differs ^ carry;
      carry = both | (differs & carry);
    }
  }
};

/// The four columns with most spikes of each block, the lower one where two have as many: from the
/// highest bit of the counts down, columns that have it are taken where all of them may be, and are
/// the only candidates where they are too many. All lanes call.
template <std::uint32_t m>
__device__ std::uint32_t select_columns(const ColumnCounts& counts) {
  using F = Fields<m>;
  std::uint32_t selected = 0;
  std::uint32_t candidates = ~0u;
  std::uint32_t left = 4 * F::ones;
#pragma unroll
  for (std::uint32_t i = ColumnCounts::bits; i-- > 0;) {
    if (!__any_sync(all_lanes, counts.words[i] != 0)) continue;
    const std::uint32_t more = counts.words[i] & candidates;
    const std::uint32_t number = F::popcount(more);
    const std::uint32_t fits = F::at_least(left, number);
    selected |= more & fits;
    candidates = (candidates & ~more & fits) | (more & ~fits);
    left -= number & fits;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t next = F::lowest(candidates) & F::at_least(left, F::ones);
    selected |= next;
    candidates ^= next;
    left -= F::popcount(next);
  }
  return selected;
}

/// Moves the selected bits of each field to its low end (Warren, Hacker's Delight, 7-4): bits whose
/// way is odd move by one, then those where it is odd in twos by two, and so on.
template <std::uint32_t m>
class Compression {
 public:
  __device__ explicit Compression(std::uint32_t selected) {
    using F = Fields<m>;
    std::uint32_t below = F::shift(~selected, 1);
#pragma unroll
    for (std::uint32_t i = 0; i < F::steps; ++i) {
      std::uint32_t odd = below;
#pragma unroll
      for (std::uint32_t distance = 1; distance < m; distance *= 2) odd ^= F::shift(odd, distance);
      moves_[i] = odd & selected;
      selected = (selected ^ moves_[i]) | moves_[i] >> (1u << i);
      below &= ~odd;
    }
  }
  /// x has selected bits only.
  [[nodiscard]] __device__ std::uint32_t operator()(std::uint32_t x) const {
#pragma unroll
    for (std::uint32_t i = 0; i < Fields<m>::steps; ++i) {
      const std::uint32_t move = x & moves_[i];
      x = (x ^ move) | move >> (1u << i);
    }
    return x;
  }

 private:
  std::uint32_t moves_[Fields<m>::steps];
};

/// The low four bits of four bytes.
__device__ std::uint32_t gather_nibbles(std::uint32_t x) {
  x = (x | x >> 4) & 0x00ff00ffu;
  return (x | x >> 8) & 0xffffu;
}

/// The groups of a word, four bits each: all that has a slot.
template <std::uint32_t m>
using WordGroups = std::conditional_t<m == 8, std::uint16_t, std::uint8_t>;

template <std::uint32_t m>
__device__ WordGroups<m> groups_of(std::uint32_t compressed) {
  if constexpr (m == 8) return static_cast<WordGroups<m>>(gather_nibbles(compressed));
  return static_cast<WordGroups<m>>(compressed | compressed >> 12);
}

/// Sixteen groups of a row: two words of eight.
template <std::uint32_t m>
__device__ uint2 load_groups(const WordGroups<m>* groups) {
  if constexpr (m != 32) return *reinterpret_cast<const uint2*>(groups);
  const uint4 words = *reinterpret_cast<const uint4*>(groups);
  return {gather_nibbles(words.x) | gather_nibbles(words.y) << 16,
          gather_nibbles(words.z) | gather_nibbles(words.w) << 16};
}

/// Words of a row that make a word of presence.
template <std::uint32_t m>
inline constexpr std::uint32_t presence_span = m / 2;

/// Words of the rows of a tile, with those that fill its last word of presence.
template <std::uint32_t m>
__host__ __device__ std::uint32_t padded_words(std::uint32_t words) {
  return (words + presence_span<m> - 1) / presence_span<m> * presence_span<m>;
}

/// Selects columns, leaves in the tile what has no slot, and the rest in groups[row][word]. Four
/// neighbours share the rows of a word. All threads call.
template <std::uint32_t m>
__device__ void split_tile(const TileBits& bits, const Vnm& vnm, WordGroups<m>* groups,
                           Tally* tally) {
  using F = Fields<m>;
  const std::uint32_t v = vnm.block_height();
  const std::uint32_t stride = padded_words<m>(bits.words_per_row);
  const Divisor per_block(stride);
  const std::uint32_t total = (bits.rows + v - 1) / v * stride;
  for (std::uint32_t begin = 0; begin < 4 * total; begin += tile_threads) {
    const std::uint32_t i = (begin + threadIdx.x) / 4;
    const std::uint32_t block = per_block.quotient(i);
    const std::uint32_t w = i - block * stride;
    const std::uint32_t first = block * v + threadIdx.x % 4;
    const std::uint32_t end = i < total ? std::min((block + 1) * v, bits.rows) : 0;
    ColumnCounts counts;
    for (std::uint32_t r = first; r < end; r += 4) counts.add(bits.word(r, w));
    counts.add_other(1);
    counts.add_other(2);
    const std::uint32_t selected = select_columns<m>(counts);
    const std::uint32_t column = (bits.first_word + w) * F::count + threadIdx.x % 4;
    if (i < total && threadIdx.x % 4 < F::count && column < vnm.block_columns()) {
      vnm.selected[(bits.first_group + block) * vnm.block_columns() + column] =
          detail::pack_selected(selected >> (threadIdx.x % 4 * m) & low_mask(m));
    }
    const Compression<m> compress(selected);
    for (std::uint32_t r = first; r < end; r += 4) {
      const std::uint32_t word = bits.word(r, w);
      const std::uint32_t one = F::lowest(word & selected);
      const std::uint32_t slots = one | F::lowest((word & selected) ^ one);
      groups[r * stride + w] = groups_of<m>(compress(slots));
      tally->spikes += count_bits(word);
      if (vnm.prune()) tally->lost += count_bits(word ^ slots);
      if (w < bits.words_per_row) bits.words[r * bits.words_per_row + w] = word ^ slots;
    }
  }
}

/// Writes the slots of a tile: a thread makes a word of presence. All threads call.
template <std::uint32_t m>
__device__ void store_slots(const TileBits& bits, const Vnm& vnm, const ValueSource& source,
                            const WordGroups<m>* groups) {
  const std::uint32_t stride = padded_words<m>(bits.words_per_row);
  const std::uint32_t pairs = stride / presence_span<m>;
  const Divisor per_row(pairs);
  for (std::uint32_t i = threadIdx.x; i < bits.rows * pairs; i += tile_threads) {
    const std::uint32_t row = per_row.quotient(i);
    const std::uint32_t pair = i - row * pairs;
    const std::uint64_t out = bits.first_row + row;
    const std::uint32_t word = bits.first_word / presence_span<m> + pair;
    const uint2 both = load_groups<m>(groups + row * stride + pair * presence_span<m>);
    const SplitGroups halves[2] = {split_groups(both.x), split_groups(both.y)};
    vnm.presence[out * vnm.presence_words_per_row() + word] =
        halves[0].presence | halves[1].presence << 16;
#pragma unroll
    for (std::uint32_t half = 0; half < 2; ++half) {
      const std::uint32_t w = 2 * word + half;
      if (w >= vnm.words_per_row) break;
      vnm.metadata[out * vnm.words_per_row + w] = halves[half].metadata;
      store_slot_values(vnm, source, out, w, halves[half].metadata, halves[half].presence);
    }
  }
}

/// `residual`: spikes without a slot, as packed rows.
template <DType storage, std::uint32_t m>
__global__ void __launch_bounds__(tile_threads, tile_blocks_per_sm)
    split_tiles(const __grid_constant__ TileTask task, const __grid_constant__ Vnm vnm,
                const __grid_constant__ ValueSource source, std::uint32_t* residual) {
  extern __shared__ uint4 shared[];
  auto* words = reinterpret_cast<std::uint32_t*>(shared);
  auto* groups = reinterpret_cast<WordGroups<m>*>(words + task.rows_per_tile * task.part_words);
  const TileBits bits(task, blockIdx.x, words);
  pack_tile<storage>(task, bits, words);
  __syncthreads();
  Tally tally;
  split_tile<m>(bits, vnm, groups, &tally);
  __syncthreads();
  store_slots<m>(bits, vnm, source, groups);
  if (!vnm.prune()) {
    const Divisor per_row(bits.words_per_row);
    for (std::uint32_t i = threadIdx.x; i < bits.total_words(); i += tile_threads) {
      const std::uint32_t row = per_row.quotient(i);
      residual[(bits.first_row + row) * task.words_per_row + bits.first_word + i -
               row * bits.words_per_row] = words[i];
    }
  }
  add_tally(task.status, tally);
}

/// Units are spikes of the residual, given as bits.
struct EmitResidual {
  static constexpr bool each_spike = false;
  Vnm vnm;
  ValueSource source;

  [[nodiscard]] bool is_pattern() const { return vnm.values.type == DType::bit; }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& strip, const StripUnits<storage>& units,
                        std::uint64_t first) const {
    store_strip<storage>(
        units, first, vnm.capacity, pattern || vnm.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = strip.column_of(unit);
          store_index(vnm.residual_column_indices, at, column);
          if constexpr (pattern) return;
          source.copy_to(vnm.residual_values, at, strip.first_row + strip.row_of(unit), column);
        },
        [&](std::uint64_t at, const uint4& eight) {
          store_columns(strip, vnm.residual_column_indices, at, eight);
        });
  }
};

/// Whole words of presence of a block's rows, at least: 2048 words.
constexpr std::uint32_t split_words = Vnm::most_rows * presence_span<32>;

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Vnm& vnm)
      : residual{nullptr,           spikes.shape,         DType::bit,
                 ValueKind::binary, vnm.layout.row_order, Space::device} {
    if (vnm.prune()) return;
    words = carver.take<std::uint32_t>(residual.bytes() / sizeof(std::uint32_t));
    residual.data = words;
    task = plan_strips(residual, residual.row_order);
    task.states = carver.take<std::uint64_t>(ceil_div(span_words(task), 2));
    task.offsets = vnm.residual_row_offsets.data;
  }
  SpikeView residual;  ///< spikes without a slot
  std::uint32_t* words = nullptr;
  TileTask task{};
};

template <std::uint32_t m>
void launch_split(const CudaContext& context, DType type, const TileTask& task, const Vnm& vnm,
                  const ValueSource& source, std::uint32_t* residual) {
  const std::size_t bytes =
      std::size_t{task.rows_per_tile} * (task.part_words * sizeof(std::uint32_t) +
                                         padded_words<m>(task.part_words) * sizeof(WordGroups<m>));
  with_storage(type, [&]<DType storage>() {
    split_tiles<storage, m>
        <<<task.tiles, tile_threads, bytes, context.stream>>>(task, vnm, source, residual);
  });
  check_launch();
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Vnm& vnm) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, spikes, vnm);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Vnm& vnm,
            Workspace workspace) {
  check_encode(spikes, vnm, Space::device);
  WorkspaceCarver carver(workspace);
  cuda::Scratch scratch(carver, spikes, vnm);
  scratch.task.status = vnm.status;
  cuda::check_strips(scratch.task);
  cuda::reset_tiles(context, scratch.task, 0);
  if (spikes.shape.elements() == 0) {
    if (!vnm.prune()) {
      fill(context, vnm.residual_row_offsets.data, 0, vnm.residual_row_offsets.bytes());
    }
    return;
  }
  const RowOrder order = vnm.layout.row_order;
  const ValueSource source = value_source(spikes, order);
  cuda::TileTask task = cuda::plan_tiles(spikes, order, vnm.block_height(), cuda::split_words);
  task.status = vnm.status;
  switch (vnm.block_width()) {
    case 8:
      cuda::launch_split<8>(context, spikes.storage, task, vnm, source, scratch.words);
      break;
    case 16:
      cuda::launch_split<16>(context, spikes.storage, task, vnm, source, scratch.words);
      break;
    default:
      cuda::launch_split<32>(context, spikes.storage, task, vnm, source, scratch.words);
  }
  if (vnm.prune()) return;
  cuda::launch_spans(context, scratch.task, cuda::EmitResidual{vnm, source}, false);
}

template void decode(const CudaContext&, const Vnm&, const MutableSpikeView&);

}  // namespace spiketune
