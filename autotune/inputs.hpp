#pragma once
/// \file
/// What all candidates of a problem share: spikes, weights, room for Y, and the reference.

#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/problem.hpp"
#include "spiketune/autotune/suite.hpp"
#include "spiketune/datasets/load.hpp"

namespace spiketune {

/// In the backend's memory. There are as many W and Y as products per encoding, so that no product
/// finds in cache what the one before it left; all W have the same content.
struct ProblemInputs {
  SpikeTensor spikes;
  std::vector<WeightView> weights;
  std::vector<OutputView> outputs;
  const double* reference = nullptr;  ///< [M, N]; null until make_reference()
  std::vector<Buffer> memory;
};

/// Generates or loads the spikes and makes the rest, without the reference.
/// \param seed   of spikes and weights
[[nodiscard]] ProblemInputs make_inputs(const Backend& backend, const PlannedProblem& planned,
                                        std::uint64_t seed);

/// Computes the reference of the inputs, or of other spikes of the same shape, into new memory.
[[nodiscard]] Buffer make_reference(const Backend& backend, const ProblemInputs& inputs,
                                    const SpikeView& spikes, RowOrder order);

/// Recorded spikes on the host.
struct Trace {
  SpikeTensor spikes;
  std::uint32_t n = 0;  ///< columns of the weights recorded with them; 0: none
  std::string how;      ///< of events, how they became time steps (see load_spikes)
};

/// Reads a layer (.npz with a member `weight`, see load_layer, which takes of the options only the
/// row order) or plain spikes (see load_spikes). Throws what those throw.
/// \param images   the first so many of the batch; 0: all
[[nodiscard]] Trace load_trace(const std::string& file, std::uint32_t images,
                               const LoadOptions& options);
/// How the file of a problem is to be read.
[[nodiscard]] LoadOptions load_options_of(const Problem& problem, const EventOptions& events);
/// Nonzeros of a tensor on the host.
[[nodiscard]] std::uint64_t count_nonzeros(const SpikeView& spikes);
/// A copy on the host in another storage and row order, its rows repeated `tile` times.
[[nodiscard]] SpikeTensor convert(const SpikeView& spikes, DType storage, RowOrder order,
                                  std::uint32_t tile);

}  // namespace spiketune
