#pragma once
/// \file
/// The generators' definition, which host loops and CUDA kernels both run.

#include <cstdint>
#include <vector>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/datasets/random.hpp"

namespace spiketune {

/// A pattern boiled down to integer thresholds. Plain data, copied into kernels; the tables are in
/// the memory of whoever draws.
struct SpikeSource {
  SpikeShape shape;
  ValueKind kind = ValueKind::binary;
  RandomStream spikes;
  RandomStream values;
  std::uint64_t threshold = 0;                       ///< where there is no table
  const std::uint64_t* column_thresholds = nullptr;  ///< [K] or null
  const std::uint64_t* row_thresholds = nullptr;     ///< [rows] or null
  std::uint32_t row_group = 1;                       ///< rows, and columns, that share one draw
  std::uint32_t column_group = 1;
  bool markov = false;  ///< after the first time step, the thresholds depend on the step before:
  std::uint64_t threshold_after_spike = 0;
  std::uint64_t threshold_after_none = 0;
  /// The chain differs by column: column_thresholds is [3, K], of the first time step, after a
  /// spike and after none.
  bool column_markov = false;
  RandomStream neurons;  ///< neuron row·K + k fires at all where this draws below active_threshold
  std::uint64_t active_threshold = probability_threshold(1);
};

/// The source and the table that it points to, in host memory. Not copyable: a copy's pointer would
/// be into the original.
struct PreparedPattern {
  SpikeSource source;
  std::vector<std::uint64_t> table;

  PreparedPattern() = default;
  PreparedPattern(const PreparedPattern&) = delete;
  PreparedPattern& operator=(const PreparedPattern&) = delete;
  PreparedPattern(PreparedPattern&&) = default;
  PreparedPattern& operator=(PreparedPattern&&) = default;
  ~PreparedPattern() = default;
};

/// All floating-point work of a pattern, done on the host for every device. Throws as check() does.
[[nodiscard]] PreparedPattern prepare(const PatternSpec& spec, const SpikeShape& shape,
                                      ValueKind kind);

/// Columns 32·w .. 32·w+31 of (t, row) as bits. `previous`: the same word of time step t-1.
SPIKETUNE_HD inline std::uint32_t draw_word(const SpikeSource& source, std::uint32_t t,
                                            std::uint64_t row, std::uint32_t w,
                                            std::uint32_t previous) {
  const std::uint32_t k = source.shape.k;
  const std::uint32_t begin = 32 * w;
  const std::uint32_t count = k - begin < 32 ? k - begin : 32;
  const std::uint64_t row_groups = ceil_div(source.shape.rows, source.row_group);
  const std::uint64_t first =
      (t * row_groups + row / source.row_group) * ceil_div(k, source.column_group);
  const std::uint64_t shared =
      source.row_thresholds != nullptr ? source.row_thresholds[row] : source.threshold;
  const bool by_column = source.column_thresholds != nullptr;
  const std::uint64_t* thresholds = by_column ? source.column_thresholds + begin : &shared;
  const bool chained = source.markov && t > 0;
  std::uint32_t bits = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint64_t threshold = thresholds[by_column ? i : 0];
    if (chained && source.column_markov) {
      threshold = thresholds[i + ((previous >> i & 1u) != 0 ? 1 : 2) * std::uint64_t{k}];
    } else if (chained) {
      threshold =
          (previous >> i & 1u) != 0 ? source.threshold_after_spike : source.threshold_after_none;
    }
    const std::uint32_t group =
        source.column_group == 1 ? begin + i : (begin + i) / source.column_group;
    bool spike = source.spikes.below(threshold, first + group);
    if (spike && source.active_threshold < probability_threshold(1)) {
      spike = source.neurons.below(source.active_threshold, row * k + begin + i);
    }
    bits |= std::uint32_t{spike} << i;
  }
  return bits;
}

/// The value of a spike at the logical position (t·rows + row)·K + k.
SPIKETUNE_HD inline float draw_value(const SpikeSource& source, std::uint64_t position) {
  if (source.kind == ValueKind::binary) return 1.0f;
  const std::uint64_t bits = source.values.bits(position);
  if (source.kind == ValueKind::graded2) return static_cast<float>(1 + (bits >> 32) % 3);
  const float magnitude = static_cast<float>(1 + (bits >> 57)) / 32.0f;
  return (bits & 1u) != 0 ? -magnitude : magnitude;
}

/// Writes the elements of word `w` of (t, row), zeros too.
SPIKETUNE_HD inline void write_word(const SpikeSource& source, const MutableSpikeView& out,
                                    std::uint32_t t, std::uint64_t row, std::uint32_t w,
                                    std::uint32_t bits) {
  const std::uint32_t k = out.shape.k;
  const std::uint64_t out_row = out.row_order == RowOrder::time_major
                                    ? t * out.shape.rows + row
                                    : row * out.shape.timesteps + t;
  if (out.storage == DType::bit) {
    static_cast<std::uint32_t*>(out.data)[out_row * ceil_div(k, 32) + w] = bits;
    return;
  }
  const std::uint64_t position = (t * out.shape.rows + row) * k;
  const std::uint32_t end = k - 32 * w < 32 ? k : 32 * w + 32;
  if (out.storage == DType::u2) {
    for (std::uint32_t begin = 32 * w; begin < end; begin += 16) {
      std::uint32_t packed = 0;
      for (std::uint32_t i = 0; i < 16; ++i) {
        if ((bits >> (begin % 32 + i) & 1u) == 0) continue;
        packed |= static_cast<std::uint32_t>(draw_value(source, position + begin + i)) << (2 * i);
      }
      static_cast<std::uint32_t*>(out.data)[out_row * ceil_div(k, 16) + begin / 16] = packed;
    }
    return;
  }
  if (out.storage == DType::u8 && source.kind == ValueKind::binary) {  // the usual case, quickly
    auto* bytes = static_cast<std::uint8_t*>(out.data) + out_row * k;
    for (std::uint32_t column = 32 * w; column < end; ++column) {
      bytes[column] = static_cast<std::uint8_t>(bits >> (column % 32) & 1u);
    }
    return;
  }
  for (std::uint32_t column = 32 * w; column < end; ++column) {
    const bool spike = (bits >> (column % 32) & 1u) != 0;
    const float value = spike ? draw_value(source, position + column) : 0.0f;
    store_spike(out.data, out.storage, k, out_row, column, value);
  }
}

/// Work items of a pattern: a Markov chain is walked by one thread, everything else is split by
/// time step too.
SPIKETUNE_HD inline std::uint64_t work_items(const SpikeSource& source) {
  const std::uint64_t words = source.shape.rows * ceil_div(source.shape.k, 32);
  return source.markov ? words : words * source.shape.timesteps;
}

SPIKETUNE_HD inline void run_work_item(const SpikeSource& source, const MutableSpikeView& out,
                                       std::uint64_t item) {
  const std::uint64_t words_per_row = ceil_div(source.shape.k, 32);
  const auto w = static_cast<std::uint32_t>(item % words_per_row);
  const std::uint64_t row = item / words_per_row % source.shape.rows;
  if (!source.markov) {
    const auto t = static_cast<std::uint32_t>(item / words_per_row / source.shape.rows);
    write_word(source, out, t, row, w, draw_word(source, t, row, w, 0));
    return;
  }
  std::uint32_t bits = 0;
  for (std::uint32_t t = 0; t < source.shape.timesteps; ++t) {
    bits = draw_word(source, t, row, w, bits);
    write_word(source, out, t, row, w, bits);
  }
}

}  // namespace spiketune
