#include "spiketune/encoders/features.hpp"

#include <algorithm>
#include <mutex>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/pack.hpp"

namespace spiketune {
namespace {

void add(Features& sum, const Features& part) {
  sum.nnz += part.nnz;
  sum.squared_lengths += part.squared_lengths;
  sum.longest = std::max(sum.longest, part.longest);
  for (std::size_t i = 0; i < sum.lengths.size(); ++i) sum.lengths[i] += part.lengths[i];
  for (std::size_t i = 0; i < sum.vectors.size(); ++i) sum.vectors[i] += part.vectors[i];
  sum.blocks += part.blocks;
  sum.beyond_two_four += part.beyond_two_four;
  sum.followed += part.followed;
  sum.stayed += part.stayed;
}

/// The same position one time step later, in the order of the words; `source` itself in the last.
std::uint64_t next_step(const BitRows& bits, std::uint64_t source) {
  if (bits.map.from == RowOrder::time_major) {
    return source + bits.map.rows < bits.m ? source + bits.map.rows : source;
  }
  return source % bits.map.timesteps + 1 < bits.map.timesteps ? source + 1 : source;
}

void measure_row(const BitRows& bits, std::uint64_t row, Features& features) {
  const std::uint64_t source = bits.map.source(row);
  const std::uint64_t next = next_step(bits, source);
  std::uint32_t length = 0;
  for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) {
    const std::uint32_t word = bits.word(row, w);
    const std::uint32_t count = count_bits(word);
    length += count;
    for (std::uint32_t rest = word; rest != 0; rest >>= 4) {
      features.beyond_two_four += std::max(count_bits(rest & 15u), 2u) - 2;
    }
    if (next != source) {
      features.followed += count;
      features.stayed += count_bits(word & bits.words[next * bits.words_per_row() + w]);
    }
  }
  features.nnz += length;
  features.squared_lengths += std::uint64_t{length} * length;
  features.longest = std::max<std::uint64_t>(features.longest, length);
  ++features.lengths[length_class(length)];
}

void measure_unions(const BitRows& bits, std::uint64_t first, Features& features) {
  for (std::size_t i = 0; i < Features::group_sizes.size(); ++i) {
    const std::uint32_t size = Features::group_sizes[i];
    for (std::uint64_t group = first; group < std::min(bits.m, first + 64); group += size) {
      for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) {
        std::uint32_t any = 0;
        for (std::uint64_t row = group; row < std::min(bits.m, group + size); ++row) {
          any |= bits.word(row, w);
        }
        features.vectors[i] += count_bits(any);
        if (size == 16) features.blocks += ((any & 0xffffu) != 0) + (any >> 16 != 0);
      }
    }
  }
}

}  // namespace

void measure_features(const HostContext& context, const SpikeView& spikes, RowOrder order,
                      Features* features) {
  check_features(spikes, features, Space::host);
  const SpikeShape& shape = spikes.shape;
  const BitRows bits{static_cast<const std::uint32_t*>(spikes.data),
                     shape.m(),
                     shape.k,
                     {shape.timesteps, shape.rows, spikes.row_order, order}};
  *features = {};
  std::mutex adding;
  parallel_ranges(context, bits.m, 64, [&](std::uint64_t begin, std::uint64_t end) {
    Features part;
    for (std::uint64_t row = begin; row < end; ++row) measure_row(bits, row, part);
    for (std::uint64_t first = begin; first < end; first += 64) measure_unions(bits, first, part);
    const std::lock_guard lock(adding);
    add(*features, part);
  });
}

}  // namespace spiketune
