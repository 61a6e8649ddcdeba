#include "spiketune/autotune/journal.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "spiketune-journal-" + std::to_string(getpid());
    std::filesystem::remove(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  static json point(std::size_t index) {
    return {{"index", index}, {"status", "ok"}, {"time", 0.1 * static_cast<double>(index)}};
  }
  static void add(Journal& journal, std::initializer_list<std::size_t> indices) {
    std::vector<json> points;
    for (const std::size_t index : indices) points.push_back(point(index));
    journal.append(points);
  }
  std::string message_of(const json& header, bool resume) {
    try {
      const Journal journal(path_, header, resume);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::string path_;
  const json header_ = {{"plan", "abc 1/1"}, {"cpu", "x"}};
};

TEST_F(JournalTest, KeepsPointsAndFindsThemAgain) {
  {
    Journal journal(path_, header_, false);
    add(journal, {3});
    add(journal, {0, 7, 5});
    EXPECT_EQ(json::parse(journal.line(7)), point(7));
  }
  const Journal again(path_, header_, true);
  ASSERT_EQ(again.entries().size(), 4u);
  for (const auto& [index, entry] : again.entries()) {
    EXPECT_EQ(json::parse(again.line(index)), point(index));
  }
}

TEST_F(JournalTest, ATornLineIsCutOffWhereverItIsTorn) {
  {
    Journal journal(path_, header_, false);
    add(journal, {1});
    add(journal, {2, 3});
  }
  std::ifstream file(path_, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  const std::size_t first = whole.find('\n') + 1;
  const std::size_t second = whole.find('\n', first) + 1;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    Journal journal(path_, header_, true);
    const std::size_t expected = size < second ? 0 : size < whole.size() ? 1 : 3;
    ASSERT_EQ(journal.entries().size(), expected) << size;
    add(journal, {9});
    ASSERT_EQ(json::parse(journal.line(9)), point(9));
    if (expected > 0) {
      ASSERT_EQ(json::parse(journal.line(1)), point(1));
    }
  }
}

TEST_F(JournalTest, RefusesWhatItMustNotMix) {
  {
    Journal journal(path_, header_, false);
    EXPECT_NE(message_of(header_, true).find("another process"), std::string::npos);
    add(journal, {1});
  }
  EXPECT_NE(message_of(header_, false).find("--resume"), std::string::npos);
  EXPECT_NE(message_of({{"plan", "other"}, {"cpu", "x"}}, true).find("its plan is"),
            std::string::npos);
  EXPECT_NE(message_of({{"plan", "abc 1/1"}, {"cpu", "y"}}, true).find("its cpu is"),
            std::string::npos);
  EXPECT_EQ(message_of(header_, true), "");
  std::ofstream(path_) << "{\"a\": 1}\n";
  EXPECT_NE(message_of(header_, true).find("not the journal"), std::string::npos);
  std::ofstream(path_) << "\x01\x02garbage\n\n\n";
  EXPECT_NE(message_of(header_, true).find("not the journal"), std::string::npos);
}

TEST_F(JournalTest, AJournalWithoutPointsIsInNobodysWay) {
  { const Journal journal(path_, header_, false); }
  EXPECT_EQ(message_of(header_, false), "");
}

TEST_F(JournalTest, ANamelessOneWorksTheSame) {
  Journal journal;
  add(journal, {4});
  EXPECT_EQ(json::parse(journal.line(4)), point(4));
}

}  // namespace
}  // namespace spiketune
