#pragma once
/// \file
/// parallel_for over OpenMP threads; the host backend's only way to use several cores.

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "spiketune/core/context.hpp"

namespace spiketune {

[[nodiscard]] inline int thread_count(const HostContext& context) {
  return context.threads > 0 ? context.threads : omp_get_max_threads();
}

/// Calls body(begin, end) on disjoint ranges that cover [0, count), each a multiple of `grain` long
/// but for the last. The body must not throw.
template <class Body>
void parallel_ranges(const HostContext& context, std::uint64_t count, std::uint64_t grain,
                     Body&& body) {
  const std::uint64_t pieces = (count + grain - 1) / grain;
  const auto threads = static_cast<int>(
      std::min<std::uint64_t>(static_cast<std::uint64_t>(thread_count(context)), pieces));
  if (threads <= 1) {
    if (count > 0) body(std::uint64_t{0}, count);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::uint64_t piece = 0; piece < pieces; ++piece) {
    body(piece * grain, std::min(count, (piece + 1) * grain));
  }
}

/// Calls body(i) for each i in [0, count). The body must not throw.
template <class Body>
void parallel_for(const HostContext& context, std::uint64_t count, std::uint64_t grain,
                  Body&& body) {
  parallel_ranges(context, count, grain, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace spiketune
