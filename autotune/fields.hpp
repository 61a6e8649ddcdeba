#pragma once
/// \file
/// Plain aggregates with `fields(self, visit)` to JSON and back.

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "spiketune/core/dtype.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {

template <class Fields>
[[nodiscard]] nlohmann::json fields_to_json(const Fields& fields) {
  nlohmann::json json = nlohmann::json::object();
  Fields::fields(fields, [&](const char* name, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, DType>) {
      json[name] = std::string(to_string(value));
    } else {
      json[name] = value;
    }
  });
  return json;
}

/// Absent fields keep their defaults. Throws Error(parse) for a wrong type, and for an unknown
/// field unless `ignore_unknown` (a config is stored together with the format's parameters).
template <class Fields>
[[nodiscard]] Fields fields_from_json(const nlohmann::json& json, bool ignore_unknown = false) {
  Fields fields;
  std::size_t known = 0;
  try {
    Fields::fields(fields, [&](const char* name, auto& value) {
      const auto found = json.find(name);
      if (found == json.end()) return;
      ++known;
      if constexpr (std::is_same_v<std::decay_t<decltype(value)>, DType>) {
        value = parse_dtype(found->template get<std::string>());
      } else {
        found->get_to(value);
      }
    });
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCode::parse, "config " + json.dump() + ": " + error.what());
  }
  if (!ignore_unknown && known != json.size()) {
    throw Error(ErrorCode::parse, "config " + json.dump() + " has a field that is not one of " +
                                      fields_to_json(fields).dump());
  }
  return fields;
}

}  // namespace spiketune
