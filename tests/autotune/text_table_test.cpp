#include "spiketune/autotune/text_table.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace spiketune {
namespace {

TEST(TextTable, AlignsAndRules) {
  EXPECT_EQ(render_text_table({{"name", "µs"}, {"a", "1"}, {"bb", "23"}}, {0}, 80),
            "name  µs\n────────\na      1\nbb    23\n");
  EXPECT_EQ(render_text_table({}, {0}, 80), "");
}

TEST(TextTable, TheWidestTextGivesWayInTheMiddle) {
  const std::string table = render_text_table(
      {{"name", "other", "x"}, {std::string(40, 'a') + "z", "short", "12345"}}, {0, 1}, 30);
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::size_t columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;
    EXPECT_LE(columns, 30u) << line;
  }
  EXPECT_NE(table.find("a…"), std::string::npos);
  EXPECT_NE(table.find("z  short"), std::string::npos);
  EXPECT_NE(table.find("12345"), std::string::npos);
}

TEST(TextTable, TerminalsGetNoCommandsFromNames) {
  const std::string table = render_text_table({{"a"}, {"x\x1b[31m\ny"}}, {0}, 80);
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
  EXPECT_NE(table.find("x?[31m?y"), std::string::npos);
}

TEST(TextTable, MarkdownCellsAreEscaped) {
  EXPECT_EQ(markdown_row({"a|b", "<c>\nd"}), "| a\\|b | &lt;c&gt; d |\n");
}

}  // namespace
}  // namespace spiketune
