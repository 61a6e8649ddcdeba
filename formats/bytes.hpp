#pragma once
/// \file
/// A byte for each element, row-major [M, K], leading dimension K: 0, or the value of the spike.
/// This is how spikes of storage u8 lie in memory, so those in the wanted row order need no encode:
/// view() lets the format have them where they are. capacity counts elements and is what plan()
/// makes it.
///
///   S = 0 1 0 0    values = 0 1 0 0  1 0 0 1
///       1 0 0 1

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Bytes : FormatBase {
  static constexpr std::string_view name = "bytes";
  struct Params {
    template <class Self, class Visit>
    static void fields(Self&, Visit&&) {}
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint8_t> values;  ///< [M·K]; those of a view are never written

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) { return {{}}; }

  /// `capacity` is ignored. Throws Error(unsupported) for graded spikes, which a byte cannot hold.
  [[nodiscard]] static Bytes plan(const EncodedLayout& layout, const Params& params,
                                  std::uint64_t capacity = 0);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double) {
    return max_capacity(layout, params);
  }
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout, const Params&) {
    return layout.shape.elements();
  }

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("values", self.values);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t) const { return values.bytes(); }
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const Bytes& bytes, std::uint64_t row, Visit&& visit) {
  const std::uint32_t k = bytes.layout.k();
  for (std::uint32_t column = 0; column < k; ++column) {
    const std::uint8_t value = bytes.values[row * k + column];
    if (value != 0) visit(column, static_cast<float>(value));
  }
}

}  // namespace spiketune
