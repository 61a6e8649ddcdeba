#include "spiketune/core/dtype.hpp"

#include <array>
#include <string>
#include <utility>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {
constexpr std::array<std::pair<DType, std::string_view>, 12> names{{{DType::bit, "bit"},
                                                                    {DType::u2, "u2"},
                                                                    {DType::u8, "u8"},
                                                                    {DType::u16, "u16"},
                                                                    {DType::u32, "u32"},
                                                                    {DType::u64, "u64"},
                                                                    {DType::f16, "f16"},
                                                                    {DType::bf16, "bf16"},
                                                                    {DType::f32, "f32"},
                                                                    {DType::s8, "s8"},
                                                                    {DType::s4, "s4"},
                                                                    {DType::e4m3, "e4m3"}}};
}

std::string_view to_string(DType type) {
  for (const auto& [value, name] : names) {
    if (value == type) return name;
  }
  return "?";
}

DType parse_dtype(std::string_view name) {
  for (const auto& [value, known] : names) {
    if (known == name) return value;
  }
  std::string message = "unknown element type '" + std::string(name) + "'; known are";
  for (const auto& entry : names) message += " " + std::string(entry.second);
  throw Error(ErrorCode::parse, message);
}

}  // namespace spiketune
