#pragma once
/// \file
/// What tests of loaders share: files that disappear, hand-written arrays, and damage.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/npy.hpp"

namespace spiketune::test {

/// A path in the temporary folder, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& ending) {
    static int count = 0;
    path_ =
        (std::filesystem::temp_directory_path() /
         ("spiketune_test_" + std::to_string(getpid()) + "_" + std::to_string(count++) + ending))
            .string();
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  [[nodiscard]] std::string read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

/// The code of the Error that `call` throws; none where it returns.
inline std::optional<ErrorCode> error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_GT(std::string(error.what()).size(), 10u);
    return error.code();
  }
  return std::nullopt;
}

inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

template <class T>
NpyArray array_of(std::vector<std::uint64_t> shape, const std::vector<T>& values,
                  NpyType type = npy_type<T>) {
  return make_npy<T>(std::move(shape), std::span<const T>(values), type);
}

/// Element (t, row, k) of a host tensor.
inline float element(const SpikeView& spikes, std::uint64_t t, std::uint64_t row, std::uint32_t k) {
  const std::uint64_t m = spikes.row_order == RowOrder::time_major
                              ? t * spikes.shape.rows + row
                              : row * spikes.shape.timesteps + t;
  return load_spike(spikes.data, spikes.storage, spikes.shape.k, m, k);
}

/// All elements, time-major.
inline std::vector<float> elements(const SpikeView& spikes) {
  std::vector<float> result;
  for (std::uint64_t t = 0; t < spikes.shape.timesteps; ++t) {
    for (std::uint64_t row = 0; row < spikes.shape.rows; ++row) {
      for (std::uint32_t k = 0; k < spikes.shape.k; ++k) {
        result.push_back(element(spikes, t, row, k));
      }
    }
  }
  return result;
}

/// One seeded mutation: bytes changed, cut out, repeated, or numbers made huge.
inline std::string damaged(std::string bytes, std::mt19937& random, std::size_t within) {
  const auto at = [&] { return random() % std::min(within, bytes.size()); };
  const int times = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < times && !bytes.empty(); ++i) {
    switch (random() % 5) {
      case 0:
        bytes[at()] = static_cast<char>(random());
        break;
      case 1:
        bytes[at()] ^= static_cast<char>(1u << random() % 8);
        break;
      case 2:
        bytes.erase(at(), 1 + random() % 8);
        break;
      case 3: {
        const std::size_t from = at();
        bytes.insert(from, bytes.substr(from, 1 + random() % 16));
        break;
      }
      default: {
        static const char* const pieces[] = {
            "99999999999",      "0",    "(",   "),", "-1", "'", "{", "18446744073709551615",
            "\xff\xff\xff\xff", "True", "<f8", "|O", ",,"};
        bytes.insert(at(), pieces[random() % std::size(pieces)]);
      }
    }
  }
  return bytes;
}

}  // namespace spiketune::test
