#include "spiketune/autotune/t4.hpp"

#include <array>
#include <string>
#include <string_view>

namespace spiketune {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> timings{
    "total_us", "encode_us", "compute_us", "total_hot_us", "encode_hot_us", "compute_hot_us"};

bool has_time(const json& point, std::string_view name) {
  const auto found = point.find(name);
  return found != point.end() && found->is_object();
}

json configuration_of(const json& point) {
  json result = point.at("problem");
  const json pattern = result.value("pattern_params", json::object());
  result.erase("pattern_params");
  for (const auto& [name, value] : pattern.items()) result["pattern_" + name] = value;
  for (const char* name : {"backend", "format", "kernel"}) result[name] = point.at(name);
  for (const auto& [name, value] : point.at("config").items()) result["config_" + name] = value;
  return result;
}

std::string invalidity_of(const json& point) {
  const std::string status = point.at("status");
  if (status == "ok") return "correct";
  if (status == "skipped") return "constraints";
  if (status == "wrong") return "correctness";
  const json& reason = point.at("reason");
  const bool late =
      reason.is_string() && reason.get<std::string>().find("--deadline") != std::string::npos;
  return late ? "timeout" : "runtime";
}

json runtimes_of(const json& point, std::string_view objective) {
  json result = json::array();
  if (!has_time(point, objective)) return result;
  for (const json& sample : point.at(objective).at("samples")) {
    result.push_back(sample.get<double>() / 1000);
  }
  return result;
}

json measurements_of(const json& point) {
  json result = json::array();
  for (const std::string_view name : timings) {
    if (!has_time(point, name)) continue;
    result.push_back({{"name", name}, {"value", point.at(name).at("median")}, {"unit", "us"}});
  }
  return result;
}

}  // namespace

json t4_results(const json& report) {
  json results = json::array();
  for (const json& point : report.at("points")) {
    const bool encode_only = has_time(point, "encode_us") && !has_time(point, "total_us");
    const std::string_view objective = encode_only ? "encode_us" : "total_us";
    const std::string invalidity = invalidity_of(point);
    results.push_back({{"timestamp", report.at("created")},
                       {"configuration", configuration_of(point)},
                       {"times",
                        {{"compilation_time", 0},
                         {"runtimes", runtimes_of(point, objective)},
                         {"framework", 0},
                         {"search_algorithm", 0},
                         {"validation", 0}}},
                       {"invalidity", invalidity},
                       {"correctness", invalidity == "correct" ? 1 : 0},
                       {"measurements", measurements_of(point)},
                       {"objectives", {objective}}});
  }
  return {{"schema_version", "1.0.0"}, {"results", std::move(results)}};
}

}  // namespace spiketune
