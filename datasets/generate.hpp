#pragma once
/// \file
/// Seeded spikes of a wanted density and structure, the same on host and CUDA bit for bit.
///
/// Whether element (t, row, k) is a spike, and its value, depend on the pattern, the shape and the
/// seed alone: not on storage, row order, device or number of threads. Values of graded2 spikes are
/// 1, 2, 3, equally likely; those of graded spikes ±q/32 with q in 1..128, which f16 and bf16 hold
/// exactly.

#include <cstdint>
#include <string_view>

#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

/// How spikes lie. "Rows" are positions: structures never reach across time steps, so blocks and
/// column vectors are runs of consecutive matrix rows in time-major order (or where T is 1).
///
/// **layer** combines what recordings show together. round(silent_share · K) channels never fire,
/// and of the neurons (row, k) of the others a share `silent_neurons`, drawn one by one. The rates
/// q of the neurons that fire are those of their channels, log-normal (sigma), and scaled so that
/// the density is as asked for. Such a neuron is a Markov chain over time with P(spike) = q and a
/// correlation r of neighbouring steps: P(spike | spike) = q + r · (1 - q),
/// P(spike | none) = q · (1 - r). Below 0, r is at the least what rate q allows
/// (layer_correlation).
enum class Pattern : std::uint8_t {
  bernoulli,      ///< every element alone, with probability `density`
  channel_rates,  ///< channel k has a rate; rates are log-normal (sigma), their mean is density
  temporal,       ///< a Markov chain per neuron: P(spike) = density, P(spike | spike) = persistence
  silent,         ///< round(silent_share · K) channels never fire, the others make up for them
  block,          ///< block × block tiles are full with probability `density`, else empty
  column_vector,  ///< `vector` consecutive rows have the same spikes
  power_law_rows,  ///< the i-th busiest row has a rate ~ i^-alpha; mean density; order shuffled
  layer            ///< as recorded layers are: channel rates, silent channels and neurons, and time
};

/// Names are those above, as in reports and suites.
[[nodiscard]] std::string_view to_string(Pattern pattern);
/// Throws Error(parse) that lists the known names.
[[nodiscard]] Pattern parse_pattern(std::string_view name);

struct PatternSpec {
  Pattern pattern = Pattern::bernoulli;
  double density = 0.05;      ///< expected share of nonzeros, 0..1
  double sigma = 1.0;         ///< channel_rates, layer: standard deviation of log(rate), 0..8
  double persistence = 0.6;   ///< temporal: P(spike at t | spike at t-1)
  double silent_share = 0.5;  ///< silent, layer: share of channels that never fire
  double silent_neurons = 0;  ///< layer: share of the other channels' neurons that never fire
  double correlation = 0;     ///< layer: of a neuron's spikes in neighbouring time steps, -1..1
  double alpha = 1.0;         ///< power_law_rows: exponent, 0..8
  std::uint32_t block = 16;   ///< block: edge of a tile
  std::uint32_t vector = 8;   ///< column_vector: rows that share their pattern
  std::uint64_t seed = 1;

  /// The parameters: all but pattern and density, which a Problem has itself.
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("sigma", self.sigma);
    visit("persistence", self.persistence);
    visit("silent_share", self.silent_share);
    visit("silent_neurons", self.silent_neurons);
    visit("correlation", self.correlation);
    visit("alpha", self.alpha);
    visit("block", self.block);
    visit("vector", self.vector);
    visit("seed", self.seed);
  }
  bool operator==(const PatternSpec&) const = default;
};

/// The correlation of a neuron of this rate: as asked for, or where that would need probabilities
/// below 0 the nearest to it, -q / (1 - q) or -(1 - q) / q.
[[nodiscard]] double layer_correlation(double correlation, double rate);

/// Throws Error(invalid_argument) for a parameter out of range, and where no such pattern exists:
/// silent channels that leave too few to carry the density, or a persistence so low that the
/// density cannot be kept up.
void check(const PatternSpec& spec, const SpikeShape& shape);

/// Writes every element of `spikes`; padding bits become zero. Throws as check() does, and for a
/// bad view or one in the wrong memory. Not for hot paths: allocates tables of at most K or `rows`
/// entries. CUDA: synchronises.
void generate(const HostContext& context, const PatternSpec& spec, const MutableSpikeView& spikes);
void generate(const CudaContext& context, const PatternSpec& spec, const MutableSpikeView& spikes);

}  // namespace spiketune
