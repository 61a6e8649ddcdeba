#include "spiketune/encoders/two_four.hpp"

#include "spiketune/encoders/cuda/batches.cuh"
#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a spike of the residual. Slots are where they are whatever the other rows hold, so the
/// warp writes them as it splits its words; what has no slot takes the place of the word.
struct EmitTwoFour {
  static constexpr bool each_spike = false;
  TwoFour two_four;
  ValueSource source;

  /// A lane splits the words that it owns. Those of a full strip are neighbours in the encoding
  /// too.
  template <std::uint32_t owned>
  __device__ void split_own(const Strip& bits, Tally* tally) const {
    std::uint32_t words[owned];
    std::uint32_t metadata[owned];
    std::uint32_t presence[owned / 2];
    std::uint32_t* here = bits.words + threadIdx.x % 32 * owned;
    load_words<owned>(here, words);
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) {
      const SplitGroups groups = split_groups(words[i]);
      tally->spikes += count_bits(words[i]);
      if (two_four.prune()) tally->lost += count_bits(groups.residual);
      words[i] = two_four.prune() ? 0 : groups.residual;
      metadata[i] = groups.metadata;
      presence[i / 2] = i % 2 == 0 ? groups.presence : presence[i / 2] | groups.presence << 16;
    }
    const std::uint64_t at =
        bits.first_row * two_four.words_per_row + bits.first_word + threadIdx.x % 32 * owned;
    store_words<owned>(here, words);
    store_words<owned>(two_four.metadata.data + at, metadata);
    store_words<owned / 2>(two_four.presence.data + at / 2, presence);
  }
  template <DType storage, bool quick>
  __device__ void split(const Strip& bits, Tally* tally) const {
    constexpr std::uint32_t owned = owned_words<storage>;
    if constexpr (quick && owned >= 4) {
      const bool whole = bits.one_row() || bits.words_per_row == two_four.words_per_row;
      if (whole && bits.total_words() == strip_words<storage> &&
          two_four.words_per_row % owned == 0) {
        return split_own<owned>(bits, tally);
      }
    }
    split_pairs(bits, tally);
  }
  /// A lane makes a word of presence, from two words of spikes.
  __device__ void split_pairs(const Strip& bits, Tally* tally) const {
    const std::uint32_t pairs = (bits.words_per_row + 1) / 2;
    const std::uint32_t total = two_four.words_per_row == 0 ? 0 : bits.rows * pairs;
    const Divisor per_row(pairs);
    for (std::uint32_t i = threadIdx.x % 32; i < total; i += 32) {
      const std::uint32_t row = per_row.quotient(i);
      const std::uint32_t pair = i - row * pairs;
      const std::uint64_t out = bits.first_row + row;
      const std::uint32_t first_word = bits.first_word + 2 * pair;
      const std::uint64_t at = out * two_four.words_per_row + first_word;
      std::uint32_t* here = bits.words + row * bits.words_per_row + 2 * pair;
      const bool both = 2 * pair + 1 < bits.words_per_row;
      const SplitGroups low = split_groups(here[0]);
      const SplitGroups high = split_groups(both ? here[1] : 0);
      if (both && at % 2 == 0) {
        *reinterpret_cast<uint2*>(two_four.metadata.data + at) = {low.metadata, high.metadata};
      } else {
        two_four.metadata[at] = low.metadata;
        if (both) two_four.metadata[at + 1] = high.metadata;
      }
      two_four.presence[out * two_four.presence_words_per_row() + first_word / 2] =
          low.presence | high.presence << 16;
      store_slot_values(two_four, source, out, first_word, low.metadata, low.presence);
      if (both) {
        store_slot_values(two_four, source, out, first_word + 1, high.metadata, high.presence);
      }
      tally->spikes += count_bits(here[0]) + (both ? count_bits(here[1]) : 0);
      if (two_four.prune()) tally->lost += count_bits(low.residual) + count_bits(high.residual);
      here[0] = two_four.prune() ? 0 : low.residual;
      if (both) here[1] = two_four.prune() ? 0 : high.residual;
    }
  }
  [[nodiscard]] bool is_pattern() const {
    return two_four.values.type == DType::bit;
  }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& strip, const StripUnits<storage>& units,
                        std::uint64_t first) const {
    store_strip<storage>(
        units, first, two_four.capacity, pattern || two_four.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = strip.column_of(unit);
          store_index(two_four.residual_column_indices, at, column);
          if constexpr (pattern) return;
          source.copy_to(two_four.residual_values, at, strip.first_row + strip.row_of(unit),
                         column);
        },
        [&](std::uint64_t at, const uint4& eight) {
          store_columns(strip, two_four.residual_column_indices, at, eight);
        });
  }
};

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes,
                                   const TwoFour& two_four) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(
      cuda::strip_states(cuda::plan_strips(spikes, two_four.layout.row_order)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const TwoFour& two_four,
            Workspace workspace) {
  check_encode(spikes, two_four, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_strips(spikes, two_four.layout.row_order);
  auto* states = carver.take<std::uint64_t>(cuda::strip_states(task));
  cuda::run_strips(context, spikes.storage, task,
                   cuda::EmitTwoFour{two_four, value_source(spikes, two_four.layout.row_order)},
                   two_four.prune() ? nullptr : two_four.residual_row_offsets.data, two_four.status,
                   states);
}

template void decode(const CudaContext&, const TwoFour&, const MutableSpikeView&);

}  // namespace spiketune
