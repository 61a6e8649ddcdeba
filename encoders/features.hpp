#pragma once
/// \file
/// What decides which format suits spikes: counts over packed bits, taken in one pass.
///
/// Counts, not rates: they are exact, the same on host and device, and can be summed over batches.
/// The functions of Features turn them into rates.

#include <array>
#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

/// Counts over the rows of a spike matrix [M, K] in a chosen row order; groups of rows are rows of
/// that order. Lies in the context's memory, aligned to 8 bytes.
struct Features {
  static constexpr std::array<std::uint32_t, 3> group_sizes = {8, 16, 64};
  static constexpr std::uint32_t length_classes = 16;

  std::uint64_t nnz = 0;
  std::uint64_t squared_lengths = 0;  ///< sum over rows of (spikes of the row)²
  std::uint64_t longest = 0;          ///< most spikes of a row
  /// Rows with 0, 1, 2–3, 4–7, … spikes; the last class is 16,384 and more.
  std::array<std::uint64_t, length_classes> lengths{};
  /// Columns with a spike in any row of a group of 8, 16, 64 rows, summed over groups; the last
  /// group may be short.
  std::array<std::uint64_t, 3> vectors{};
  std::uint64_t blocks = 0;           ///< 16×16 blocks with a spike
  std::uint64_t beyond_two_four = 0;  ///< spikes beyond two of each four columns of a row
  std::uint64_t followed = 0;         ///< spikes of all time steps but the last, and of these
  std::uint64_t stayed = 0;           ///< those whose position spikes in the next step too

  bool operator==(const Features&) const = default;

  [[nodiscard]] double density(const SpikeShape& shape) const;
  [[nodiscard]] double mean_length(const SpikeShape& shape) const;  ///< spikes of a row
  [[nodiscard]] double length_variance(const SpikeShape& shape) const;
  /// Nonempty vectors of group_sizes[i] rows × 1 column, as a share of all.
  [[nodiscard]] double union_density(const SpikeShape& shape, std::size_t i) const;
  [[nodiscard]] double block_density(const SpikeShape& shape) const;
  /// Spikes that 2:4 cannot hold, as a share of all spikes.
  [[nodiscard]] double share_beyond_two_four() const;
  /// Share of spikes that spike in the next time step too; the density, where spikes are
  /// independent. 0 for one time step.
  [[nodiscard]] double staying() const;
};

/// Measures packed spikes (storage `bit`; padding bits are anything) with rows in `order`, into
/// *features, in the context's memory. CUDA: a fill and one kernel are enqueued; nothing is
/// allocated, nothing waits, no workspace is needed. Throws Error(invalid_argument) for another
/// storage, K beyond 2^28, or a view in the wrong memory.
void measure_features(const HostContext& context, const SpikeView& spikes, RowOrder order,
                      Features* features);
void measure_features(const CudaContext& context, const SpikeView& spikes, RowOrder order,
                      Features* features);

/// The checks of measure_features().
void check_features(const SpikeView& spikes, const Features* features, Space space);

/// The class of a row's spikes in Features::lengths.
[[nodiscard]] SPIKETUNE_HD constexpr std::uint32_t length_class(std::uint32_t length) {
  std::uint32_t result = 0;
  for (; length != 0 && result + 1 < Features::length_classes; length /= 2) ++result;
  return result;
}

}  // namespace spiketune
