#pragma once
/// \file
/// Spike tensors: [T, rows, K] of one- or two-bit or real-valued spikes, mostly zero.
///
/// Storage, element (row, k) of the M × K matrix in the tensor's row order:
///   bit         word row·ceil(K/32) + k/32, bit k%32       (each row padded to whole words)
///   u2          word row·ceil(K/16) + k/16, bits 2·(k%16)  (each row padded to whole words)
///   u8 and f*   element row·K + k
/// Words are 32-bit, least significant bit first. Padding bits may hold anything; readers mask
/// them. A zero is any element that compares equal to 0; −0.0 is one.

#include <cstdint>
#include <string_view>

#include "spiketune/core/array.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/dtype.hpp"
#include "spiketune/core/shape.hpp"

namespace spiketune {

/// What values a nonzero may have. Anything else, and any NaN, is an error that names its position.
enum class ValueKind : std::uint8_t {
  binary,   ///< 1. Formats store the pattern alone
  graded2,  ///< 1, 2 or 3. Storage u2, u8 or floating; formats store one u8 a spike
  graded    ///< any finite value. Storage f16, bf16 or f32; formats store values of that type
};

[[nodiscard]] std::string_view to_string(ValueKind kind);
[[nodiscard]] ValueKind parse_value_kind(std::string_view name);

/// Bytes between two rows.
SPIKETUNE_HD constexpr std::uint64_t row_bytes(DType storage, std::uint32_t k) {
  return storage == DType::bit  ? ceil_div(k, 32) * 4
         : storage == DType::u2 ? ceil_div(k, 16) * 4
                                : std::uint64_t{k} * (bits_of(storage) / 8);
}

/// Read-only view. `data` is in `space`, aligned to 4 bytes for packed storage and to the element
/// otherwise (16-byte alignment of data and rows is faster).
struct SpikeView {
  const void* data = nullptr;
  SpikeShape shape;
  DType storage = DType::u8;
  ValueKind kind = ValueKind::binary;
  RowOrder row_order = RowOrder::time_major;
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return shape.m() * row_bytes(storage, shape.k); }
};

struct MutableSpikeView {
  void* data = nullptr;
  SpikeShape shape;
  DType storage = DType::u8;
  ValueKind kind = ValueKind::binary;
  RowOrder row_order = RowOrder::time_major;
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return shape.m() * row_bytes(storage, shape.k); }
  operator SpikeView() const {  // NOLINT(google-explicit-constructor): as T* converts to const T*
    return {data, shape, storage, kind, row_order, space};
  }
};

/// Throws Error(invalid_argument) where storage cannot hold the kind (say, graded spikes as bits),
/// a dimension is out of range, or data is null though there are elements.
void check(const SpikeView& spikes);
/// The same, and that the view's memory is in the context's space.
void check_space(const SpikeView& spikes, Space space);

/// Owns the memory of a spike tensor. `copy_to` moves it between host and device.
class SpikeTensor {
 public:
  SpikeTensor() = default;
  /// Content is unspecified.
  template <class ContextT>
  SpikeTensor(const ContextT& context, SpikeShape shape, DType storage, ValueKind kind,
              RowOrder row_order = RowOrder::time_major)
      : view_{nullptr, shape, storage, kind, row_order, ContextT::space} {
    check_dimensions(shape);
    buffer_ = allocate(context, view_.bytes());
    view_.data = buffer_.data();
  }

  [[nodiscard]] SpikeView view() const { return view_; }
  [[nodiscard]] MutableSpikeView mutable_view() { return view_; }

 private:
  static void check_dimensions(const SpikeShape& shape);
  MutableSpikeView view_;
  Buffer buffer_;
};

/// A copy of `spikes` in the memory of `context`. CUDA: synchronises.
template <class ContextT>
[[nodiscard]] SpikeTensor copy_of(const ContextT& context, const SpikeView& spikes) {
  SpikeTensor result(context, spikes.shape, spikes.storage, spikes.kind, spikes.row_order);
  copy(context, result.mutable_view().data, spikes.data, spikes.bytes());
  synchronize(context);
  return result;
}
/// The same for device spikes copied to the host: `context` is where they are now.
[[nodiscard]] inline SpikeTensor copy_to_host(const CudaContext& context, const SpikeView& spikes) {
  SpikeTensor result(HostContext{}, spikes.shape, spikes.storage, spikes.kind, spikes.row_order);
  copy(context, result.mutable_view().data, spikes.data, spikes.bytes());
  synchronize(context);
  return result;
}

/// Element (row, k) of a tensor, row in the tensor's own order, as f32. Exact for every storage.
SPIKETUNE_HD inline float load_spike(const void* data, DType storage, std::uint32_t k_total,
                                     std::uint64_t row, std::uint32_t k) {
  const std::uint64_t element = row * k_total + k;
  switch (storage) {
    case DType::bit:
      return static_cast<float>(
          static_cast<const std::uint32_t*>(data)[row * ceil_div(k_total, 32) + k / 32] >>
              (k % 32) &
          1u);
    case DType::u2:
      return static_cast<float>(
          static_cast<const std::uint32_t*>(data)[row * ceil_div(k_total, 16) + k / 16] >>
              (2 * (k % 16)) &
          3u);
    case DType::u8:
      return static_cast<float>(static_cast<const std::uint8_t*>(data)[element]);
    case DType::f16:
      return to_float(static_cast<const Half*>(data)[element]);
    case DType::bf16:
      return to_float(static_cast<const Bfloat16*>(data)[element]);
    default:
      return static_cast<const float*>(data)[element];
  }
}

/// Writes a nonzero element into a zeroed tensor. One row must be written by one thread at a time
/// on the host; on the device any threads may write (packed storage uses atomics).
SPIKETUNE_HD inline void store_spike(void* data, DType storage, std::uint32_t k_total,
                                     std::uint64_t row, std::uint32_t k, float value) {
  const std::uint64_t element = row * k_total + k;
  const auto set_bits = [](std::uint32_t* word, std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
    atomicOr(word, bits);
#else
    *word |= bits;
#endif
  };
  switch (storage) {
    case DType::bit:
      set_bits(static_cast<std::uint32_t*>(data) + row * ceil_div(k_total, 32) + k / 32,
               1u << (k % 32));
      break;
    case DType::u2:
      set_bits(static_cast<std::uint32_t*>(data) + row * ceil_div(k_total, 16) + k / 16,
               static_cast<std::uint32_t>(value) << (2 * (k % 16)));
      break;
    case DType::u8:
      static_cast<std::uint8_t*>(data)[element] = static_cast<std::uint8_t>(value);
      break;
    case DType::f16:
      static_cast<Half*>(data)[element] = to_half(value);
      break;
    case DType::bf16:
      static_cast<Bfloat16*>(data)[element] = to_bfloat16(value);
      break;
    default:
      static_cast<float*>(data)[element] = value;
  }
}

}  // namespace spiketune
