#include "spiketune/encoders/pack.hpp"

#include <atomic>
#include <cstring>

#include "spiketune/core/error.hpp"
#include "spiketune/core/parallel.hpp"

namespace spiketune {
namespace {

/// Up to 32 elements as bits, and which of them are invalid.
struct Packed {
  std::uint32_t bits = 0;
  std::uint32_t invalid = 0;
};

/// Gathers the low bit of each of eight bytes. Bit 8i of x goes to bit 56 + i.
std::uint32_t gather_bytes(std::uint64_t x) {
  return static_cast<std::uint32_t>((x * 0x0102040810204080ull) >> 56);
}

/// `count` <= 32 bytes. `allowed` has a zero bit wherever a valid value has one.
Packed pack_bytes(const std::uint8_t* data, std::uint32_t count, std::uint8_t allowed) {
  constexpr std::uint64_t ones = 0x0101010101010101ull;
  const std::uint64_t forbidden = static_cast<std::uint8_t>(~allowed) * ones;
  Packed result;
  for (std::uint32_t i = 0; i < count; i += 8) {
    std::uint64_t x = 0;
    std::memcpy(&x, data + i, std::min(count - i, 8u));
    const std::uint64_t bad = x & forbidden;
    result.bits |= gather_bytes((x | x >> 1) & ones) << i;
    if (bad != 0) {
      for (std::uint32_t b = 0; b < 8; ++b) {
        if ((bad >> (8 * b) & 0xff) != 0) result.invalid |= 1u << (i + b);
      }
    }
  }
  return result;
}

/// Every other bit, starting with the lowest, moved together.
std::uint32_t compress_even(std::uint32_t x) {
  x &= 0x55555555u;
  x = (x | x >> 1) & 0x33333333u;
  x = (x | x >> 2) & 0x0f0f0f0fu;
  x = (x | x >> 4) & 0x00ff00ffu;
  return (x | x >> 8) & 0x0000ffffu;
}

Packed pack_pairs(const std::uint32_t* words, std::uint32_t count, bool binary) {
  Packed result;
  for (std::uint32_t i = 0; i < count; i += 16) {
    const std::uint32_t x = words[i / 16];
    result.bits |= compress_even(x | x >> 1) << i;
    if (binary) result.invalid |= compress_even(x >> 1) << i;
  }
  result.bits &= low_mask(count);
  result.invalid &= low_mask(count);
  return result;
}

/// Floating types by their bit patterns: magnitude 0 is a zero of either sign.
template <class Word, Word sign, Word exponent>
Packed pack_floats(const Word* data, std::uint32_t count, ValueKind kind, Word one, Word two,
                   Word three) {
  Packed result;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Word x = data[i];
    const bool nonzero = (x & static_cast<Word>(~sign)) != 0;
    const bool valid = kind == ValueKind::graded   ? (x & exponent) != exponent
                       : kind == ValueKind::binary ? x == one
                                                   : x == one || x == two || x == three;
    result.bits |= std::uint32_t{nonzero} << i;
    result.invalid |= std::uint32_t{nonzero && !valid} << i;
  }
  return result;
}

Packed pack_word(const SpikeView& spikes, std::uint64_t row, std::uint32_t w) {
  const std::uint32_t k = spikes.shape.k;
  const std::uint32_t count = std::min(32u, k - 32 * w);
  const auto* begin =
      static_cast<const std::byte*>(spikes.data) + row * row_bytes(spikes.storage, k);
  switch (spikes.storage) {
    case DType::bit: {
      const auto* words = reinterpret_cast<const std::uint32_t*>(begin);
      return {words[w] & low_mask(count), 0};
    }
    case DType::u2:
      return pack_pairs(reinterpret_cast<const std::uint32_t*>(begin) + 2 * w, count,
                        spikes.kind == ValueKind::binary);
    case DType::u8:
      return pack_bytes(reinterpret_cast<const std::uint8_t*>(begin) + 32 * w, count,
                        spikes.kind == ValueKind::binary ? 1 : 3);
    case DType::f16:
      return pack_floats<std::uint16_t, 0x8000, 0x7c00>(
          reinterpret_cast<const std::uint16_t*>(begin) + 32 * w, count, spikes.kind, 0x3c00,
          0x4000, 0x4200);
    case DType::bf16:
      return pack_floats<std::uint16_t, 0x8000, 0x7f80>(
          reinterpret_cast<const std::uint16_t*>(begin) + 32 * w, count, spikes.kind, 0x3f80,
          0x4000, 0x4040);
    default:
      return pack_floats<std::uint32_t, 0x80000000u, 0x7f800000u>(
          reinterpret_cast<const std::uint32_t*>(begin) + 32 * w, count, spikes.kind, 0x3f800000u,
          0x40000000u, 0x40400000u);
  }
}

void lower(std::atomic<std::uint64_t>& least, std::uint64_t value) {
  std::uint64_t seen = least.load(std::memory_order_relaxed);
  while (value < seen && !least.compare_exchange_weak(seen, value)) {
  }
}

/// Packs all rows; `words` may be null, to count only.
void pack_rows(const HostContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  const std::uint64_t m = spikes.shape.m();
  const std::uint32_t k = spikes.shape.k;
  const auto words_per_row = static_cast<std::uint32_t>(ceil_div(k, 32));
  const RowMap map{spikes.shape.timesteps, spikes.shape.rows, spikes.row_order, order};
  std::atomic<std::uint64_t> nnz{0};
  std::atomic<std::uint64_t> first_invalid{EncodeStatus::none_invalid};
  const std::uint64_t grain = std::max<std::uint64_t>(1, 65536 / std::max(1u, k));
  parallel_ranges(context, m, grain, [&](std::uint64_t begin, std::uint64_t end) {
    std::uint64_t count = 0;
    for (std::uint64_t row = begin; row < end; ++row) {
      const std::uint64_t source = map.source(row);
      for (std::uint32_t w = 0; w < words_per_row; ++w) {
        const Packed packed = pack_word(spikes, source, w);
        count += count_bits(packed.bits);
        if (words != nullptr) words[row * words_per_row + w] = packed.bits;
        if (packed.invalid != 0) {
          lower(first_invalid, source * k + 32 * w + lowest_bit(packed.invalid));
        }
      }
    }
    nnz += count;
  });
  *status = {nnz, 0, 0, first_invalid};
}

}  // namespace

BitRows pack(const HostContext& context, const SpikeView& spikes, RowOrder order,
             std::uint32_t* words, EncodeStatus* status) {
  check_space(spikes, Space::host);
  const SpikeShape& shape = spikes.shape;
  if (spikes.storage == DType::bit) {
    pack_rows(context, spikes, order, nullptr, status);
    return {static_cast<const std::uint32_t*>(spikes.data),
            shape.m(),
            shape.k,
            {shape.timesteps, shape.rows, spikes.row_order, order}};
  }
  pack_rows(context, spikes, order, words, status);
  return {words, shape.m(), shape.k, {shape.timesteps, shape.rows, order, order}};
}

void pack_into(const HostContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  check_space(spikes, Space::host);
  pack_rows(context, spikes, order, words, status);
}

}  // namespace spiketune
