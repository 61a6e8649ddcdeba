#pragma once
/// \file
/// What the time of a candidate is proportional to: the terms of the planner's cost model
/// (planner.hpp), from the shape, the density and how the kernel cuts the product for the
/// multiprocessors of a device. Rates are not known here; they are fitted.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/problem.hpp"

namespace spiketune {

/// A term: a name for people and an amount, in units that make rates comparable.
struct WorkTerm {
  const char* name;
  double amount;
};

/// How well rows of `count` elements are aligned: 0: whole pieces of 16 elements, 1: of 8, 2:
/// neither. What is read in large pieces, and what cuBLASLt offers, changes with it.
[[nodiscard]] int oddness(std::uint32_t count);

/// Whether a kernel takes a shape, as far as that is not the same for all shapes of such types.
[[nodiscard]] bool can_run(const std::string& format, const std::string& kernel,
                           const nlohmann::json& config, const Problem& problem);

/// Of an encode.
[[nodiscard]] std::vector<WorkTerm> encode_work(const Problem& problem);

/// Of one product. `units`: multiprocessors of the device; 0: not known. Kernels that are not known
/// have the terms of all kinds.
[[nodiscard]] std::vector<WorkTerm> product_work(const std::string& format,
                                                 const std::string& kernel,
                                                 const nlohmann::json& config,
                                                 const Problem& problem, double units);

}  // namespace spiketune
