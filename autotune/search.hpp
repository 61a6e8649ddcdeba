#pragma once
/// \file
/// Finding the fastest candidate of a problem without measuring all of them to the end.
///
/// 1. One candidate of each encoding is measured. An encoding whose floor (the bytes it must move,
/// at
///    the copy bandwidth of the run) exceeds the best time there is, is given up with all its
///    kernels.
/// 2. Successive halving on the rest, by thirds: a few samples of the total of each, the fastest
///    third stays and gets twice as many samples, until few are left. Who is within noise of the
///    last to stay stays too.
/// 3. Those are measured in full: encode, compute and total, cold and hot.
///
/// (K. Jamieson and A. Talwalkar, Non-stochastic best arm identification and hyperparameter
/// optimization, 2016)

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>

#include "spiketune/autotune/executor.hpp"

namespace spiketune {

struct SearchOptions {
  bool exhaustive = false;        ///< measure everything in full
  std::size_t first_samples = 3;  ///< of each candidate in the first round
  std::size_t finalists = 3;      ///< measured in full, besides those within noise
  std::size_t points = 0;         ///< candidates tried on a problem at most; 0: all
};

/// What a report says of it.
[[nodiscard]] nlohmann::json search_to_json(const SearchOptions& options);

/// Searches with what `inner` measures. Points of candidates that left early hold the samples they
/// got, and a note; those never run are skipped, with the reason.
[[nodiscard]] std::unique_ptr<Executor> make_search_executor(std::unique_ptr<Executor> inner,
                                                             const SearchOptions& options);

}  // namespace spiketune
