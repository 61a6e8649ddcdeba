#pragma once
/// \file
/// One question a sweep asks: Y[M,N] = S[M,K]·W[K,N] of these shapes, types and structure.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "spiketune/core/dtype.hpp"
#include "spiketune/core/shape.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

/// The fields of `problem` in a report (results/schema/report.schema.json).
struct Problem {
  std::string workload = "synthetic";  ///< where it comes from, for people
  std::uint32_t timesteps = 1;
  std::uint64_t rows = 0;  ///< batch × positions of one time step; M = timesteps · rows
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  double density = 0;                 ///< share of nonzeros asked for, or found in a trace
  std::string pattern = "bernoulli";  ///< a generator's name, or "trace"
  nlohmann::json pattern_params = nlohmann::json::object();  ///< of the generator; may be empty
  RowOrder row_order = RowOrder::time_major;                 ///< of S as it arrives, and of Y
  DType input = DType::u8;                                   ///< storage of S
  ValueKind value = ValueKind::binary;
  DType weights = DType::f16;
  DType output = DType::f32;
  std::uint32_t amortise = 1;  ///< products that reuse one encoding

  [[nodiscard]] SpikeShape shape() const { return {timesteps, rows, k}; }
  [[nodiscard]] std::uint64_t m() const { return shape().m(); }
  bool operator==(const Problem&) const = default;
};

/// `pattern_params` is left out where it is empty.
[[nodiscard]] nlohmann::json problem_to_json(const Problem& problem);
/// Absent fields keep their defaults. Throws Error(parse) for a wrong type, an unknown name or an
/// unknown field, and Error(invalid_argument) as check_problem does.
[[nodiscard]] Problem problem_from_json(const nlohmann::json& json);

/// Throws Error(invalid_argument) where the input cannot hold the kind of spikes, the output is
/// neither f32 nor of W's type, a dimension is out of range, or a count makes no sense.
void check_problem(const Problem& problem);

/// One line: "uniform 4096 × 1024 × 512, 5 % bernoulli, T = 4 time-major, u8 · f16 → f32".
[[nodiscard]] std::string problem_name(const Problem& problem);
/// The same for equal problems, different for others; keys of maps.
[[nodiscard]] std::string problem_key(const Problem& problem);

/// "0.5 %", with up to three significant digits.
[[nodiscard]] std::string percent(double share);

}  // namespace spiketune
