#include "spiketune/encoders/cvs.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/groups.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// Bit 28 + i: whether byte i is not 0.
__device__ inline std::uint32_t nonzero_bytes(std::uint32_t x) {
  const std::uint32_t tops = ((x & 0x7f7f7f7fu) + 0x7f7f7f7fu) | x;
  return (tops & 0x80808080u) * 0x00204081u;
}

/// Masks of a group of eight that a lane has, in words.
template <DType storage>
inline constexpr std::uint32_t mask_words = strip_words<storage> / 32;

/// A unit is a vector: a column in which some row of the group has a spike. Kept are the masks of
/// all columns: a byte for each octet and column, until those of two octets become halves.
struct EmitCvs {
  static constexpr bool each_spike = false;
  static constexpr bool keeps_rows = false;
  Cvs cvs;
  ValueSource source;

  [[nodiscard]] __device__ std::uint64_t capacity() const { return cvs.capacity; }
  [[nodiscard]] bool is_pattern() const { return cvs.values.type == DType::bit; }
  template <DType storage>
  [[nodiscard]] __device__ std::uint32_t places() const {
    const std::uint32_t words = 8 * mask_words<storage> / cvs.vector();
    return 4 * std::min(std::max(words, 1u), most_places / 4);
  }
  [[nodiscard]] __device__ static std::uint32_t group_places(const Strip& groups) {
    return 32 * groups.words_per_row;
  }
  template <DType storage, class Rows>
  __device__ std::uint32_t keep_octet(Rows&& rows, const LaneOctet<storage>&,
                                      std::uint32_t* masks) const {
    const OctetMasks<storage> octet(rows, ValueKind::binary);
    octet.store(masks + threadIdx.x % 32 * octet.count);
    return octet.invalid;
  }
  static __device__ void keep_rows(const Strip& strip, const std::uint32_t* rows,
                                   std::uint32_t* masks) {
    const std::uint32_t octets = (strip.rows + 7) / 8;
    const Divisor per_octet(strip.words_per_row);
    // Two lanes share a word of eight rows.
    for (std::uint32_t i = threadIdx.x % 32; i < 2 * octets * strip.words_per_row; i += 32) {
      const std::uint32_t octet = per_octet.quotient(i / 2);
      const std::uint32_t* word =
          rows + 8 * octet * strip.words_per_row + i / 2 - octet * strip.words_per_row;
      std::uint32_t eight[8];
#pragma unroll
      for (std::uint32_t r = 0; r < 8; ++r) {
        eight[r] = 8 * octet + r < strip.rows ? word[r * strip.words_per_row] : 0;
      }
#pragma unroll
      for (std::uint32_t byte = 0; byte < 2; ++byte) {
        const std::uint32_t at = i % 2 * 2 + byte;  // of the word
        const auto gather = [&](const std::uint32_t* four) {
          const std::uint32_t pick = at | (at + 4) << 4;
          return __byte_perm(__byte_perm(four[0], four[1], pick),
                             __byte_perm(four[2], four[3], pick), 0x5410);
        };
        std::uint32_t low = gather(eight);
        std::uint32_t high = gather(eight + 4);
        transpose_8x8(low, high);
        reinterpret_cast<uint2*>(masks)[i / 2 * 4 + at] = {low, high};
      }
    }
  }
  template <DType storage>
  __device__ std::uint32_t units(const TileTask& task, const Strip& strip, std::uint32_t* masks,
                                 Tally* tally) const {
    const Strip groups = by_groups(task, strip);
    const std::uint32_t first = threadIdx.x % 32 * places<storage>();
    const std::uint32_t columns = group_places(groups);
    const std::uint32_t group = groups.row_of(first);
    const bool there = first < groups.rows * columns;
    const auto look = [&](const auto& words) {
      std::uint32_t found = 0;
#pragma unroll
      for (std::uint32_t i = sizeof(words) / 4; i-- > 0;) {
        found = found << 4 | nonzero_bytes(words[i]) >> 28;
        tally->spikes += count_bits(words[i]);
      }
      return found;
    };
    constexpr std::uint32_t most = most_places / 4;
    constexpr std::uint32_t count = std::min(mask_words<storage>, most);
    switch (cvs.vector()) {
      case 8: {
        std::uint32_t words[count] = {};
        if (there) load_words<count>(masks + first / 4, words);
        return look(words);
      }
      case 4: {  // two groups share an octet
        std::uint32_t words[std::min(2 * count, most)] = {};
        if (there) {
          load_words<std::min(2 * count, most)>(masks + (first - (group + 1) / 2 * columns) / 4,
                                                words);
        }
#pragma unroll
        for (std::uint32_t& word : words) word = word >> (group % 2 * 4) & 0x0f0f0f0fu;
        return look(words);
      }
      default: {
        constexpr std::uint32_t half = std::max(mask_words<storage> / 2, 1u);
        std::uint32_t low[half] = {};
        std::uint32_t high[half] = {};
        const std::uint32_t* octet = masks + (first + group * columns) / 4;
        if (there) load_words<half>(octet, low);
        if (there && 16 * group + 8 < strip.rows) load_words<half>(octet + columns / 4, high);
        __syncwarp();
#pragma unroll
        for (std::uint32_t i = 0; i < half && there; ++i) {
          reinterpret_cast<uint2*>(masks)[first / 4 + i] = {__byte_perm(low[i], high[i], 0x5140),
                                                            __byte_perm(low[i], high[i], 0x7362)};
        }
        std::uint32_t found = 0;
#pragma unroll
        for (std::uint32_t i = half; i-- > 0;) {
          found = found << 4 | nonzero_bytes(low[i] | high[i]) >> 28;
          tally->spikes += count_bits(low[i]) + count_bits(high[i]);
        }
        return found;
      }
    }
  }
  __device__ std::uint32_t mask(const Strip& groups, const std::uint32_t* masks,
                                std::uint32_t unit) const {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(masks);
    switch (cvs.vector()) {
      case 8:
        return bytes[unit];
      case 16:
        return reinterpret_cast<const std::uint16_t*>(masks)[unit];
      default: {
        const std::uint32_t group = groups.row_of(unit);
        return bytes[unit - (group + 1) / 2 * group_places(groups)] >> (group % 2 * 4) & 15u;
      }
    }
  }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& groups, const GroupSlot<storage>& slot,
                        const std::uint16_t* staged, std::uint64_t first,
                        std::uint32_t count) const {
    const std::uint32_t v = cvs.vector();
    store_window(
        staged, first, count, pattern || cvs.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = groups.column_of(unit);
          const std::uint32_t spikes = mask(groups, slot.words, unit);
          store_index(cvs.column_indices, at, column);
          cvs.store_mask(at, spikes);
          if constexpr (!pattern) {
            if (cvs.values.type == DType::bit) return;
            const std::uint64_t row = groups.first_row + groups.row_of(unit) * v;
            for (std::uint32_t r = 0; r < v; ++r) {
              copy_or_clear(source, cvs.values, at * v + r, row + r, column,
                            (spikes >> r & 1u) != 0);
            }
          }
        },
        [&](std::uint64_t at, const uint4& eight) {
          store_columns(groups, cvs.column_indices, at, eight);
          const std::uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
          std::uint32_t masks[4];  // two to a word
#pragma unroll
          for (std::uint32_t i = 0; i < 4; ++i) {
            masks[i] = mask(groups, slot.words, pairs[i] & 0xffffu) |
                       mask(groups, slot.words, pairs[i] >> 16) << 16;
          }
          if (v == 16) {
            cvs.masks.as<uint4>()[at / 8] = {masks[0], masks[1], masks[2], masks[3]};
          } else {
            cvs.masks.as<uint2>()[at / 8] = {__byte_perm(masks[0], masks[1], 0x6420),
                                             __byte_perm(masks[2], masks[3], 0x6420)};
          }
        });
  }
};

TileTask plan_cvs(const SpikeView& spikes, const Cvs& cvs) {
  return plan_groups(spikes, cvs.layout.row_order, cvs.vector(),
                     32 * owned_words_of(spikes.storage));
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Cvs& cvs) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::batch_states(cuda::plan_cvs(spikes, cvs)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace) {
  check_encode(spikes, cvs, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_cvs(spikes, cvs);
  auto* states = carver.take<std::uint64_t>(cuda::batch_states(task));
  cuda::run_groups(context, spikes.storage, task,
                   cuda::EmitCvs{cvs, value_source(spikes, cvs.layout.row_order)},
                   cvs.vector_offsets.data, cvs.status, states);
}

template void decode(const CudaContext&, const Cvs&, const MutableSpikeView&);

}  // namespace spiketune
