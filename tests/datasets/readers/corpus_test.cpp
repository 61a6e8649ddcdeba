// The fuzzers' corpus through the fuzzers' functions, in every build; and each of its files cut
// short at every byte, or damaged.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "spiketune/datasets/readers/readers.hpp"
#include "spiketune/tests/datasets/files.hpp"
#include "spiketune/tests/fuzz/targets.hpp"

namespace spiketune::test {
namespace {

namespace fs = std::filesystem;

class Corpus : public ::testing::TestWithParam<fuzz::Target> {
 protected:
  void SetUp() override {
    const fs::path folder =
        fs::path(SPIKETUNE_SOURCE_DIR) / "tests/fuzz/corpus" / std::string(GetParam().name);
    for (const auto& entry : fs::directory_iterator(folder)) {
      std::ifstream file(entry.path(), std::ios::binary);
      files_.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      valid_.push_back(entry.path().filename().string().starts_with("seed_"));
    }
    ASSERT_FALSE(files_.empty()) << folder;
    for (const Reader& reader : readers()) {
      if (!reader.missing.empty() && reader.endings.find(GetParam().name) != reader.endings.npos) {
        GTEST_SKIP() << reader.missing;
      }
    }
  }
  /// Reading in a child takes milliseconds: every so many bytes then.
  [[nodiscard]] std::size_t stride() const { return GetParam().name == "hdf5" ? 97 : 1; }

  std::vector<std::string> files_;
  std::vector<bool> valid_;  ///< written as such, and not found by a fuzzer
};

TEST_P(Corpus, ValidFilesAreRead) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const std::string message = GetParam().run(files_[i]);
    if (valid_[i]) {
      EXPECT_EQ(message, "");
    }
  }
}

// A target aborts on anything but spikes or a sentence, so to come back is the assertion.

TEST_P(Corpus, CutShortIsReadOrRefused) {
  for (const std::string& file : files_) {
    for (std::size_t size = 0; size < file.size(); size += stride()) {
      static_cast<void>(GetParam().run(std::string_view(file).substr(0, size)));
    }
  }
}

TEST_P(Corpus, DamagedIsReadOrRefused) {
  std::mt19937 random(7);
  const std::size_t times = 200 / stride() + 5;
  for (const std::string& file : files_) {
    for (std::size_t i = 0; i < times; ++i) {
      static_cast<void>(GetParam().run(damaged(file, random, file.size())));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Readers, Corpus,
                         ::testing::ValuesIn(fuzz::targets().begin(), fuzz::targets().end()),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace spiketune::test
