#include "spiketune/encoders/cvs.hpp"

#include <array>

#include "spiketune/core/workspace.hpp"
#include "spiketune/encoders/host/decode.hpp"
#include "spiketune/encoders/host/expand.hpp"
#include "spiketune/encoders/host/unite.hpp"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace {

struct Scratch {
  Scratch(WorkspaceCarver& carver, const SpikeView& spikes, const Cvs& cvs)
      : words(carver.take<std::uint32_t>(packed_words(spikes))),
        united(carver.take<std::uint32_t>(cvs.groups() * ceil_div(spikes.shape.k, 32))) {}
  std::uint32_t* words;
  std::uint32_t* united;  ///< [groups][words of a row]
};

/// Bit c of byte r goes to bit r of byte c (H. Warren, Hacker's Delight, 7-3).
std::uint64_t transpose_bytes(std::uint64_t x) {
  x = (x & 0xaa55aa55aa55aa55ull) | (x & 0x00aa00aa00aa00aaull) << 7 |
      (x >> 7 & 0x00aa00aa00aa00aaull);
  x = (x & 0xcccc3333cccc3333ull) | (x & 0x0000cccc0000ccccull) << 14 |
      (x >> 14 & 0x0000cccc0000ccccull);
  return (x & 0xf0f0f0f00f0f0f0full) | (x & 0x00000000f0f0f0f0ull) << 28 |
         (x >> 28 & 0x00000000f0f0f0f0ull);
}

/// The masks of 32 columns, from the words of up to 16 rows.
class Masks {
 public:
  explicit Masks(const std::array<std::uint32_t, Cvs::longest_vector>& rows) {
    for (std::uint32_t eight = 0; eight < 2; ++eight) {
      for (std::uint32_t byte = 0; byte < 4; ++byte) {
        std::uint64_t x = 0;
        for (std::uint32_t r = 0; r < 8; ++r) {
          x |= std::uint64_t{rows[8 * eight + r] >> (8 * byte) & 0xffu} << (8 * r);
        }
        transposed_[eight][byte] = transpose_bytes(x);
      }
    }
  }
  [[nodiscard]] std::uint32_t operator[](std::uint32_t column) const {
    const std::uint32_t shift = column % 8 * 8;
    return static_cast<std::uint32_t>((transposed_[0][column / 8] >> shift & 0xffu) |
                                      (transposed_[1][column / 8] >> shift & 0xffu) << 8);
  }

 private:
  std::uint64_t transposed_[2][4];
};

void fill_group(const BitRows& bits, const ValueSource& source, const Cvs& cvs,
                const std::uint32_t* united, std::uint64_t group) {
  const std::uint32_t v = cvs.vector();
  const std::uint64_t first_row = group * v;
  const auto rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(v, bits.m - first_row));
  std::array<const std::uint32_t*, Cvs::longest_vector> from;
  for (std::uint32_t r = 0; r < rows; ++r) from[r] = host::row_words(bits, first_row + r);
  std::uint64_t at = cvs.vector_offsets[group];
  for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) {
    if (united[w] == 0) continue;
    std::array<std::uint32_t, Cvs::longest_vector> words{};
    for (std::uint32_t r = 0; r < rows; ++r) words[r] = from[r][w];
    const Masks masks(words);
    for (std::uint32_t left = united[w]; left != 0; left &= left - 1, ++at) {
      const std::uint32_t bit = lowest_bit(left);
      const std::uint32_t mask = masks[bit];
      store_index(cvs.column_indices, at, 32 * w + bit);
      cvs.store_mask(at, mask);
      if (cvs.values.type == DType::bit) continue;
      for (std::uint32_t r = 0; r < v; ++r) {
        copy_or_clear(source, cvs.values, at * v + r, first_row + r, 32 * w + bit,
                      (mask >> r & 1u) != 0);
      }
    }
  }
}

}  // namespace

std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Cvs& cvs) {
  WorkspaceCarver carver;
  Scratch(carver, spikes, cvs);
  return carver.bytes();
}

void encode(const HostContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace) {
  check_encode(spikes, cvs, Space::host);
  WorkspaceCarver carver(workspace);
  const Scratch scratch(carver, spikes, cvs);
  const RowOrder order = cvs.layout.row_order;
  const BitRows bits = pack(context, spikes, order, scratch.words, cvs.status);
  const std::uint64_t v = cvs.vector();
  parallel_for(context, cvs.groups(), 8, [&](std::uint64_t group) {
    std::uint32_t* united = scratch.united + group * bits.words_per_row();
    host::unite_rows(bits, group * v, std::min(bits.m, (group + 1) * v), united);
    std::uint32_t count = 0;
    for (std::uint32_t w = 0; w < bits.words_per_row(); ++w) count += count_bits(united[w]);
    cvs.vector_offsets[group] = count;
  });
  cvs.status->needed = host::scan_counts(context, cvs.groups(), cvs.vector_offsets.data,
                                         [&](std::uint64_t i) { return cvs.vector_offsets[i]; });
  if (cvs.status->needed > cvs.capacity) return;
  const ValueSource source = value_source(spikes, order);
  parallel_for(context, cvs.groups(), 8, [&](std::uint64_t group) {
    fill_group(bits, source, cvs, scratch.united + group * bits.words_per_row(), group);
  });
}

template void decode(const HostContext&, const Cvs&, const MutableSpikeView&);

}  // namespace spiketune
