#pragma once
/// \file
/// The first step of every encoder: spikes of any storage become bits, in the row order wanted.
///
/// The dense tensor is read once; everything after works on 1/8 (u8) to 1/32 (f32) of its bytes,
/// which mostly stay in cache. Checking for NaN and for values outside the declared kind, and
/// counting, happen on the way.

#include <cstdint>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

/// Packed rows of a spike matrix. Words are 32-bit, least significant bit first.
struct BitRows {
  const std::uint32_t* words = nullptr;
  std::uint64_t m = 0;
  std::uint32_t k = 0;
  RowMap map;  ///< from the wanted row order to that of `words`

  [[nodiscard]] SPIKETUNE_HD std::uint32_t words_per_row() const {
    return static_cast<std::uint32_t>(ceil_div(k, 32));
  }
  /// The words of `row` (in the wanted order) as they lie in memory: padding bits are anything.
  [[nodiscard]] SPIKETUNE_HD const std::uint32_t* row(std::uint64_t row) const {
    return words + map.source(row) * words_per_row();
  }
  /// Columns 32·w .. 32·w+31 of `row` (in the wanted order); padding bits read as zero.
  [[nodiscard]] SPIKETUNE_HD std::uint32_t word(std::uint64_t row, std::uint32_t w) const {
    return words[map.source(row) * words_per_row() + w] & low_mask(k - 32 * w);
  }
};

/// Where an encoder of graded spikes finds the value of a nonzero it has placed.
struct ValueSource {
  const void* data = nullptr;
  DType storage = DType::u8;
  std::uint32_t k = 0;
  RowMap map;

  /// Copies the value of (row, column), row in the wanted order, to values[i]. No-op for a pattern.
  SPIKETUNE_HD void copy_to(const AnyArray& values, std::uint64_t i, std::uint64_t row,
                            std::uint32_t column) const {
    if (values.type == DType::bit) return;
    const float value = load_spike(data, storage, k, map.source(row), column);
    switch (values.type) {
      case DType::u8:
        values.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(value);
        break;
      case DType::f16:
        values.as<Half>()[i] = to_half(value);
        break;
      case DType::bf16:
        values.as<Bfloat16>()[i] = to_bfloat16(value);
        break;
      default:
        values.as<float>()[i] = value;
    }
  }
};

[[nodiscard]] inline ValueSource value_source(const SpikeView& spikes, RowOrder order) {
  return {spikes.data,
          spikes.storage,
          spikes.shape.k,
          {spikes.shape.timesteps, spikes.shape.rows, spikes.row_order, order}};
}

/// Words that pack() writes: none where the input is packed already, and is used in place.
[[nodiscard]] inline std::uint64_t packed_words(const SpikeView& spikes) {
  return spikes.storage == DType::bit ? 0 : spikes.shape.m() * ceil_div(spikes.shape.k, 32);
}

/// Packs `spikes` with rows in `order` into `words` [packed_words(spikes)], sets *status to nnz, no
/// need, no loss, and the first invalid element. Bits already packed are counted and returned as
/// they are. Throws Error(invalid_argument) for a bad view or one in the wrong memory.
BitRows pack(const HostContext& context, const SpikeView& spikes, RowOrder order,
             std::uint32_t* words, EncodeStatus* status);
BitRows pack(const CudaContext& context, const SpikeView& spikes, RowOrder order,
             std::uint32_t* words, EncodeStatus* status);

/// The same, but always writes [M · ceil(K/32)] words, also from packed input: a bitmap.
void pack_into(const HostContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status);
void pack_into(const CudaContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status);

/// Throws Error(invalid_argument) unless `format` was planned for such spikes and is bound.
void check_encode(const SpikeView& spikes, const FormatBase& format, Space space);

}  // namespace spiketune
