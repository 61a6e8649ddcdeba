#include "spiketune/encoders/bsr.hpp"

#include <array>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"
#include "spiketune/encoders/host/unite.hpp"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace {

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Bsr& bsr)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        united(carver.take<std::uint32_t>(bsr.block_rows() * ceil_div(spikes.shape.k, 32))) {}
  std::uint32_t* words;
  std::uint32_t* united;  ///< [block rows][words of a row]
};

/// Whether any row has a spike in a block. `united` has `words` words.
template <std::uint32_t b>
bool occupied(const std::uint32_t* united, std::uint32_t words, std::uint64_t block) {
  const std::uint64_t w = block * b / 32;
  if constexpr (b == 64) return (united[w] | (w + 1 < words ? united[w + 1] : 0)) != 0;
  return (united[w] >> (block * b % 32) & low_mask(b)) != 0;
}

/// One block row on its way to its blocks.
template <std::uint32_t b>
class BlockRow {
 public:
  BlockRow(const BitRows& bits, const ValueSource& source, const Bsr& bsr, std::uint64_t block_row)
      : bits_(bits), source_(source), bsr_(bsr), first_row_(block_row * b) {
    rows_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(b, bits.m - first_row_));
    for (std::uint32_t r = 0; r < rows_; ++r) from_[r] = host::row_words(bits, first_row_ + r);
  }

  void fill(const std::uint32_t* united, std::uint64_t at) const {
    for (std::uint64_t column = 0; column < bsr_.block_columns(); ++column) {
      if (!occupied<b>(united, bits_.words_per_row(), column)) continue;
      store_index(bsr_.block_column_indices, at, static_cast<std::uint32_t>(column));
      fill_pattern(at, column);
      if (bsr_.values.type != DType::bit) fill_values(at, column);
      ++at;
    }
  }

 private:
  void fill_pattern(std::uint64_t at, std::uint64_t column) const {
    constexpr std::uint32_t words = b * b / 32;
    std::array<std::uint32_t, words> pattern{};
    for (std::uint32_t part = 0; part < (b + 31) / 32; ++part) {
      const auto w = static_cast<std::uint32_t>(column * b / 32 + part);
      if (w >= bits_.words_per_row()) break;
      const std::uint32_t inside = low_mask(bits_.k - 32 * w);
      const std::uint32_t shift = column * b % 32;
      for (std::uint32_t r = 0; r < rows_; ++r) {
        const std::uint32_t piece = (from_[r][w] & inside) >> shift & low_mask(b);
        pattern[r * b / 32 + part] |= piece << (r * b % 32);
      }
    }
    std::copy(pattern.begin(), pattern.end(), bsr_.patterns.data + at * words);
  }

  void fill_values(std::uint64_t at, std::uint64_t column) const {
    for (std::uint32_t r = 0; r < b; ++r) {
      const std::uint64_t first = (at * b + r) * b;
      for (std::uint32_t c = 0; c < b; ++c) {
        const bool spike = (bsr_.row_bits(at, r, c / 32 * 32) >> (c % 32) & 1u) != 0;
        copy_or_clear(source_, bsr_.values, first + c, first_row_ + r,
                      static_cast<std::uint32_t>(column * b + c), spike);
      }
    }
  }

  const BitRows& bits_;
  const ValueSource& source_;
  const Bsr& bsr_;
  std::uint64_t first_row_;
  std::uint32_t rows_;
  std::array<const std::uint32_t*, b> from_;
};

/// Leaves the number of blocks of each block row in block_row_offsets.
template <std::uint32_t b>
void count_blocks(const HostContext& context, const BitRows& bits, const Bsr& bsr,
                  std::uint32_t* united) {
  parallel_for(context, bsr.block_rows(), 1, [&](std::uint64_t block_row) {
    std::uint32_t* here = united + block_row * bits.words_per_row();
    host::unite_rows(bits, block_row * b, std::min(bits.m, (block_row + 1) * b), here);
    std::uint32_t count = 0;
    for (std::uint64_t column = 0; column < bsr.block_columns(); ++column) {
      count += occupied<b>(here, bits.words_per_row(), column);
    }
    bsr.block_row_offsets[block_row] = count;
  });
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Bsr& bsr) {
  WorkspaceCarver carver;
  Scratch(carver, spikes, bsr);
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Bsr& bsr,
            Workspace workspace) {
  check_encode(spikes, bsr, Space::host);
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, spikes, bsr);
  const RowOrder order = bsr.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, bsr.status);
  const ValueSource source = value_source(spikes, order);
  detail::with_block_size(bsr, [&]<std::uint32_t b>() {
    count_blocks<b>(context, bits, bsr, scratch.united);
    bsr.status->needed =
        host::scan_counts(context, bsr.block_rows(), bsr.block_row_offsets.data,
                          [&](std::uint64_t i) { return bsr.block_row_offsets[i]; });
    if (bsr.status->needed > bsr.capacity) return;
    parallel_for(context, bsr.block_rows(), 1, [&](std::uint64_t block_row) {
      BlockRow<b>(bits, source, bsr, block_row)
          .fill(scratch.united + block_row * bits.words_per_row(),
                bsr.block_row_offsets[block_row]);
    });
  });
}

template void decode(const HostContext&, const Bsr&, const MutableSpikeView&);

}  // namespace spiketune
