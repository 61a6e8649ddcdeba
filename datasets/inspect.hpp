#pragma once
/// \file
/// What a spike tensor looks like: the numbers that decide which sparse format can win.

#include <array>
#include <cstdint>
#include <optional>

#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

/// Of a set of counts divided by their largest possible value, so 0..1. All zero for an empty set.
/// Percentiles are those of the nearest rank.
struct Distribution {
  double min = 0;
  double mean = 0;
  double p05 = 0;
  double p25 = 0;
  double median = 0;
  double p75 = 0;
  double p95 = 0;
  double max = 0;
};

/// Shares are of everything counted, 0..1; a group or block that reaches over the edge of the
/// matrix counts as one, filled up with zeros.
struct SpikeStatistics {
  std::uint64_t elements = 0;
  std::uint64_t nnz = 0;
  double density = 0;
  Distribution row_rates;        ///< spikes of a row / K
  Distribution channel_rates;    ///< spikes of a column / M
  double channel_deviation = 0;  ///< standard deviation of the channels' rates
  double silent_channels = 0;    ///< share of the K columns without any spike
  double silent_neurons = 0;     ///< share of (row, k) without a spike at any time step
  /// P(spike at t | spike at t-1) of the same (row, k). None where T is 1 or nothing fires before
  /// the last step.
  std::optional<double> persistence;
  double persistence_by_chance = 0;  ///< what it were if time steps were independent: the density

  /// Rows united, aligned runs of consecutive matrix rows.
  static constexpr std::array<std::uint32_t, 5> union_rows{1, 4, 8, 16, 64};
  /// Share of v × 1 column vectors that hold a spike, for each v of union_rows. 1: the density.
  std::array<double, 5> union_density{};

  double groups_fit_two_four = 0;   ///< share of aligned groups of four columns with <= 2 spikes
  double spikes_over_two_four = 0;  ///< share of spikes beyond the second of their group

  static constexpr std::array<std::uint32_t, 4> block_sizes{8, 16, 32, 64};
  /// Share of aligned b × b blocks without any spike, for each b of block_sizes.
  std::array<double, 4> empty_blocks{};
};

/// Statistics of host spikes with matrix rows in `row_order` (unions and blocks depend on it).
/// Reads the tensor once, then works on its bits: M·K/8 bytes of memory. Throws
/// Error(invalid_argument) for a bad view, Error(invalid_value) naming the first (t, row, k) that
/// is NaN or not of the kind.
[[nodiscard]] SpikeStatistics inspect(const HostContext& context, const SpikeView& spikes,
                                      RowOrder row_order);
/// In the tensor's own row order.
[[nodiscard]] inline SpikeStatistics inspect(const HostContext& context, const SpikeView& spikes) {
  return inspect(context, spikes, spikes.row_order);
}

}  // namespace spiketune
