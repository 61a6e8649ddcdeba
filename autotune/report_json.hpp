#pragma once
/// \file
/// Reading a report that may lack anything: each accessor gives an empty value instead of throwing
/// where the key is missing, null or of another type.

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace spiketune::report_json {

[[nodiscard]] inline const nlohmann::json& child(const nlohmann::json& object, const char* key) {
  static const nlohmann::json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

/// The finite number under `key`.
[[nodiscard]] inline std::optional<double> number(const nlohmann::json& object, const char* key) {
  const auto& value = child(object, key);
  if (!value.is_number()) return std::nullopt;
  const double result = value.get<double>();
  return std::isfinite(result) ? std::optional(result) : std::nullopt;
}

/// The string under `key`, or an empty one.
[[nodiscard]] inline std::string text(const nlohmann::json& object, const char* key) {
  const auto& value = child(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

[[nodiscard]] inline bool flag(const nlohmann::json& object, const char* key) {
  const auto& value = child(object, key);
  return value.is_boolean() && value.get<bool>();
}

}  // namespace spiketune::report_json
