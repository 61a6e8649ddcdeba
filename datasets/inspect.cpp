#include "spiketune/datasets/inspect.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/pack.hpp"

namespace spiketune {
namespace {

/// Rows that one work item looks at: the tallest union and block.
constexpr std::uint32_t chunk_rows = 64;

/// Counts over the whole matrix, added up from those of its chunks.
struct Totals {
  std::array<std::uint64_t, 5> unions{};  ///< non-empty column vectors
  std::array<std::uint64_t, 4> blocks{};  ///< non-empty blocks
  std::uint64_t over_groups = 0;          ///< groups of four with three or four spikes
  std::uint64_t over_spikes = 0;          ///< spikes beyond the second of their group
  std::vector<std::uint64_t> channels;    ///< spikes of each column

  explicit Totals(std::uint32_t k) : channels(k) {}

  void add(const Totals& other) {
    for (std::size_t i = 0; i < unions.size(); ++i) unions[i] += other.unions[i];
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] += other.blocks[i];
    over_groups += other.over_groups;
    over_spikes += other.over_spikes;
    for (std::size_t k = 0; k < channels.size(); ++k) channels[k] += other.channels[k];
  }
};

/// Adds one-bit counters: bit i of plane p is bit p of the count of column i. Adding a word costs
/// two steps on average, where 32 counters would cost 32.
struct CounterPlanes {
  static constexpr std::uint32_t planes = 7;  // counts to 127, above chunk_rows
  std::array<std::uint32_t, planes> plane{};

  void add(std::uint32_t word) {
    for (std::uint32_t p = 0; word != 0; ++p) {
      const std::uint32_t carry = plane[p] & word;
      plane[p] ^= word;
      word = carry;
    }
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    std::uint32_t any = 0;
    for (const std::uint32_t word : plane) any |= word;
    for (; any != 0; any &= any - 1) {
      const std::uint32_t i = lowest_bit(any);
      std::uint32_t count = 0;
      for (std::uint32_t p = 0; p < planes; ++p) count |= (plane[p] >> i & 1u) << p;
      visit(i, count);
    }
  }
};

/// std::popcount is a call where the compiler may not assume the instruction; this is not, and the
/// counts of fours are wanted anyway.
struct BitCounts {
  std::uint32_t fours;  ///< of each group of four bits, in its place

  explicit BitCounts(std::uint32_t word) {
    const std::uint32_t pairs = word - (word >> 1 & 0x55555555u);
    fours = (pairs & 0x33333333u) + (pairs >> 2 & 0x33333333u);
  }
  [[nodiscard]] std::uint32_t all() const {
    return ((fours + (fours >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
  }
  /// Groups with at least three.
  [[nodiscard]] std::uint32_t over_two() const { return add_flags((fours + 0x55555555u) >> 3); }
  [[nodiscard]] std::uint32_t full() const { return add_flags(fours >> 2); }

 private:
  /// Adds the lowest bits of all groups: at most 8, so that no sum overflows its group.
  static std::uint32_t add_flags(std::uint32_t groups) {
    return (groups & 0x11111111u) * 0x11111111u >> 28;
  }
};

std::uint32_t count(std::uint32_t word) {
  return BitCounts(word).all();
}

/// Words with any bit set, when cut into pieces of `width` <= 32 bits.
std::uint32_t nonempty_pieces(std::uint32_t word, std::uint32_t width) {
  for (std::uint32_t shift = 1; shift < width; shift *= 2) word |= word >> shift;
  // The shifts above drag bits in from the piece to the left only to positions that are not kept.
  const std::uint32_t keep = width == 8 ? 0x01010101u : width == 16 ? 0x00010001u : 1u;
  return count(word & keep);
}

/// One column of words through a chunk of rows.
class WordColumn {
 public:
  WordColumn(const BitRows& bits, std::uint32_t w, Totals& totals)
      : bits_(bits), w_(w), totals_(totals) {}

  /// Returns the union of all rows of the chunk.
  std::uint32_t scan(std::uint64_t begin, std::uint64_t end) {
    std::uint32_t of_4 = 0;
    std::uint32_t of_8 = 0;
    std::uint32_t of_16 = 0;
    std::uint32_t of_32 = 0;
    std::uint32_t of_64 = 0;
    CounterPlanes counts;
    for (std::uint64_t row = begin; row < end; ++row) {
      const std::uint32_t word = bits_.word(row, w_);
      const std::uint64_t done = row - begin + 1;
      const bool last = row + 1 == end;
      if (word != 0) {
        const BitCounts ones(word);
        const std::uint32_t over = ones.over_two();
        totals_.unions[0] += ones.all();
        totals_.over_groups += over;
        totals_.over_spikes += over + ones.full();  // one beyond two, or two
        counts.add(word);
        of_4 |= word;
      }
      if (done % 4 != 0 && !last) continue;
      of_8 |= close_union(1, of_4);
      if (done % 8 != 0 && !last) continue;
      close_block(0, of_8);
      of_16 |= close_union(2, of_8);
      if (done % 16 != 0 && !last) continue;
      close_block(1, of_16);
      of_32 |= close_union(3, of_16);
      if (done % 32 != 0 && !last) continue;
      close_block(2, of_32);
      of_64 |= of_32;
      of_32 = 0;
    }
    totals_.unions[4] += count(of_64);
    counts.for_each(
        [&](std::uint32_t i, std::uint32_t count) { totals_.channels[32 * w_ + i] += count; });
    return of_64;
  }

 private:
  std::uint32_t close_union(std::size_t index, std::uint32_t& word) {
    const std::uint32_t closed = word;
    totals_.unions[index] += count(closed);
    word = 0;
    return closed;
  }
  void close_block(std::size_t index, std::uint32_t word) {
    totals_.blocks[index] += nonempty_pieces(word, SpikeStatistics::block_sizes[index]);
  }

  const BitRows& bits_;
  std::uint32_t w_;
  Totals& totals_;
};

void scan_chunk(const BitRows& bits, std::uint64_t begin, std::uint64_t end, Totals& totals) {
  std::uint32_t left_half = 0;  // of the 64 columns of the largest block
  for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) {
    const std::uint32_t united = WordColumn(bits, w, totals).scan(begin, end);
    const bool complete = w % 2 == 1 || w + 1 == bits.words_per_row();
    if (!complete) {
      left_half = united;
      continue;
    }
    totals.blocks[3] += (left_half | united) != 0;
    left_half = 0;
  }
}

/// Spikes of neurons over time.
struct OverTime {
  std::uint64_t before = 0;  ///< spikes at t = 0 .. T-2
  std::uint64_t again = 0;   ///< of these, followed by one at t + 1
  std::uint64_t awake = 0;   ///< neurons with any spike
};

OverTime scan_time(const HostContext& context, const BitRows& bits, const SpikeShape& shape,
                   RowOrder order) {
  OverTime total;
  std::mutex guard;
  const RowMap map{shape.timesteps, shape.rows, order, RowOrder::time_major};
  const std::uint64_t grain = std::max<std::uint64_t>(1, 65536 / (shape.k + std::uint64_t{1}));
  parallel_ranges(context, shape.rows, grain, [&](std::uint64_t begin, std::uint64_t end) {
    OverTime local;
    for (std::uint64_t row = begin; row < end; ++row) {
      for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) {
        std::uint32_t previous = 0;
        std::uint32_t any = 0;
        for (std::uint32_t t = 0; t < shape.timesteps; ++t) {
          const std::uint32_t word = bits.word(map.source(t * shape.rows + row), w);
          local.before += t + 1 < shape.timesteps ? count(word) : 0;
          local.again += count(word & previous);
          any |= word;
          previous = word;
        }
        local.awake += count(any);
      }
    }
    const std::scoped_lock lock(guard);
    total.before += local.before;
    total.again += local.again;
    total.awake += local.awake;
  });
  return total;
}

template <class Count>
void sort_counts(std::vector<Count>& counts, std::uint64_t most) {
  if (most > counts.size()) {
    std::sort(counts.begin(), counts.end());
    return;
  }
  std::vector<std::uint64_t> times(most + 1);  // few different ones: count how often each is there
  for (const Count value : counts) ++times[value];
  auto at = counts.begin();
  for (std::uint64_t value = 0; value <= most; ++value) {
    at = std::fill_n(at, times[value], static_cast<Count>(value));
  }
}

template <class Count>
Distribution distribution(std::vector<Count> counts, std::uint64_t most) {
  Distribution result;
  if (counts.empty() || most == 0) return result;
  sort_counts(counts, most);
  const auto full = static_cast<double>(most);
  const auto percentile = [&](std::uint64_t percent) {
    const std::uint64_t rank = std::max<std::uint64_t>(1, ceil_div(counts.size() * percent, 100));
    return static_cast<double>(counts[rank - 1]) / full;
  };
  double sum = 0;
  for (const Count count : counts) sum += static_cast<double>(count);
  result.min = static_cast<double>(counts.front()) / full;
  result.mean = sum / full / static_cast<double>(counts.size());
  result.p05 = percentile(5);
  result.p25 = percentile(25);
  result.median = percentile(50);
  result.p75 = percentile(75);
  result.p95 = percentile(95);
  result.max = static_cast<double>(counts.back()) / full;
  return result;
}

/// Of counts divided by `most`.
double deviation(const std::vector<std::uint64_t>& counts, std::uint64_t most) {
  if (counts.empty() || most == 0) return 0;
  const auto size = static_cast<double>(counts.size());
  double mean = 0;
  for (const std::uint64_t count : counts) mean += static_cast<double>(count) / size;
  double variance = 0;
  for (const std::uint64_t count : counts) {
    const double distance = static_cast<double>(count) - mean;
    variance += distance * distance / size;
  }
  return std::sqrt(variance) / static_cast<double>(most);
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::vector<std::uint32_t> row_counts(const HostContext& context, const BitRows& bits) {
  std::vector<std::uint32_t> counts(bits.m);
  parallel_for(context, bits.m, 256, [&](std::uint64_t row) {
    std::uint32_t spikes = 0;
    for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) spikes += count(bits.word(row, w));
    counts[row] = spikes;
  });
  return counts;
}

Totals scan_matrix(const HostContext& context, const BitRows& bits) {
  Totals total(bits.k);
  std::mutex guard;
  // Enough chunks to an item that adding up the channels' counters does not matter.
  const std::uint64_t grain = chunk_rows * 16;
  parallel_ranges(context, bits.m, grain, [&](std::uint64_t begin, std::uint64_t end) {
    Totals local(bits.k);
    for (std::uint64_t row = begin; row < end; row += chunk_rows) {
      scan_chunk(bits, row, std::min(end, row + chunk_rows), local);
    }
    const std::scoped_lock lock(guard);
    total.add(local);
  });
  return total;
}

}  // namespace

SpikeStatistics inspect(const HostContext& context, const SpikeView& spikes, RowOrder row_order) {
  std::vector<std::uint32_t> words(packed_words(spikes));
  EncodeStatus status{};
  const BitRows bits = pack(context, spikes, row_order, words.data(), &status);
  FormatBase described;
  described.layout = layout_of(spikes, row_order);
  check_status(status, described, "inspect", spikes.row_order);

  const SpikeShape& shape = spikes.shape;
  const std::uint64_t m = shape.m();
  const Totals totals = scan_matrix(context, bits);
  const OverTime over_time = scan_time(context, bits, shape, row_order);
  SpikeStatistics result;
  result.elements = shape.elements();
  result.nnz = status.nnz;
  result.density = share(result.nnz, result.elements);
  result.row_rates = distribution(row_counts(context, bits), shape.k);
  result.channel_rates = distribution(totals.channels, m);
  result.channel_deviation = deviation(totals.channels, m);
  result.silent_channels = share(
      static_cast<std::uint64_t>(std::count(totals.channels.begin(), totals.channels.end(), 0u)),
      shape.k);
  const std::uint64_t neurons = shape.rows * shape.k;
  result.silent_neurons = share(neurons - over_time.awake, neurons);
  if (over_time.before != 0) result.persistence = share(over_time.again, over_time.before);
  result.persistence_by_chance = result.density;
  for (std::size_t i = 0; i < totals.unions.size(); ++i) {
    result.union_density[i] =
        share(totals.unions[i], ceil_div(m, SpikeStatistics::union_rows[i]) * shape.k);
  }
  const std::uint64_t groups = m * ceil_div(shape.k, 4);
  result.groups_fit_two_four = share(groups - totals.over_groups, groups);
  result.spikes_over_two_four = share(totals.over_spikes, result.nnz);
  for (std::size_t i = 0; i < totals.blocks.size(); ++i) {
    const std::uint64_t size = SpikeStatistics::block_sizes[i];
    const std::uint64_t blocks = ceil_div(m, size) * ceil_div(shape.k, size);
    result.empty_blocks[i] = share(blocks - totals.blocks[i], blocks);
  }
  return result;
}

}  // namespace spiketune
