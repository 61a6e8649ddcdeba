#pragma once
/// \file
/// Points of a report in the results format of autotuners, T4, which Kernel Tuner and the
/// benchmark suites around it read (github.com/odgaard/TuningSchema;
/// results/schema/t4.schema.json).

#include <nlohmann/json.hpp>

namespace spiketune {

/// One result for each point, in the report's order:
///   configuration  the problem, backend, format, kernel and, with `config_` before them, the
///                  fields of the config
///   times          runtimes: samples of the objective, in ms; what else T4 asks for is not known
///                  of a point, and 0
///   invalidity     correct; constraints (skipped); correctness (wrong); timeout or runtime
///   (failed) measurements   the medians that there are, in µs objectives     total_us, or
///   encode_us where there was no product
[[nodiscard]] nlohmann::json t4_results(const nlohmann::json& report);

}  // namespace spiketune
