#pragma once
/// \file
/// Candidates between being chosen and being measured: encoded, bound, verified.

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spiketune/autotune/backend.hpp"
#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/inputs.hpp"
#include "spiketune/autotune/measure.hpp"
#include "spiketune/autotune/report.hpp"

namespace spiketune {

/// One quantity under measurement, a series for each TimingMode; without a trial: not asked for.
using SeriesPair = std::array<Series, 2>;

struct KernelRun {
  Point point;
  std::vector<std::function<void()>> products;  ///< one for each W
  SeriesPair compute;
  SeriesPair total;
};

/// An encoding with the kernels that read it. Not movable once bound: trials point into it.
struct EncodingRun {
  const FormatPlugin* plugin = nullptr;
  std::unique_ptr<AnyEncoding> encoding;  ///< null where it could not be made
  std::function<void()> encode;
  std::uint64_t bytes = 0;  ///< that its arrays occupy, capacity included
  std::optional<Buffer> pruned_reference;
  SeriesPair series;
  std::vector<KernelRun> kernels;

  [[nodiscard]] bool alive() const;  ///< any kernel is still ok
};

/// Encodes (again with more room, where the first guess was too small), checks the encoding, runs
/// each kernel once and compares. What goes wrong ends as the status of the points; only
/// Error(out_of_memory) is thrown, so that the caller can make room.
/// \param points   one for each kernel of `choice`, filled in but for results
/// \param step     told of the candidates, by index, before anything is run for them
[[nodiscard]] std::unique_ptr<EncodingRun> prepare_candidates(
    const Backend& backend, const ProblemInputs& inputs, const EncodingChoice& choice,
    std::vector<Point> points, const std::function<void(std::span<const std::size_t>)>& step);

/// Indices of the points that are still ok.
[[nodiscard]] std::vector<std::size_t> candidates_of(const EncodingRun& run);

/// Sets a point that is still ok to `status`.
void give_up(Point& point, PointStatus status, const std::string& reason);
/// The same for every kernel of the encoding.
void give_up(EncodingRun& run, PointStatus status, const std::string& reason);

}  // namespace spiketune
