#pragma once
/// \file
/// The dense matrix in the type that a dense product wants (that of W): the cast is its encode.
/// Row-major [M, K], leading dimension K. capacity counts elements and is what plan() makes it.

#include "spiketune/formats/format.hpp"

namespace spiketune {

struct Dense : FormatBase {
  static constexpr std::string_view name = "dense";
  struct Params {
    DType type = DType::f16;  ///< f16, bf16 or f32
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("type", self.type);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;
  AnyArray values;  ///< [M·K] of params.type

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout& layout, DType weights) {
    if (is_floating(weights)) return {{weights}};
    return {{is_floating(layout.value_type) ? layout.value_type : DType::f16}};
  }

  /// `capacity` is ignored. Throws Error(invalid_argument) where params.type cannot hold the
  /// layout's values exactly (graded f32 spikes as f16, say).
  [[nodiscard]] static Dense plan(const EncodedLayout& layout, const Params& params,
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
SPIKETUNE_HD void for_each_in_row(const Dense& dense, std::uint64_t row, Visit&& visit) {
  const std::uint32_t k = dense.layout.k();
  for (std::uint32_t column = 0; column < k; ++column) {
    const float value = load_value(dense.values, row * k + column);
    if (value != 0.0f) visit(column, value);
  }
}

}  // namespace spiketune
