#include "spiketune/datasets/readers/readers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <utility>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/npz.hpp"
#include "spiketune/datasets/readers/aedat4.hpp"
#include "spiketune/datasets/readers/hdf5.hpp"
#include "spiketune/datasets/readers/matrix_market.hpp"
#include "spiketune/datasets/readers/n_mnist.hpp"
#include "spiketune/datasets/readers/safetensors.hpp"
#include "spiketune/datasets/readers/smtx.hpp"
#include "spiketune/datasets/to_spikes.hpp"

namespace spiketune {
namespace {

using namespace std::string_view_literals;

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

void expect_no_member(const std::string& path, const std::string& member) {
  if (!member.empty()) {
    fail(path, fmt::format("holds one array, so it has no member '{}'", member),
         ErrorCode::invalid_argument);
  }
}

/// A reader of a source with nothing to choose from, as one of a path.
template <Recording (*read)(const ByteSource&)>
Recording read_whole(const std::string& path, const std::string& member) {
  expect_no_member(path, member);
  return read(open_file(path));
}

template <Recording (*read)(const ByteSource&, const std::string&)>
Recording read_part(const std::string& path, const std::string& member) {
  return read(open_file(path), member);
}

Recording read_array(const ByteSource& source) {
  return {source.name, read_npy(source)};
}

/// An array whose member `shape` is another than its own holds packed bits.
Recording read_archive(const std::string& path, const std::string& wanted) {
  const NpzFile file(path);
  const std::string member = choose_member(file.names(), wanted, path);
  Recording recording{fmt::format("{}, member '{}'", path, member), NpyArray{}};
  NpyArray array = file.read(member);
  if (file.contains("shape") && member != "shape") {
    const std::vector<std::uint64_t> shape = read_sizes(file, "shape");
    if (shape != array.shape) {
      recording.packed_length = packed_length(shape, array.shape, recording.name);
    }
  }
  recording.content = std::move(array);
  return recording;
}

#if defined(SPIKETUNE_HAVE_HDF5)
constexpr std::string_view no_hdf5;
#else
constexpr std::string_view no_hdf5 =
    "it was built without HDF5; install libhdf5-dev and build again";
#endif
#if defined(SPIKETUNE_HAVE_AEDAT4)
constexpr std::string_view no_aedat4;
#else
constexpr std::string_view no_aedat4 =
    "it was built without FlatBuffers, LZ4 or Zstandard; install libflatbuffers-dev, "
    "flatbuffers-compiler, liblz4-dev and libzstd-dev and build again";
#endif

constexpr std::array<Reader, 8> all_readers{{
    {"NumPy array", ".npy", "\x93NUMPY", "", read_whole<read_array>},
    {"NumPy archive", ".npz", "PK"sv, "", read_archive},
    {"HDF5", ".h5 .hdf5 .nir", "\x89HDF\r\n\x1a\n", no_hdf5, read_hdf5},
    {"AEDAT4", ".aedat4", "#!AER-DAT4", no_aedat4, read_part<read_aedat4>},
    {"Matrix Market", ".mtx", "%%MatrixMarket", "", read_whole<read_matrix_market>},
    {"DLMC", ".smtx", "", "", read_whole<read_smtx>},
    {"N-MNIST", ".bin", "", "", read_whole<read_n_mnist>},
    {"safetensors", ".safetensors", "", "", read_part<read_safetensors>},
}};

bool has_ending(const std::string& path, std::string_view endings) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  while (!endings.empty()) {
    const std::size_t blank = std::min(endings.find(' '), endings.size());
    if (!ending.empty() && endings.substr(0, blank) == ending) return true;
    endings.remove_prefix(std::min(blank + 1, endings.size()));
  }
  return false;
}

const Reader& reader_of(const std::string& path) {
  const ByteSource source = open_file(path);
  std::array<char, 16> start{};
  const std::size_t count = source.read(std::as_writable_bytes(std::span(start)));
  const std::string_view text(start.data(), count);
  if (has_ending(path, ".pt .pth")) {
    fail(path, "is PyTorch's; turn it into an .npz with scripts/pt_to_npz.py first",
         ErrorCode::unsupported);
  }
  if (text.starts_with("#!AER-DAT") && !text.starts_with("#!AER-DAT4")) {
    fail(path, "is an older AEDAT than version 4, which is the one that is read",
         ErrorCode::unsupported);
  }
  for (const Reader& reader : all_readers) {
    if (!reader.magic.empty() && text.starts_with(reader.magic)) return reader;
  }
  for (const Reader& reader : all_readers) {
    if (!has_ending(path, reader.endings)) continue;
    if (reader.magic.empty()) return reader;
    fail(path, fmt::format("is no {} file, whatever its ending: it does not start like one",
                           reader.name));
  }
  std::vector<std::string> kinds;
  for (const Reader& reader : all_readers) {
    kinds.push_back(fmt::format("{} ({})", reader.name, reader.endings));
  }
  fail(path, fmt::format("is none of the kinds that are read: {}", fmt::join(kinds, ", ")));
}

}  // namespace

std::span<const Reader> readers() {
  return all_readers;
}

FileMember split_member(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return {path, ""};
  for (std::size_t at = path.find(':'); at != path.npos; at = path.find(':', at + 1)) {
    if (at + 1 == path.size()) break;
    const std::string file = path.substr(0, at);
    if (std::filesystem::is_regular_file(file, ignored)) return {file, path.substr(at + 1)};
  }
  return {path, ""};
}

std::string choose_member(std::span<const std::string> names, const std::string& wanted,
                          const std::string& file) {
  const auto contains = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (wanted.empty() && contains("spikes")) return "spikes";
  if (wanted.empty() && names.size() == 1) return names.front();
  if (!wanted.empty() && contains(wanted)) return wanted;
  constexpr std::size_t most_listed = 20;
  const auto listed = names.first(std::min(names.size(), most_listed));
  const std::string list = fmt::format("there are '{}'{}", fmt::join(listed, "', '"),
                                       names.size() > most_listed ? " and more" : "");
  if (wanted.empty()) {
    fail(file,
         names.empty() ? "holds nothing that could be spikes"
                       : "name the member that holds the spikes; " + list,
         names.empty() ? ErrorCode::parse : ErrorCode::invalid_argument);
  }
  fail(fmt::format("{}, member '{}'", file, wanted),
       names.empty() ? "is missing" : "is missing; " + list);
}

Recording read_recording(const FileMember& from) {
  const Reader& reader = reader_of(from.file);
  if (!reader.missing.empty()) {
    fail(from.file, fmt::format("spiketune cannot read {}: {}", reader.name, reader.missing),
         ErrorCode::unsupported);
  }
  return reader.read(from.file, from.member);
}

}  // namespace spiketune
