#include "spiketune/autotune/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 14> known_fields{
    "workload",  "timesteps", "rows",  "k",       "n",      "density",  "pattern",
    "row_order", "input",     "value", "weights", "output", "amortise", "pattern_params"};

/// Sets `field` from json[name] where that exists.
template <class T>
void read(const json& object, const char* name, T& field) {
  const auto found = object.find(name);
  if (found != object.end()) field = read_exactly<T>(*found, name);
}

template <class T, class Parse>
void read_name(const json& object, const char* name, T& field, Parse&& parse) {
  const auto found = object.find(name);
  if (found != object.end()) field = parse(read_exactly<std::string>(*found, name));
}

}  // namespace

json problem_to_json(const Problem& problem) {
  json result = {{"workload", problem.workload},
                 {"timesteps", problem.timesteps},
                 {"rows", problem.rows},
                 {"k", problem.k},
                 {"n", problem.n},
                 {"density", problem.density},
                 {"pattern", problem.pattern},
                 {"row_order", std::string(to_string(problem.row_order))},
                 {"input", std::string(to_string(problem.input))},
                 {"value", std::string(to_string(problem.value))},
                 {"weights", std::string(to_string(problem.weights))},
                 {"output", std::string(to_string(problem.output))},
                 {"amortise", problem.amortise}};
  if (!problem.pattern_params.empty()) result["pattern_params"] = problem.pattern_params;
  return result;
}

Problem problem_from_json(const json& object) {
  if (!object.is_object()) throw Error(ErrorCode::parse, "a problem must be a JSON object");
  for (const auto& [key, value] : object.items()) {
    if (std::find(known_fields.begin(), known_fields.end(), key) == known_fields.end()) {
      throw Error(ErrorCode::parse, "a problem has no field '" + key + "'");
    }
  }
  Problem problem;
  try {
    read(object, "workload", problem.workload);
    read(object, "timesteps", problem.timesteps);
    read(object, "rows", problem.rows);
    read(object, "k", problem.k);
    read(object, "n", problem.n);
    read(object, "density", problem.density);
    read(object, "pattern", problem.pattern);
    read(object, "pattern_params", problem.pattern_params);
    read_name(object, "row_order", problem.row_order, parse_row_order);
    read_name(object, "input", problem.input, parse_dtype);
    read_name(object, "value", problem.value, parse_value_kind);
    read_name(object, "weights", problem.weights, parse_dtype);
    read_name(object, "output", problem.output, parse_dtype);
    read(object, "amortise", problem.amortise);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::parse, "problem " + object.dump() + ": " + error.what());
  }
  check_problem(problem);
  return problem;
}

void check_problem(const Problem& problem) {
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "problem '" + problem.workload + "': " + why);
  };
  if (problem.timesteps == 0) fail("timesteps must be at least 1");
  if (problem.amortise == 0) fail("amortise must be at least 1");
  if (!(problem.density >= 0 && problem.density <= 1)) {
    fail(fmt::format("density {} is not between 0 and 1", problem.density));
  }
  if (!is_floating(problem.weights) && !is_quantised(problem.weights)) {
    fail("weights must be f32, f16, bf16, s8, s4 or e4m3");
  }
  if (const std::string why = why_not_types(problem.weights, problem.output); !why.empty()) {
    fail("weights " + std::string(to_string(problem.weights)) + ", output " +
         std::string(to_string(problem.output)) + ": " + why);
  }
  if (problem.n == std::numeric_limits<std::uint32_t>::max()) fail("N must be below 2^32 - 1");
  // A null view of no rows passes every check but those of types and ranges.
  SpikeView empty{nullptr,       problem.shape(),   problem.input,
                  problem.value, problem.row_order, Space::host};
  if (problem.rows <= std::numeric_limits<std::uint32_t>::max() &&
      problem.m() <= std::numeric_limits<std::uint32_t>::max()) {
    empty.shape.rows = 0;
  }
  check(empty);
}

std::string percent(double share) {
  return fmt::format("{:.3g} %", 100 * share);
}

std::string problem_name(const Problem& problem) {
  std::string name = fmt::format("{} {} × {} × {}, {} {}", problem.workload, problem.m(), problem.k,
                                 problem.n, percent(problem.density), problem.pattern);
  if (!problem.pattern_params.empty()) name += problem.pattern_params.dump();
  if (problem.timesteps > 1) {
    name += fmt::format(", T = {} {}", problem.timesteps, to_string(problem.row_order));
  }
  if (problem.value != ValueKind::binary) name += fmt::format(", {}", to_string(problem.value));
  name += fmt::format(", {} · {} → {}", to_string(problem.input), to_string(problem.weights),
                      to_string(problem.output));
  if (problem.amortise > 1) name += fmt::format(", {} products per encoding", problem.amortise);
  return name;
}

std::string problem_key(const Problem& problem) {
  return problem_to_json(problem).dump();
}

}  // namespace spiketune
