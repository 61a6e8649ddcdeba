#pragma once
/// \file
/// What all formats have in common.
///
/// A format is a plain struct that owns nothing: it says what is encoded (`layout`), how much room
/// there is (`capacity`), where the arrays are, and where its device-side counters are (`status`).
/// Each format `F` provides
///
///   static constexpr std::string_view name;
///   struct Params;                               how it is laid out (block size, width, ...)
///   static std::vector<Params> choices(layout, weights);         what a sweep tries, default first
///   static F plan(layout, params, capacity);     sizes of all arrays; no memory yet
///   static std::uint64_t bound(layout, params, density);         a capacity that will likely do
///   static std::uint64_t max_capacity(layout, params);           one that always does
///   static void arrays(self, visit);             visit(name, array) for each array, in order
///   std::uint64_t bytes(std::uint64_t stored);   bytes that `stored` units of capacity occupy
///   void validate(const EncodeStatus&);          host memory only; throws Error(invalid_value)
///   for_each_in_row(format, row, visit)          visit(column, value), columns ascending
///
/// The last one is the definition of the format: host and CUDA decoders and the plain products are
/// written over it once. (CSC, which has no rows, provides for_each_in_column.)
/// `capacity` counts what may grow: nonzeros, blocks, slots; each header says what.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "spiketune/core/array.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

/// What is encoded. Row r of the matrix is (t, position) as `row_order` says.
struct EncodedLayout {
  SpikeShape shape;
  RowOrder row_order = RowOrder::time_major;
  ValueKind kind = ValueKind::binary;
  DType value_type = DType::bit;  ///< bit: pattern only; u8 for graded2; f16, bf16, f32 for graded

  [[nodiscard]] SPIKETUNE_HD std::uint64_t m() const { return shape.m(); }
  [[nodiscard]] SPIKETUNE_HD std::uint32_t k() const { return shape.k; }
};

/// The layout of `spikes` encoded with rows in `row_order`.
[[nodiscard]] EncodedLayout layout_of(const SpikeView& spikes, RowOrder row_order);

/// Counters that an encoder leaves in the memory of its context. Nothing here is read by the host
/// during encode or spmm, so both can be captured in one CUDA graph.
struct EncodeStatus {
  std::uint64_t nnz;     ///< nonzeros of the input
  std::uint64_t needed;  ///< units of capacity that the input needs; > capacity: overflow
  std::uint64_t lost;    ///< nonzeros that a lossy (prune) encoder dropped; 0 otherwise
  std::uint64_t
      first_invalid;  ///< least element m·K + k of the input that is NaN or not of its kind

  static constexpr std::uint64_t none_invalid = std::numeric_limits<std::uint64_t>::max();
};

/// Members of every format struct.
struct FormatBase {
  EncodedLayout layout;
  std::uint64_t capacity = 0;
  EncodeStatus* status = nullptr;
};

/// 16-bit where every column (and, for formats with padding, the padding index, all ones) fits.
SPIKETUNE_HD constexpr DType index_type(std::uint32_t k, bool padded = false) {
  return k <= (padded ? 65535u : 65536u) ? DType::u16 : DType::u32;
}

/// The padding index of an array of that type: all ones.
SPIKETUNE_HD constexpr std::uint32_t padding_index(DType type) {
  return type == DType::u16 ? 0xffffu : 0xffffffffu;
}

/// Entries to expect at `density` plus a margin of six standard deviations and 64, at most all.
[[nodiscard]] std::uint64_t likely_entries(std::uint64_t positions, double density);

/// A span of known element type that may be planned before it has memory.
template <class T>
struct Array {
  T* data = nullptr;
  std::uint64_t size = 0;

  [[nodiscard]] SPIKETUNE_HD std::uint64_t bytes() const { return size * sizeof(T); }
  [[nodiscard]] SPIKETUNE_HD T& operator[](std::uint64_t i) const { return data[i]; }
};

/// Bytes of one block of memory that holds all arrays of a planned format, and its status.
template <class Format>
[[nodiscard]] std::uint64_t storage_bytes(const Format& format) {
  std::uint64_t total = align_up(sizeof(EncodeStatus));
  Format::arrays(format,
                 [&](std::string_view, const auto& array) { total += align_up(array.bytes()); });
  return total;
}

/// Points a planned format's arrays into `memory`, which holds storage_bytes(format) bytes aligned
/// to 256. For memory from your own allocator; Encoded<Format> does it for you otherwise.
template <class Format>
void bind(Format& format, void* memory) {
  auto* at = static_cast<std::byte*>(memory);
  format.status = static_cast<EncodeStatus*>(memory);
  at += align_up(sizeof(EncodeStatus));
  Format::arrays(format, [&](std::string_view, auto& array) {
    array.data = static_cast<decltype(array.data)>(static_cast<void*>(at));
    at += align_up(array.bytes());
  });
}

/// A format together with the memory that it points into.
template <class Format>
class Encoded {
 public:
  Encoded() = default;
  template <class ContextT>
  Encoded(const ContextT& context, const Format& planned)
      : format_(planned), buffer_(allocate(context, storage_bytes(planned))) {
    bind(format_, buffer_.data());
  }

  [[nodiscard]] const Format& operator*() const { return format_; }
  [[nodiscard]] Format& operator*() { return format_; }
  [[nodiscard]] const Format* operator->() const { return &format_; }
  [[nodiscard]] Format* operator->() { return &format_; }
  [[nodiscard]] const Buffer& buffer() const { return buffer_; }

 private:
  Format format_;
  Buffer buffer_;
};

/// The counters of an encoding. CUDA: synchronises.
template <class ContextT, class Format>
[[nodiscard]] EncodeStatus read_status(const ContextT& context, const Format& format) {
  EncodeStatus status{};
  copy(context, &status, format.status, sizeof status);
  synchronize(context);
  return status;
}

/// Throws Error(invalid_value) naming (t, row, k) of the first bad spike, or Error(overflow) with
/// the capacity needed.
void check_status(const EncodeStatus& status, const FormatBase& format, std::string_view name,
                  RowOrder input_order);

/// A copy of a device encoding in host memory. Synchronises.
template <class Format>
[[nodiscard]] Encoded<Format> copy_to_host(const CudaContext& context, const Format& format) {
  Encoded<Format> result(HostContext{}, format);
  const Format& to = *result;
  copy(context, to.status, format.status, sizeof(EncodeStatus));
  // Both visit the same arrays in the same order.
  std::uint64_t at = align_up(sizeof(EncodeStatus));
  Format::arrays(format, [&](std::string_view, const auto& array) {
    copy(context, static_cast<std::byte*>(result.buffer().data()) + at, array.data, array.bytes());
    at += align_up(array.bytes());
  });
  synchronize(context);
  return result;
}

namespace detail {
/// Throws Error(invalid_value) "<format>: <what>" for validate().
[[noreturn]] void invalid_format(std::string_view name, const std::string& what);
}  // namespace detail

}  // namespace spiketune
