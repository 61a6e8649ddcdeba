#pragma once
/// \file
/// 2:4 structured sparsity along K, and a CSR residual for what it cannot hold.
///
///   columns 0123 4567        slots, groups of 4     residual
///   row 0   .1.. 1111        .1..  11..             row_offsets     0 2 3
///   row 1   11.1 ....        11..  ....             column_indices  6 7 3
///
/// Group g of a row is its columns 4·g to 4·g+3. The two lowest spikes of a group are in its slots,
/// any others in the residual; formats/slots.hpp has the table, and says how slots are stored.
/// With `prune` there is no residual: what it would hold is dropped, and counted in status->lost.
///
/// capacity counts nonzeros of the residual. Bytes: M·(4·ceil(K/32) + 4·ceil(K/64)), 16 values for
/// every 32 columns, and, unless pruned, 4·(M+1) + residual·(2 where K <= 65536, else 4, plus the
/// value).

#include "spiketune/formats/slots.hpp"

namespace spiketune {

struct TwoFour : SlotFormat {
  static constexpr std::string_view name = "two_four";
  struct Params {
    bool prune = false;  ///< lossy: no residual
    template <class Self, class Visit>
    static void fields(Self& self, Visit&& visit) {
      visit("prune", self.prune);
    }
    bool operator==(const Params&) const = default;
  };

  Params params;

  [[nodiscard]] SPIKETUNE_HD bool prune() const { return params.prune; }
  [[nodiscard]] SPIKETUNE_HD static std::uint32_t column(std::uint64_t, std::uint64_t group,
                                                         std::uint32_t position) {
    return static_cast<std::uint32_t>(4 * group) + position;
  }

  [[nodiscard]] static std::vector<Params> choices(const EncodedLayout&, DType) {
    return {{false}};
  }

  /// `capacity` is ignored where pruned. Throws Error(unsupported) where it is 2^32 or more.
  [[nodiscard]] static TwoFour plan(const EncodedLayout& layout, const Params& params,
                                    std::uint64_t capacity);
  [[nodiscard]] static std::uint64_t bound(const EncodedLayout& layout, const Params& params,
                                           double density);
  [[nodiscard]] static std::uint64_t max_capacity(const EncodedLayout& layout,
                                                  const Params& params);

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    slot_arrays(self, visit);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const { return slot_bytes(stored); }
  void validate(const EncodeStatus& counts) const;
};

template <class Visit>
SPIKETUNE_HD void for_each_in_row(const TwoFour& two_four, std::uint64_t row, Visit&& visit) {
  detail::for_each_in_slots(two_four, row, visit);
}

}  // namespace spiketune
