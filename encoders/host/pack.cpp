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

constexpr std::uint64_t byte_ones = 0x0101010101010101ull;

/// Gathers the low bit of each of eight bytes. Bit 8i of x goes to bit 56 + i.
std::uint32_t gather_bytes(std::uint64_t x) {
  return static_cast<std::uint32_t>((x * 0x0102040810204080ull) >> 56);
}

/// `count` <= 32 bytes. `allowed` has a zero bit wherever a valid value has one.
Packed pack_bytes(const std::uint8_t* data, std::uint32_t count, std::uint8_t allowed) {
  const std::uint64_t forbidden = static_cast<std::uint8_t>(~allowed) * byte_ones;
  Packed result;
  for (std::uint32_t i = 0; i < count; i += 8) {
    std::uint64_t x = 0;
    std::memcpy(&x, data + i, std::min(count - i, 8u));
    const std::uint64_t bad = x & forbidden;
    result.bits |= gather_bytes((x | x >> 1) & byte_ones) << i;
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

/// 32 elements of which none is likely to be invalid, and how many are spikes.
struct Packed32 {
  std::uint32_t bits = 0;
  std::uint32_t count = 0;
  bool invalid = false;
};

/// 32 bytes of 0 or 1 as bits.
Packed32 gather_flags(const std::uint8_t* flags, bool invalid) {
  Packed32 result{0, 0, invalid};
  std::uint64_t sums = 0;  // a byte counts at most 4
  for (std::uint32_t i = 0; i < 4; ++i) {
    std::uint64_t x = 0;
    std::memcpy(&x, flags + 8 * i, 8);
    result.bits |= gather_bytes(x) << 8 * i;
    sums += x;
  }
  result.count = static_cast<std::uint32_t>(sums * byte_ones >> 56);
  return result;
}

template <ValueKind kind>
Packed32 pack_32(const std::uint8_t* data) {
  constexpr std::uint64_t forbidden = (kind == ValueKind::binary ? 0xfeu : 0xfcu) * byte_ones;
  Packed32 result;
  std::uint64_t sums = 0;
  std::uint64_t all = 0;
  for (std::uint32_t i = 0; i < 4; ++i) {
    std::uint64_t x = 0;
    std::memcpy(&x, data + 8 * i, 8);
    all |= x;
    x = (x | x >> 1) & byte_ones;
    result.bits |= gather_bytes(x) << 8 * i;
    sums += x;
  }
  result.count = static_cast<std::uint32_t>(sums * byte_ones >> 56);
  result.invalid = (all & forbidden) != 0;
  return result;
}

/// Loops without branches, for the compiler to vectorise.
template <ValueKind kind, class Word, Word sign, Word exponent, Word one, Word two, Word three>
Packed32 pack_32_floats(const Word* data) {
  std::uint8_t flags[32];
  Word wrong = 0;
  for (int i = 0; i < 32; ++i) {
    const Word x = data[i];
    const bool nonzero = (x & static_cast<Word>(~sign)) != 0;
    flags[i] = nonzero;
    const bool bad = kind == ValueKind::graded   ? (x & exponent) == exponent
                     : kind == ValueKind::binary ? nonzero & (x != one)
                                                 : nonzero & (x != one) & (x != two) & (x != three);
    wrong = static_cast<Word>(wrong | static_cast<Word>(bad));
  }
  return gather_flags(flags, wrong != 0);
}

/// The rows [begin, end) of one storage and kind; words may be null, to count only.
struct PackRows {
  const SpikeView& spikes;
  RowMap map;
  std::uint32_t* words;
  std::atomic<std::uint64_t>& nnz;
  std::atomic<std::uint64_t>& first_invalid;

  /// Word w of a row by `fast(w)`, unless it is not whole or something is wrong in it.
  template <class Fast>
  void rows(std::uint64_t begin, std::uint64_t end, Fast&& fast) const {
    const std::uint32_t k = spikes.shape.k;
    const std::uint64_t words_per_row = ceil_div(k, 32);
    std::uint64_t count = 0;
    for (std::uint64_t row = begin; row < end; ++row) {
      const std::uint64_t source = map.source(row);
      const auto* data =
          static_cast<const std::byte*>(spikes.data) + source * row_bytes(spikes.storage, k);
      std::uint32_t* out = words == nullptr ? nullptr : words + row * words_per_row;
      for (std::uint32_t w = 0; w < words_per_row; ++w) {
        Packed32 packed;
        const bool whole = 32 * (w + 1) <= k;
        if (whole) packed = fast(data, w);
        if (!whole || packed.invalid) {
          const Packed slow = pack_word(spikes, source, w);
          packed = {slow.bits, count_bits(slow.bits)};
          if (slow.invalid != 0) {
            lower(first_invalid, source * k + 32 * w + lowest_bit(slow.invalid));
          }
        }
        count += packed.count;
        if (out != nullptr) out[w] = packed.bits;
      }
    }
    nnz += count;
  }

  template <ValueKind kind>
  void rows_of_kind(std::uint64_t begin, std::uint64_t end) const {
    switch (spikes.storage) {
      case DType::u8:
        return rows(begin, end, [](const std::byte* data, std::uint32_t w) {
          return pack_32<kind>(reinterpret_cast<const std::uint8_t*>(data) + 32 * w);
        });
      case DType::f16:
        return rows(begin, end, [](const std::byte* data, std::uint32_t w) {
          return pack_32_floats<kind, std::uint16_t, 0x8000, 0x7c00, 0x3c00, 0x4000, 0x4200>(
              reinterpret_cast<const std::uint16_t*>(data) + 32 * w);
        });
      case DType::bf16:
        return rows(begin, end, [](const std::byte* data, std::uint32_t w) {
          return pack_32_floats<kind, std::uint16_t, 0x8000, 0x7f80, 0x3f80, 0x4000, 0x4040>(
              reinterpret_cast<const std::uint16_t*>(data) + 32 * w);
        });
      case DType::f32:
        return rows(begin, end, [](const std::byte* data, std::uint32_t w) {
          return pack_32_floats<kind, std::uint32_t, 0x80000000u, 0x7f800000u, 0x3f800000u,
                                0x40000000u, 0x40400000u>(
              reinterpret_cast<const std::uint32_t*>(data) + 32 * w);
        });
      case DType::bit:
        return rows(begin, end, [](const std::byte* data, std::uint32_t w) {
          const std::uint32_t bits = reinterpret_cast<const std::uint32_t*>(data)[w];
          return Packed32{bits, count_bits(bits)};
        });
      default:  // u2: as good as it gets, word by word
        return rows(begin, end, [](const std::byte*, std::uint32_t) {
          return Packed32{0, 0, true};
        });
    }
  }
};

/// Packs all rows; `words` may be null, to count only.
void pack_rows(const HostContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  const SpikeShape& shape = spikes.shape;
  std::atomic<std::uint64_t> nnz{0};
  std::atomic<std::uint64_t> first_invalid{EncodeStatus::none_invalid};
  const PackRows task{
      spikes, {shape.timesteps, shape.rows, spikes.row_order, order}, words, nnz, first_invalid};
  const std::uint64_t grain = std::max<std::uint64_t>(1, 65536 / std::max(1u, shape.k));
  parallel_ranges(context, shape.m(), grain, [&](std::uint64_t begin, std::uint64_t end) {
    switch (spikes.kind) {
      case ValueKind::binary:
        return task.rows_of_kind<ValueKind::binary>(begin, end);
      case ValueKind::graded2:
        return task.rows_of_kind<ValueKind::graded2>(begin, end);
      case ValueKind::graded:
        return task.rows_of_kind<ValueKind::graded>(begin, end);
    }
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
