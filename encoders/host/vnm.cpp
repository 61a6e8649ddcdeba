#include "spiketune/encoders/vnm.hpp"

#include <algorithm>
#include <array>
#include <atomic>

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

/// The four columns of a block with most spikes, as bits; `counts` has m. Lower ones win ties.
std::uint32_t select_columns(const std::uint8_t* counts, std::uint32_t m) {
  std::uint32_t chosen = 0;
  for (int i = 0; i < 4; ++i) {
    std::uint32_t best = 0;
    int most = -1;
    for (std::uint32_t column = 0; column < m; ++column) {
      if (counts[column] > most && (chosen >> column & 1u) == 0) {
        best = column;
        most = counts[column];
      }
    }
    chosen |= 1u << best;
  }
  return chosen;
}

/// Spikes of each of 32 columns, by counters that lie across words: bit c of planes[p] is bit p of
/// the count of column c.
void count_columns(const Rows32& words, std::uint32_t rows, std::uint8_t* counts) {
  std::array<std::uint32_t, 8> planes{};
  for (std::uint32_t r = 0; r < rows; ++r) {
    std::uint32_t carry = words[r];
    for (std::uint32_t p = 0; carry != 0; ++p) {
      const std::uint32_t both = planes[p] & carry;
      planes[p] ^= carry;
      carry = both;
    }
  }
  for (std::uint32_t c = 0; c < 32; ++c) {
    std::uint32_t count = 0;
    for (std::uint32_t p = 0; p < planes.size(); ++p) count |= (planes[p] >> c & 1u) << p;
    counts[c] = static_cast<std::uint8_t>(count);
  }
}

/// One row of blocks on its way to its slots, a word of metadata (eight blocks) at a time.
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

  /// Returns how many spikes found no slot; those of each row are in residual_counts.
  std::uint64_t fill(std::uint32_t* residual_counts) {
    std::fill(left_.begin(), left_.begin() + rows_, 0);
    for (std::uint32_t w = 0; w < vnm_.words_per_row; ++w) {
      gather(w);
      split(w);
      if (residual_ != nullptr) scatter(w);
    }
    if (residual_counts != nullptr) {
      std::copy(left_.begin(), left_.begin() + rows_, residual_counts);
    }
    std::uint64_t total = 0;
    for (std::uint32_t r = 0; r < rows_; ++r) total += left_[r];
    return total;
  }

 private:
  [[nodiscard]] std::uint32_t blocks_per_word() const { return 32 / vnm_.block_width(); }
  /// Words of spikes that make a word of metadata.
  [[nodiscard]] std::uint32_t parts() const { return vnm_.block_width() / 4; }

  /// Selects columns of eight blocks, and moves their bits together into groups.
  void gather(std::uint32_t w) {
    std::fill(groups_.begin(), groups_.begin() + rows_, 0);
    for (std::uint32_t part = 0; part < parts(); ++part) {
      const std::uint32_t from = w * parts() + part;
      Rows32& words = words_[part];
      for (std::uint32_t r = 0; r < rows_; ++r) {
        words[r] = from < bits_.words_per_row() ? bits_.word(first_row_ + r, from) : 0;
      }
      std::array<std::uint8_t, 32> counts;
      count_columns(words, rows_, counts.data());
      for (std::uint32_t block = 0; block < blocks_per_word(); ++block) {
        const std::uint32_t shift = block * vnm_.block_width();
        const std::uint32_t selected =
            detail::pack_selected(select_columns(counts.data() + shift, vnm_.block_width()));
        const std::uint32_t group = part * blocks_per_word() + block;
        selected_[group] = selected;
        const std::uint64_t column = std::uint64_t{w} * groups_per_word + group;
        if (column < vnm_.block_columns()) {
          vnm_.selected[block_row_ * vnm_.block_columns() + column] = selected;
        }
        for (std::uint32_t r = 0; r < rows_; ++r) {
          groups_[r] |= detail::gather_selected(words[r] >> shift, selected) << (4 * group);
        }
      }
    }
  }

  void split(std::uint32_t w) {
    for (std::uint32_t r = 0; r < rows_; ++r) {
      const std::uint64_t row = first_row_ + r;
      const std::uint32_t before = groups_[r];
      const SplitGroups split = split_groups(before);
      vnm_.metadata[row * vnm_.words_per_row + w] = split.metadata;
      std::uint32_t& presence = vnm_.presence[row * vnm_.presence_words_per_row() + w / 2];
      presence = w % 2 == 0 ? split.presence : presence | split.presence << 16;
      store_slot_values(vnm_, source_, row, w, split.metadata, split.presence);
      groups_[r] = before & ~split.residual;
      std::uint32_t spikes = 0;
      for (std::uint32_t part = 0; part < parts(); ++part) spikes += count_bits(words_[part][r]);
      left_[r] += spikes - count_bits(groups_[r]);
    }
  }

  /// Leaves the spikes without a slot in the rows of the residual.
  void scatter(std::uint32_t w) {
    for (std::uint32_t part = 0; part < parts(); ++part) {
      const std::uint32_t to = w * parts() + part;
      if (to >= bits_.words_per_row()) return;
      Rows32& words = words_[part];
      for (std::uint32_t block = 0; block < blocks_per_word(); ++block) {
        const std::uint32_t shift = block * vnm_.block_width();
        const std::uint32_t group = part * blocks_per_word() + block;
        for (std::uint32_t r = 0; r < rows_; ++r) {
          words[r] &=
              ~(detail::scatter_selected(groups_[r] >> (4 * group), selected_[group]) << shift);
        }
      }
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
  std::array<Rows32, 8> words_;                          ///< spikes, then those without a slot
  std::array<std::uint32_t, groups_per_word> selected_;  ///< of each block
  Rows32 groups_;                                        ///< selected columns, then those in slots
  Rows32 left_;                                          ///< spikes of each row without a slot
};

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
  std::uint32_t* offsets = vnm.residual_row_offsets.data;
  std::atomic<std::uint64_t> total{0};
  parallel_for(context, vnm.block_rows(), 1, [&](std::uint64_t block_row) {
    BlockRow row(bits, source, vnm, vnm.prune() ? nullptr : scratch.residual, block_row);
    total += row.fill(vnm.prune() ? nullptr : offsets + block_row * vnm.block_height());
  });
  if (vnm.prune()) {
    vnm.status->lost = total;
    return;
  }
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
