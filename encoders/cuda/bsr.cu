#include "spiketune/encoders/bsr.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/groups.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a block, by its block row and column in the strip. Kept are the packed rows.
struct EmitBsr {
  static constexpr bool each_spike = false;
  static constexpr bool keeps_rows = true;
  Bsr bsr;
  ValueSource source;

  [[nodiscard]] __device__ std::uint64_t capacity() const { return bsr.capacity; }
  [[nodiscard]] bool is_pattern() const { return bsr.values.type == DType::bit; }
  template <DType storage>
  [[nodiscard]] __device__ std::uint32_t places() const {
    const std::uint32_t b = bsr.block_size();
    return b == 8 ? std::max(strip_words<storage> / 64, 1u)
                  : std::max(strip_words<storage> / 256, 1u);
  }
  [[nodiscard]] __device__ std::uint32_t group_places(const Strip& groups) const {
    return bsr.block_size() == 64 ? (groups.words_per_row + 1) / 2
                                  : groups.words_per_row * 32 / bsr.block_size();
  }
  template <DType storage, class Rows>
  __device__ std::uint32_t keep_octet(Rows&& rows, const LaneOctet<storage>& at,
                                      std::uint32_t* words) const {
    std::uint32_t invalid = 0;
    const std::uint32_t first = 8 * at.octet * at.pieces + at.piece;
#pragma unroll
    for (std::uint32_t r = 0; r < 8; ++r) {
      auto packed = pack_piece<storage>(rows(r), ValueKind::binary);
      invalid |= packed.invalid;
      const std::uint32_t to = first + r * at.pieces;
      if constexpr (bits_of(storage) == 32) {  // two lanes make a byte
        packed.bits |= __shfl_down_sync(all_lanes, packed.bits, 1) << 4;
        if (at.piece % 2 == 0) {
          reinterpret_cast<std::uint8_t*>(words)[to / 2] = static_cast<std::uint8_t>(packed.bits);
        }
      } else {
        using Bits = std::conditional_t<storage == DType::u8, std::uint16_t, std::uint8_t>;
        reinterpret_cast<Bits*>(words)[to] = static_cast<Bits>(packed.bits);
      }
    }
    return invalid;
  }
  template <DType storage>
  __device__ std::uint32_t units(const TileTask& task, const Strip& strip,
                                 const std::uint32_t* words, Tally* tally) const {
    const std::uint32_t lane = threadIdx.x % 32;
    const Strip groups = by_groups(task, strip);
    const std::uint32_t octets = (strip.rows + 7) / 8;
    const std::uint32_t octet_words = octets * strip.words_per_row;
    // A lane unites a word of eight rows.
    std::uint32_t any = 0;
    if (lane < octet_words) {
      const std::uint32_t octet = groups.per_row.quotient(lane);
      const std::uint32_t* word = words + lane + 7 * octet * strip.words_per_row;
#pragma unroll
      for (std::uint32_t r = 0; r < 8; ++r) {
        const std::uint32_t row = word[r * strip.words_per_row];
        tally->spikes += count_bits(row);
        any |= row;
      }
    }
    const std::uint32_t b = bsr.block_size();
    const std::uint32_t count = places<storage>();
    const std::uint32_t in_group = group_places(groups);
    const Divisor per_group(in_group);
    const std::uint32_t group_octets = b / 8;
    const std::uint32_t span = b == 64 ? 2 : 1;  // words of a block's row
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t unit = lane * count + i;
      const std::uint32_t group = per_group.quotient(unit);
      const std::uint32_t column = (unit - group * in_group) * b;
      std::uint32_t united = 0;
      for (std::uint32_t o = 0; o < group_octets * span; ++o) {
        const std::uint32_t octet = group * group_octets + o / span;
        const std::uint32_t w = column / 32 + o % span;
        const std::uint32_t from = octet * strip.words_per_row + w;
        const std::uint32_t other = __shfl_sync(all_lanes, any, from % 32);
        if (from < octet_words && w < strip.words_per_row) united |= other;
      }
      found |= std::uint32_t{(united >> column % 32 & low_mask(b)) != 0} << i;
    }
    return found;
  }
  /// A unit by its block row and column in the strip.
  struct Block {
    std::uint32_t row;
    std::uint32_t column;
  };
  static __device__ Block find(const Divisor& per_group, std::uint32_t unit) {
    const std::uint32_t row = per_group.quotient(unit);
    return {row, unit - row * per_group.value};
  }
  /// Word `i` of the pattern of a block.
  template <std::uint32_t b>
  static __device__ std::uint32_t pattern_word(const std::uint32_t* words, std::uint32_t per_row,
                                               Block block, std::uint32_t i) {
    if constexpr (b == 64) {
      const std::uint32_t w = 2 * block.column + i % 2;
      return w < per_row ? words[(block.row * b + i / 2) * per_row + w] : 0;
    } else {
      using Row = std::conditional_t<b == 8, std::uint8_t,
                                     std::conditional_t<b == 16, std::uint16_t, std::uint32_t>>;
      constexpr std::uint32_t rows = 32 / b;  // in a word of pattern
      const std::uint32_t columns = per_row * rows;
      const Row* row =
          reinterpret_cast<const Row*>(words) + (block.row * b + i * rows) * columns + block.column;
      std::uint32_t result = 0;
#pragma unroll
      for (std::uint32_t r = 0; r < rows; ++r) {
        result |= std::uint32_t{row[r * columns]} << (r * b % 32);
      }
      return result;
    }
  }
  template <DType storage, bool pattern>
  __device__ void store(const Strip& groups, const GroupSlot<storage>& slot,
                        const std::uint16_t* staged, std::uint64_t first,
                        std::uint32_t count) const {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t b = bsr.block_size();
    const Divisor per_group(group_places(groups));
    staged += first % 8;
    for (std::uint32_t i = lane; i < count; i += 32) {
      store_index(bsr.block_column_indices, first + i,
                  groups.first_column / b + find(per_group, staged[i]).column);
    }
    std::uint32_t* patterns = bsr.patterns.data + first * bsr.words_per_block();
    detail::with_block_size(bsr, [&]<std::uint32_t size>() {
      constexpr std::uint32_t per_block = size * size / 32;
      using Piece = std::conditional_t<per_block == 2, uint2, uint4>;  // of a block
      constexpr std::uint32_t words = sizeof(Piece) / sizeof(std::uint32_t);
      for (std::uint32_t i = lane; i < count * (per_block / words); i += 32) {
        const Block block = find(per_group, staged[i / (per_block / words)]);
        const auto word = [&](std::uint32_t j) {
          return pattern_word<size>(slot.words, groups.words_per_row, block,
                                    i % (per_block / words) * words + j);
        };
        Piece piece{word(0), word(1)};
        if constexpr (words == 4) {
          piece.z = word(2);
          piece.w = word(3);
        }
        reinterpret_cast<Piece*>(patterns)[i] = piece;
      }
    });
    if constexpr (!pattern) store_values(groups, slot.words, staged, first, count);
  }
  /// Values of `count` blocks, the first of which is `first`.
  __device__ void store_values(const Strip& groups, const std::uint32_t* words,
                               const std::uint16_t* staged, std::uint64_t first,
                               std::uint32_t count) const {
    if (bsr.values.type == DType::bit) return;
    const std::uint32_t b = bsr.block_size();
    const Divisor per_group(group_places(groups));
    for (std::uint32_t i = threadIdx.x % 32; i < count * b * b; i += 32) {
      const Block block = find(per_group, staged[i / (b * b)]);
      const std::uint32_t row = block.row * b + i % (b * b) / b;
      const std::uint32_t column = block.column * b + i % b;
      const bool spike = column / 32 < groups.words_per_row &&
                         (words[row * groups.words_per_row + column / 32] >> column % 32 & 1u) != 0;
      copy_or_clear(source, bsr.values, first * b * b + i, groups.first_row + row,
                    groups.first_column + column, spike);
    }
  }
};

TileTask plan_bsr(const SpikeView& spikes, const Bsr& bsr) {
  const std::uint32_t b = bsr.block_size();
  // Whole blocks, even if they are more than a strip of rows.
  return plan_groups(spikes, bsr.layout.row_order, b,
                     std::max(32 * owned_words_of(spikes.storage), b == 64 ? 128u : 0u));
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Bsr& bsr) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::batch_states(cuda::plan_bsr(spikes, bsr)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Bsr& bsr,
            Workspace workspace) {
  check_encode(spikes, bsr, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_bsr(spikes, bsr);
  auto* states = carver.take<std::uint64_t>(cuda::batch_states(task));
  cuda::run_groups(context, spikes.storage, task,
                   cuda::EmitBsr{bsr, value_source(spikes, bsr.layout.row_order)},
                   bsr.block_row_offsets.data, bsr.status, states);
}

template void decode(const CudaContext&, const Bsr&, const MutableSpikeView&);

}  // namespace spiketune
