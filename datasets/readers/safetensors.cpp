#include "spiketune/datasets/readers/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/datasets/readers/readers.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// The limit of the format's own library.
constexpr std::uint64_t longest_header = 100'000'000;
constexpr NpyType bf16_type{'B', 2};  // only until it is widened

constexpr std::array<std::pair<std::string_view, NpyType>, 13> types{{{"BOOL", {'b', 1}},
                                                                      {"U8", {'u', 1}},
                                                                      {"U16", {'u', 2}},
                                                                      {"U32", {'u', 4}},
                                                                      {"U64", {'u', 8}},
                                                                      {"I8", {'i', 1}},
                                                                      {"I16", {'i', 2}},
                                                                      {"I32", {'i', 4}},
                                                                      {"I64", {'i', 8}},
                                                                      {"F16", {'f', 2}},
                                                                      {"BF16", bf16_type},
                                                                      {"F32", {'f', 4}},
                                                                      {"F64", {'f', 8}}}};

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

json read_header(const ByteSource& source, std::uint64_t& length) {
  std::array<unsigned char, 8> bytes{};
  read_exactly(source, std::as_writable_bytes(std::span(bytes)));
  length = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) length = length << 8 | bytes[i];
  if (length > longest_header || length > source.size - bytes.size()) {
    fail(source.name, fmt::format("claims a header of {} bytes in a file of {}, or is no "
                                  "safetensors file",
                                  length, source.size));
  }
  std::string text(length, '\0');
  read_exactly(source, std::as_writable_bytes(std::span(text)));
  json header = json::parse(text, nullptr, false);
  if (!header.is_object()) fail(source.name, "its header is no JSON object");
  return header;
}

std::vector<std::uint64_t> numbers(const json& tensor, const char* field, const std::string& name) {
  const auto found = tensor.find(field);
  if (found == tensor.end() || !found->is_array()) {
    fail(name, fmt::format("its header has no list '{}'", field));
  }
  std::vector<std::uint64_t> result;
  for (const json& value : *found) {
    if (!value.is_number_unsigned()) {
      fail(name, fmt::format("'{}' holds something that is no number of 64 bits", field));
    }
    result.push_back(value.get<std::uint64_t>());
  }
  return result;
}

NpyType type_of(const json& tensor, const std::string& name) {
  const auto found = tensor.find("dtype");
  if (found == tensor.end() || !found->is_string()) fail(name, "its header has no text 'dtype'");
  const auto& text = found->get_ref<const std::string&>();
  const auto* known = std::find_if(types.begin(), types.end(),
                                   [&](const auto& type) { return type.first == text; });
  if (known == types.end()) {
    fail(name, fmt::format("elements of '{:.20}' are not read", text), ErrorCode::unsupported);
  }
  return known->second;
}

/// bfloat16 is the upper half of a float.
NpyArray widened(const NpyArray& array) {
  NpyArray result{{'f', 4}, array.shape, false, std::vector<std::byte>(2 * array.data.size())};
  for (std::size_t i = 0; i < array.data.size(); i += 2) {
    std::memcpy(&result.data[2 * i + 2], &array.data[i], 2);
  }
  return result;
}

/// Bytes that shape and type need; nothing where they exceed 64 bits.
bool has_bytes(const NpyArray& array, std::uint64_t bytes) {
  std::uint64_t product = array.type.size;
  for (const std::uint64_t length : array.shape) {
    if (__builtin_mul_overflow(product, length, &product)) return false;
  }
  return product == bytes;
}

}  // namespace

Recording read_safetensors(const ByteSource& source, const std::string& member) {
  std::uint64_t header_bytes = 0;
  json header = read_header(source, header_bytes);
  header.erase("__metadata__");
  std::vector<std::string> names;
  for (const auto& entry : header.items()) names.push_back(entry.key());
  const std::string chosen = choose_member(names, member, source.name);
  const std::string name = fmt::format("{}, tensor '{}'", source.name, chosen);
  const json& tensor = header.at(chosen);
  if (!tensor.is_object()) fail(name, "its header is no JSON object");

  NpyArray array;
  array.type = type_of(tensor, name);
  array.shape = numbers(tensor, "shape", name);
  const auto offsets = numbers(tensor, "data_offsets", name);
  const std::uint64_t present = source.size - 8 - header_bytes;
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > present) {
    fail(name, fmt::format("its data_offsets ({}) are not in the {} bytes of data",
                           fmt::join(offsets, ", "), present));
  }
  const std::uint64_t bytes = offsets[1] - offsets[0];
  if (!has_bytes(array, bytes)) {
    fail(name,
         fmt::format("shape ({}) does not take {} bytes", fmt::join(array.shape, ", "), bytes));
  }
  skip(source, offsets[0]);
  array.data.resize(bytes);
  read_exactly(source, array.data);
  if (array.type == bf16_type) array = widened(array);
  return {name, std::move(array)};
}

}  // namespace spiketune
