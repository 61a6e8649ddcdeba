#include "spiketune/tests/fuzz/targets.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/load.hpp"
#include "spiketune/datasets/readers/aedat4.hpp"
#include "spiketune/datasets/readers/hdf5.hpp"
#include "spiketune/datasets/readers/matrix_market.hpp"
#include "spiketune/datasets/readers/n_mnist.hpp"
#include "spiketune/datasets/readers/readers.hpp"
#include "spiketune/datasets/readers/safetensors.hpp"
#include "spiketune/datasets/readers/smtx.hpp"

namespace spiketune::fuzz {
namespace {

/// Every message must be one for people; it may hold names from the file.
void expect_a_sentence(const Error& error) {
  const std::string_view message = error.what();
  const bool good =
      message.size() > 10 && message.size() < 200000 && error.code() != ErrorCode::internal;
  if (good) return;
  std::fprintf(stderr, "no sentence: %s\n", error.what());
  std::abort();
}

LoadOptions options_for_anything() {
  LoadOptions options;
  options.kind = ValueKind::graded;
  options.storage = DType::f32;
  options.events.steps = 3;
  options.events.crop = {0, 0, 4, 1};  // large sensors would take most of the time
  options.events.downsample = 2;
  return options;
}

template <class Read>
std::string run(Read&& read) {
  try {
    static_cast<void>(to_spikes(read(), options_for_anything()));
    return "";
  } catch (const Error& error) {
    expect_a_sentence(error);
    return error.what();
  }
}

template <Recording (*read)(const ByteSource&)>
std::string run_whole(std::string_view bytes) {
  return run([&] { return read(bytes_of("fuzz", bytes)); });
}

template <Recording (*read)(const ByteSource&, const std::string&)>
std::string run_part(std::string_view bytes) {
  return run([&] { return read(bytes_of("fuzz", bytes), ""); });
}

Recording read_array(const ByteSource& source) {
  return {source.name, read_npy(source)};
}

Recording read_any(const std::string& path, const std::string& member) {
  return read_recording({path, member});
}

/// One file of this process, for libraries that open files themselves; removed at the end.
class ScratchFile {
 public:
  ScratchFile()
      : path_(std::filesystem::temp_directory_path() /
              ("spiketune_fuzz_" + std::to_string(getpid()))) {}
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  std::string with(std::string_view bytes) const {
    std::ofstream file(path_, std::ios::binary);
    file << bytes;
    file.close();
    if (!file) std::abort();
    return path_.string();
  }

 private:
  std::filesystem::path path_;
};

template <Recording (*read)(const std::string&, const std::string&)>
std::string run_file(std::string_view bytes) {
  static const ScratchFile file;
  return run([&] { return read(file.with(bytes), ""); });
}

constexpr std::array<Target, 8> all_targets{{
    {"npy", run_whole<read_array>},
    {"npz", run_file<read_any>},
    {"hdf5", run_file<read_hdf5>},
    {"aedat4", run_part<read_aedat4>},
    {"matrix_market", run_whole<read_matrix_market>},
    {"smtx", run_whole<read_smtx>},
    {"n_mnist", run_whole<read_n_mnist>},
    {"safetensors", run_part<read_safetensors>},
}};

}  // namespace

std::span<const Target> targets() {
  return all_targets;
}

}  // namespace spiketune::fuzz
