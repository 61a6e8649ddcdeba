#include "spiketune/encoders/vnm.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace {

constexpr std::uint32_t groups_per_word = 8;  ///< of metadata

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        residual(carver.take<std::uint32_t>(spikes.shape.m() * ceil_div(spikes.shape.k, 32))) {}
  std::uint32_t* words;
  std::uint32_t* residual;  ///< spikes without a slot, as packed rows
};

using Rows32 = std::array<std::uint32_t, Vnm::most_rows>;  ///< one word of each row of a block
using Counts = std::array<std::uint8_t, 32>;

/// Table of the bits of a byte as eight bytes.
constexpr std::array<std::uint64_t, 256> bytes_of_bits = [] {
  std::array<std::uint64_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    for (std::uint32_t bit = 0; bit < 8; ++bit) {
      table[byte] |= std::uint64_t{byte >> bit & 1u} << (8 * bit);
    }
  }
  return table;
}();

/// Spikes of each of 32 columns, eight counters at a time.
Counts count_columns(const Rows32& words, std::uint32_t rows) {
  static_assert(Vnm::most_rows < 256);
  std::array<std::uint64_t, 4> sums{};
  for (std::uint32_t r = 0; r < rows; ++r) {
    for (std::uint32_t byte = 0; byte < 4; ++byte) {
      sums[byte] += bytes_of_bits[words[r] >> (8 * byte) & 0xffu];
    }
  }
  Counts counts;
  for (std::uint32_t c = 0; c < 32; ++c) {
    counts[c] = static_cast<std::uint8_t>(sums[c / 8] >> (c % 8 * 8));
  }
  return counts;
}

/// The four columns of a block with most spikes, as bits. Lower ones win ties. Without a branch:
/// which columns win is anyone's guess.
template <std::uint32_t m>
std::uint32_t select_columns(const std::uint8_t* counts) {
  std::array<std::int16_t, m> keys;  // all different
  for (std::uint32_t c = 0; c < m; ++c) {
    keys[c] = static_cast<std::int16_t>(counts[c] * 32 + (31 - static_cast<int>(c)));
  }
  std::array<std::int16_t, m> ranks{};
  for (std::uint32_t other = 0; other < m; ++other) {
    for (std::uint32_t c = 0; c < m; ++c) {
      ranks[c] = static_cast<std::int16_t>(ranks[c] + (keys[other] > keys[c]));
    }
  }
  std::uint32_t chosen = 0;
  for (std::uint32_t c = 0; c < m; ++c) chosen |= std::uint32_t{ranks[c] < 4} << c;
  return chosen;
}

/// count_bits() in operations that compilers vectorise.
std::uint32_t sum_bits(std::uint32_t x) {
  x -= x >> 1 & 0x55555555u;
  x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0fu;
  x += x >> 8;
  return (x + (x >> 16)) & 0x3fu;
}

/// One row of blocks of m columns on its way to its slots, a word of metadata (eight blocks) at a
/// time.
template <std::uint32_t m>
class BlockRow {
 public:
  BlockRow(const BitRows& bits, const ValueSource& source, const Vnm& vnm, std::uint32_t* residual,
           std::uint64_t block_row)
      : bits_(bits),
        source_(source),
        vnm_(vnm),
        residual_(residual),
        block_row_(block_row),
        first_row_(block_row * vnm.block_height()),
        rows_(static_cast<std::uint32_t>(
            std::min<std::uint64_t>(vnm.block_height(), bits.m - first_row_))) {}

  /// Returns how many spikes found no slot; those of each row go to residual_counts, unless null.
  std::uint64_t fill(std::uint32_t* residual_counts) {
    std::fill(without_slot_.begin(), without_slot_.begin() + rows_, 0);
    for (std::uint32_t w = 0; w < vnm_.words_per_row; ++w) {
      gather(w);
      split(w);
      scatter(w);
    }
    if (residual_counts != nullptr) {
      std::copy(without_slot_.begin(), without_slot_.begin() + rows_, residual_counts);
    }
    return std::accumulate(without_slot_.begin(), without_slot_.begin() + rows_, std::uint64_t{0});
  }

 private:
  static constexpr std::uint32_t blocks_per_part = 32 / m;
  /// Words of spikes that make a word of metadata.
  static constexpr std::uint32_t parts = m / 4;

  /// Selects columns of eight blocks, and moves their bits together into groups.
  void gather(std::uint32_t w) {
    std::fill(groups_.begin(), groups_.begin() + rows_, 0);
    for (std::uint32_t part = 0; part < parts; ++part) {
      const std::uint32_t from = w * parts + part;
      Rows32& words = words_[part];
      for (std::uint32_t r = 0; r < rows_; ++r) {
        words[r] = from < bits_.words_per_row() ? bits_.word(first_row_ + r, from) : 0;
      }
      const Counts counts = count_columns(words, rows_);
      for (std::uint32_t block = 0; block < blocks_per_part; ++block) {
        const std::uint32_t group = part * blocks_per_part + block;
        const std::uint32_t selected =
            detail::pack_selected(select_columns<m>(counts.data() + block * m));
        selected_[group] = selected;
        const std::uint64_t column = std::uint64_t{w} * groups_per_word + group;
        if (column < vnm_.block_columns()) {
          vnm_.selected[block_row_ * vnm_.block_columns() + column] = selected;
        }
        for (std::uint32_t r = 0; r < rows_; ++r) {
          groups_[r] |= detail::gather_selected(words[r] >> (block * m), selected) << (4 * group);
        }
      }
    }
  }

  /// Leaves in groups_ those that got a slot.
  void split(std::uint32_t w) {
    for (std::uint32_t r = 0; r < rows_; ++r) {
      const SplitGroups split = split_groups(groups_[r]);
      groups_[r] &= ~split.residual;
      metadata_[r] = split.metadata;
      presence_[r] = split.presence;
    }
    for (std::uint32_t r = 0; r < rows_; ++r) {
      const std::uint64_t row = first_row_ + r;
      vnm_.metadata[row * vnm_.words_per_row + w] = metadata_[r];
      std::uint32_t& presence = vnm_.presence[row * vnm_.presence_words_per_row() + w / 2];
      presence = w % 2 == 0 ? presence_[r] : presence | presence_[r] << 16;
    }
    if (vnm_.values.type == DType::bit) return;
    for (std::uint32_t r = 0; r < rows_; ++r) {
      store_slot_values(vnm_, source_, first_row_ + r, w, metadata_[r], presence_[r]);
    }
  }

  /// Counts the spikes without a slot, and keeps them as rows of the residual.
  void scatter(std::uint32_t w) {
    for (std::uint32_t part = 0; part < parts; ++part) {
      const std::uint32_t to = w * parts + part;
      if (to >= bits_.words_per_row()) return;
      Rows32& words = words_[part];
      for (std::uint32_t block = 0; block < blocks_per_part; ++block) {
        const std::uint32_t group = part * blocks_per_part + block;
        const std::uint32_t selected = selected_[group];
        for (std::uint32_t r = 0; r < rows_; ++r) {
          words[r] &=
              ~(detail::scatter_selected(groups_[r] >> (4 * group), selected) << (block * m));
        }
      }
      for (std::uint32_t r = 0; r < rows_; ++r) without_slot_[r] += sum_bits(words[r]);
      if (residual_ == nullptr) continue;
      for (std::uint32_t r = 0; r < rows_; ++r) {
        residual_[(first_row_ + r) * bits_.words_per_row() + to] = words[r];
      }
    }
  }

  const BitRows& bits_;
  const ValueSource& source_;
  const Vnm& vnm_;
  std::uint32_t* residual_;  ///< null: not wanted
  std::uint64_t block_row_;
  std::uint64_t first_row_;
  std::uint32_t rows_;
  std::array<Rows32, parts> words_;                      ///< spikes, then those without a slot
  std::array<std::uint32_t, groups_per_word> selected_;  ///< of each block
  Rows32 groups_;                                        ///< selected columns, then those in slots
  Rows32 metadata_;
  Rows32 presence_;
  Rows32 without_slot_;  ///< spikes of each row so far
};

/// Fills selected, metadata, presence and values; returns how many spikes found no slot, and leaves
/// those of each row in residual_row_offsets, and where they are in `residual`.
template <std::uint32_t m>
std::uint64_t fill_slots(const HostContext& context, const BitRows& bits, const ValueSource& source,
                         const Vnm& vnm, std::uint32_t* residual) {
  std::atomic<std::uint64_t> total{0};
  parallel_for(context, vnm.block_rows(), 1, [&](std::uint64_t block_row) {
    std::uint32_t* counts =
        vnm.prune() ? nullptr : vnm.residual_row_offsets.data + block_row * vnm.block_height();
    total += BlockRow<m>(bits, source, vnm, residual, block_row).fill(counts);
  });
  return total;
}

std::uint64_t fill_slots(const HostContext& context, const BitRows& bits, const ValueSource& source,
                         const Vnm& vnm, std::uint32_t* residual) {
  switch (vnm.block_width()) {
    case 8:
      return fill_slots<8>(context, bits, source, vnm, residual);
    case 16:
      return fill_slots<16>(context, bits, source, vnm, residual);
    default:
      return fill_slots<32>(context, bits, source, vnm, residual);
  }
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Vnm&) {
  WorkspaceCarver carver;
  Scratch(carver, spikes);
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Vnm& vnm,
            Workspace workspace) {
  check_encode(spikes, vnm, Space::host);
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, spikes);
  const RowOrder order = vnm.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, vnm.status);
  const ValueSource source = value_source(spikes, order);
  if (vnm.prune()) {
    vnm.status->lost = fill_slots(context, bits, source, vnm, nullptr);
    return;
  }
  static_cast<void>(fill_slots(context, bits, source, vnm, scratch.residual));
  std::uint32_t* offsets = vnm.residual_row_offsets.data;
  vnm.status->needed =
      host::scan_counts(context, bits.m, offsets, [&](std::uint64_t row) { return offsets[row]; });
  if (vnm.status->needed > vnm.capacity) return;
  const BitRows residual{
      scratch.residual, bits.m, bits.k, {spikes.shape.timesteps, spikes.shape.rows, order, order}};
  parallel_for(context, bits.m, 64, [&](std::uint64_t row) {
    std::uint64_t at = offsets[row];
    host::for_each_bit(residual, row, [&](std::uint32_t column) {
      store_index(vnm.residual_column_indices, at, column);
      source.copy_to(vnm.residual_values, at, row, column);
      ++at;
    });
  });
}

template void decode(const HostContext&, const Vnm&, const MutableSpikeView&);

}  // namespace spiketune
