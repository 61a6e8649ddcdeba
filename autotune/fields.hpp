#pragma once
/// \file
/// Plain aggregates with `fields(self, visit)` to JSON and back.

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

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

/// What field `name` says, if it is of that type and fits, without any conversion. Throws
/// Error(parse) that names the field.
template <class T>
[[nodiscard]] T read_exactly(const nlohmann::json& value, const std::string& name) {
  const auto fail = [&](const std::string& wanted) {
    throw Error(ErrorCode::parse, "'" + name + "' must be " + wanted + ", not " + value.dump());
  };
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) fail("true or false");
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    bool fits = false;
    if (value.is_number_integer() && !value.is_number_unsigned() && value.get<std::int64_t>() < 0) {
      if constexpr (std::is_signed_v<T>) {
        fits = value.get<std::int64_t>() >= static_cast<std::int64_t>(Limits::min());
      }
    } else if (value.is_number_integer()) {
      fits = value.get<std::uint64_t>() <= static_cast<std::uint64_t>(Limits::max());
    }
    if (!fits) {
      fail("a whole number from " + std::to_string(Limits::min()) + " to " +
           std::to_string(Limits::max()));
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number()) fail("a number");
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) fail("a string");
  }
  return value.get<T>();
}

/// The same for one value or a list of them, as a list.
template <class T>
[[nodiscard]] std::vector<T> read_one_or_many(const nlohmann::json& value,
                                              const std::string& name) {
  if (!value.is_array()) return {read_exactly<T>(value, name)};
  std::vector<T> values;
  for (const nlohmann::json& one : value) values.push_back(read_exactly<T>(one, name));
  return values;
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
        value = read_exactly<std::decay_t<decltype(value)>>(*found, name);
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
