#include "spiketune/encoders/cvs.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/place.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// Eight rows of eight bits to eight columns of them: bit 8·r + c goes to 8·c + r (Warren, Hacker's
/// Delight, 7-3).
__device__ inline void transpose_8x8(std::uint32_t& low, std::uint32_t& high) {
  const auto swap = [](std::uint32_t& x, int distance, std::uint32_t mask) {
    const std::uint32_t differs = (x ^ x >> distance) & mask;
    x ^= differs ^ differs << distance;
  };
  swap(low, 7, 0x00aa00aau);
  swap(high, 7, 0x00aa00aau);
  swap(low, 14, 0x0000ccccu);
  swap(high, 14, 0x0000ccccu);
  const std::uint32_t differs = (low ^ high << 4) & 0xf0f0f0f0u;
  low ^= differs;
  high ^= differs >> 4;
}

/// A unit is a vector: a column in which some row of the group has a spike. The masks of all
/// columns are made at once, eight rows by eight columns: byte [strip of eight rows][column].
struct EmitCvs {
  static constexpr bool each_spike = false;
  static constexpr bool unites_rows = true;
  static constexpr bool needs_spare = true;
  Cvs cvs;
  ValueSource source;

  __device__ const std::uint32_t* units(const TileBits& bits, std::uint32_t* scratch,
                                        Tally* tally) const {
    return unite_rows(bits, cvs.vector(), 1, scratch, tally, [](std::uint32_t any) { return any; });
  }
  __device__ void prepare(const TileBits& bits, std::uint32_t* spare) const {
    auto* masks = reinterpret_cast<uint2*>(spare);
    const std::uint32_t strips = (bits.rows + 7) / 8;
    const Divisor per_strip(bits.words_per_row);
    // Two threads share a word of eight rows.
    for (std::uint32_t i = threadIdx.x; i < 2 * strips * bits.words_per_row; i += tile_threads) {
      const std::uint32_t strip = per_strip.quotient(i / 2);
      const std::uint32_t w = i / 2 - strip * bits.words_per_row;
      std::uint32_t rows[8];
#pragma unroll
      for (std::uint32_t r = 0; r < 8; ++r) rows[r] = bits.word(8 * strip + r, w);
#pragma unroll
      for (std::uint32_t byte = 0; byte < 2; ++byte) {
        const std::uint32_t at = i % 2 * 2 + byte;  // of the word
        const auto gather = [&](const std::uint32_t* four) {
          const std::uint32_t pick = at | (at + 4) << 4;
          return __byte_perm(__byte_perm(four[0], four[1], pick),
                             __byte_perm(four[2], four[3], pick), 0x5410);
        };
        std::uint32_t low = gather(rows);
        std::uint32_t high = gather(rows + 4);
        transpose_8x8(low, high);
        masks[i / 2 * 4 + at] = {low, high};
      }
    }
  }
  __device__ std::uint32_t mask(const TileBits& bits, const std::uint32_t* spare,
                                std::uint32_t unit) const {
    const auto* masks = reinterpret_cast<const std::uint8_t*>(spare) + column_of(unit);
    const std::uint32_t columns = 32 * bits.words_per_row;
    switch (cvs.vector()) {
      case 4:
        return masks[group_of(unit) / 2 * columns] >> group_of(unit) % 2 * 4 & 15u;
      case 8:
        return masks[group_of(unit) * columns];
      default: {
        // The last group may have no second strip.
        const std::uint32_t strip = 2 * group_of(unit);
        const std::uint32_t high = 8 * strip + 8 < bits.rows ? masks[(strip + 1) * columns] : 0;
        return masks[strip * columns] | high << 8;
      }
    }
  }
  __device__ void store(const TileBits& bits, const Units& units, const std::uint32_t* spare,
                        std::uint64_t first) const {
    const std::uint32_t v = cvs.vector();
    const std::uint32_t first_column = 32 * bits.first_word;
    store_units(
        units, first, cvs.capacity, cvs.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = first_column + column_of(unit);
          const std::uint32_t spikes = mask(bits, spare, unit);
          store_index(cvs.column_indices, at, column);
          cvs.store_mask(at, spikes);
          if (cvs.values.type == DType::bit) return;
          for (std::uint32_t r = 0; r < v; ++r) {
            copy_or_clear(source, cvs.values, at * v + r, bits.first_row + group_of(unit) * v + r,
                          column, (spikes >> r & 1u) != 0);
          }
        },
        [&](std::uint64_t at, const std::uint32_t(&of)[per_store]) {
          store_columns(cvs.column_indices, at, of, first_column);
          std::uint32_t masks[per_store];
#pragma unroll
          for (std::uint32_t i = 0; i < per_store; ++i) masks[i] = mask(bits, spare, of[i]);
          if (cvs.masks.type == DType::u8) {
            const auto four = [&](std::uint32_t i) {
              return masks[i] | masks[i + 1] << 8 | masks[i + 2] << 16 | masks[i + 3] << 24;
            };
            cvs.masks.as<uint2>()[at / 8] = {four(0), four(4)};
          } else {
            const auto two = [&](std::uint32_t i) { return masks[i] | masks[i + 1] << 16; };
            cvs.masks.as<uint4>()[at / 8] = {two(0), two(2), two(4), two(6)};
          }
        });
  }
};

TileTask plan_cvs(const SpikeView& spikes, const Cvs& cvs) {
  return plan_tiles(spikes, cvs.layout.row_order, cvs.vector());
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Cvs& cvs) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::tile_states(cuda::plan_cvs(spikes, cvs)));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace) {
  check_encode(spikes, cvs, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_cvs(spikes, cvs);
  auto* states = carver.take<std::uint64_t>(cuda::tile_states(task));
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitCvs{cvs, value_source(spikes, cvs.layout.row_order)},
                  cvs.vector_offsets.data, cvs.status, states);
}

template void decode(const CudaContext&, const Cvs&, const MutableSpikeView&);

}  // namespace spiketune
