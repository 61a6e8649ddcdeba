#pragma once
/// \file
/// From what spikes look like to a generator of spikes that look alike: a recording that must not
/// be shared can be imitated by five numbers.

#include "spiketune/datasets/generate.hpp"
#include "spiketune/datasets/inspect.hpp"

namespace spiketune {

/// The `layer` pattern whose spikes are expected to have, in tensors of this shape, the density,
/// spread of channel rates, share of silent channels and of silent neurons, and persistence that
/// were found. What cannot be had together gives way in the reverse of that order. Several
/// parameter sets may look alike: over few time steps, neurons that never fire are hard to tell
/// from those that fire in bursts.
///
/// Not imitated: which rows are busy, what rows have in common (the overlap of im2col's windows),
/// and rates that change over time. Where T is 1 a silent neuron cannot be told from a rare one,
/// and below 8 rows a silent channel not from silent neurons: there silent_neurons or silent_share
/// is 0.
///
/// Pure; every step is a formula but for three nested searches, at most a second.
[[nodiscard]] PatternSpec imitate(const SpikeStatistics& found, const SpikeShape& shape);

}  // namespace spiketune
