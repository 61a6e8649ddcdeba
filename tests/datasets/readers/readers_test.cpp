// Readers of files that are easily written by hand, and what all readers share. Other kinds, and
// other programs' files, are in tests/cli/readers_test.py.

#include "spiketune/datasets/readers/readers.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "spiketune/datasets/load.hpp"
#include "spiketune/datasets/npz.hpp"
#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

using namespace std::string_literals;

/// The elements of a file with that content, time-major; `options` for real-valued spikes.
std::vector<float> read(const std::string& ending, const std::string& content,
                        LoadOptions options = {}) {
  const TemporaryFile file(ending);
  file.write(content);
  return elements(load_spikes(file.path(), options).view());
}

LoadOptions graded() {
  LoadOptions options;
  options.kind = ValueKind::graded;
  options.storage = DType::f32;
  return options;
}

/// Error code and message of reading such a file.
std::pair<std::optional<ErrorCode>, std::string> failure(const std::string& ending,
                                                         const std::string& content,
                                                         const LoadOptions& options = {}) {
  const TemporaryFile file(ending);
  file.write(content);
  const auto load = [&] { static_cast<void>(load_spikes(file.path(), options)); };
  return {error_of(load), message_of(load)};
}

void expect_failure(const std::string& ending, const std::string& content, ErrorCode code,
                    const std::string& part, const LoadOptions& options = {}) {
  const auto [found, message] = failure(ending, content, options);
  EXPECT_EQ(found, code) << message;
  EXPECT_NE(message.find(part), message.npos) << message;
}

const std::string mtx = "%%MatrixMarket matrix ";

TEST(MatrixMarket, PatternsAreBinarySpikes) {
  EXPECT_EQ(read(".mtx", mtx + "coordinate pattern general\n% comment\n\n2 3 3\n1 1\n2 3\n1 2\n"),
            (std::vector<float>{1, 1, 0, 0, 0, 1}));
  EXPECT_EQ(read(".mtx", mtx + "coordinate pattern symmetric\r\n2 2 2\r\n2 1\r\n2 2\r\n"),
            (std::vector<float>{0, 1, 1, 1}));
}

TEST(MatrixMarket, ValuesKeepTheirSign) {
  EXPECT_EQ(read(".mtx", mtx + "coordinate real skew-symmetric\n2 2 1\n2 1 -0.5\n", graded()),
            (std::vector<float>{0, 0.5, -0.5, 0}));
  EXPECT_EQ(read(".mtx", mtx + "array integer general\n2 2\n1 2 3 0\n", graded()),
            (std::vector<float>{1, 3, 2, 0}));
  EXPECT_EQ(read(".mtx", mtx + "array real symmetric\n2 2\n1e0 +2 0\n", graded()),
            (std::vector<float>{1, 2, 2, 0}));
}

TEST(MatrixMarket, ErrorsNameTheLine) {
  const std::string head = mtx + "coordinate pattern general\n2 3 2\n";
  expect_failure(".mtx", head + "1 1\n3 1\n", ErrorCode::parse, "line 4: row 3 is not in 1 to 2");
  expect_failure(".mtx", head + "1 1\n0 1\n", ErrorCode::parse, "line 4");
  expect_failure(".mtx", head + "1 1\n1 1\n", ErrorCode::parse, "a second time");
  expect_failure(".mtx", head + "1 1\n", ErrorCode::parse, "the end of the file");
  expect_failure(".mtx", head + "1 1\n2 2\n1 2\n", ErrorCode::parse, "after the last entry");
  expect_failure(".mtx", head + "1 1\n1 x\n", ErrorCode::parse, "but 'x'");
  expect_failure(".mtx", mtx + "coordinate complex general\n1 1 1\n1 1 1 1\n",
                 ErrorCode::unsupported, "complex");
  expect_failure(".mtx", mtx + "coordinate pattern symmetric\n2 3 0\n", ErrorCode::parse,
                 "symmetric matrix of 2 x 3");
  expect_failure(".mtx", mtx + "array pattern general\n2 3\n", ErrorCode::parse, "coordinates");
}

TEST(Readers, SmallFilesDoNotTakeMuchMemory) {
  const LoadOptions options;
  expect_failure(".mtx", mtx + "coordinate pattern general\n4000000000 4000000000 0\n",
                 ErrorCode::unsupported, "more than the");
  expect_failure(".mtx", mtx + "array real general\n18446744073709551615 2\n",
                 ErrorCode::unsupported, "more than the");
  expect_failure(".smtx", "1, 99999999999, 0\n0 0\n", ErrorCode::unsupported, "more than the");
  expect_failure(".smtx", "99999999999, 1, 0\n0 0\n", ErrorCode::parse, "do not fit");
  LoadOptions events;
  events.events.steps = 4'000'000'000;
  expect_failure(".bin", "\1\2\x80\0\1"s, ErrorCode::unsupported, "more than the", events);
  events.events = {};
  events.events.window_us = 1;  // 16 s of 34 x 34 pixels
  expect_failure(".bin", std::string("\1\1\xff\xff\xff", 5), ErrorCode::unsupported,
                 "more than the", events);
}

TEST(Smtx, IsReadAsWritten) {
  EXPECT_EQ(read(".smtx", "3, 4, 5\n0 2 2 5\n0 3 0 1 2\n"),
            (std::vector<float>{1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0}));
  expect_failure(".smtx", "2, 4, 2\n0 2 1\n0 3\n", ErrorCode::parse, "line 2: offset 1 of row 2");
  expect_failure(".smtx", "2, 4, 2\n0 1 1\n0 3\n", ErrorCode::parse, "not at 2 nonzeros");
  expect_failure(".smtx", "2, 4, 2\n0 1 2\n0 4\n", ErrorCode::parse, "line 3: column 4");
  expect_failure(".smtx", "1, 4, 2\n0 2\n3 3\n", ErrorCode::parse, "a second time");
  expect_failure(".smtx", "1, 4, 2\n0 2\n3 2 1\n", ErrorCode::parse, "after the last");
}

std::string safetensors(const std::string& header, const std::string& data) {
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  return length + header + data;
}

TEST(Safetensors, TypesAndNames) {
  const std::string two = R"({"__metadata__":{"a":"b"},)"
                          R"("x":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]},)"
                          R"("y":{"dtype":"BF16","shape":[1,2],"data_offsets":[2,6]}})";
  const std::string file = safetensors(two, "\1\0\x40\xbf\x00\x00"s);
  LoadOptions options = graded();
  options.member = "x";
  EXPECT_EQ(read(".safetensors", file, options), (std::vector<float>{1, 0}));
  options.member = "y";  // 0xbf40
  EXPECT_EQ(read(".safetensors", file, options), (std::vector<float>{-0.75, 0}));
  expect_failure(".safetensors", file, ErrorCode::invalid_argument, "'x', 'y'");
  options.member = "z";
  expect_failure(".safetensors", file, ErrorCode::parse, "'z': is missing", options);

  const TemporaryFile named(".safetensors");
  named.write(file);
  EXPECT_EQ(elements(load_spikes(named.path() + ":x").view()), (std::vector<float>{1, 0}));
  options.member = "x";
  EXPECT_EQ(error_of([&] { static_cast<void>(load_spikes(named.path() + ":x", options)); }),
            ErrorCode::invalid_argument);
}

TEST(Safetensors, HeaderAndDataMustAgree) {
  const auto one = [](const std::string& fields) {
    return safetensors(R"({"x":{)" + fields + "}}", "\1\0"s);
  };
  const std::string offsets = R"("data_offsets":[0,2])";
  expect_failure(".safetensors", one(R"("dtype":"U8","shape":[3],)" + offsets), ErrorCode::parse,
                 "does not take 2 bytes");
  expect_failure(".safetensors",
                 one(R"("dtype":"U8","shape":[4294967296,4294967296,2],)" + offsets),
                 ErrorCode::parse, "does not take 2 bytes");
  expect_failure(".safetensors", one(R"("dtype":"U8","shape":[2],"data_offsets":[1,3])"),
                 ErrorCode::parse, "data_offsets (1, 3)");
  expect_failure(".safetensors", one(R"("dtype":"U8","shape":[-2],)" + offsets), ErrorCode::parse,
                 "'shape'");
  expect_failure(".safetensors", one(R"("dtype":"F8_E4M3","shape":[2],)" + offsets),
                 ErrorCode::unsupported, "F8_E4M3");
  expect_failure(".safetensors", one(R"("shape":[2],)" + offsets), ErrorCode::parse, "dtype");
  expect_failure(".safetensors", std::string(8, '\xff'), ErrorCode::parse, "claims a header");
  expect_failure(".safetensors", safetensors("[1,2", ""), ErrorCode::parse, "no JSON object");
  expect_failure(".safetensors", "\1", ErrorCode::parse, "truncated");
}

TEST(NMnist, RecordsAreEvents) {
  // (x, y, polarity, µs): (1, 2, on, 5), an overflow of 8192 µs, (33, 0, off, 65536 + 3).
  const std::string file(
      "\1\2\x80\0\5"
      "\0\xf0\0\0\0"
      "\x21\0\1\0\3",
      15);
  LoadOptions options;
  options.events.window_us = 10000;
  std::string how;
  const TemporaryFile named(".bin");
  named.write(file);
  const SpikeTensor spikes = load_spikes(named.path(), options, &how);
  const SpikeView view = spikes.view();
  EXPECT_EQ(view.shape, (SpikeShape{8, 1, 2 * 34 * 34}));  // 73,732 µs
  std::uint64_t nonzeros = 0;
  for (const float value : elements(view)) nonzeros += value != 0;
  EXPECT_EQ(nonzeros, 2u);
  EXPECT_EQ(element(view, 0, 0, 34 * 34 + 2 * 34 + 1), 1.0f);
  EXPECT_EQ(element(view, 7, 0, 33), 1.0f);
  EXPECT_NE(how.find("2 events of one sample in 8 steps of 10000 µs"), how.npos) << how;
  expect_failure(".bin", file.substr(0, 14), ErrorCode::parse, "record 2 is truncated", options);
  expect_failure(".bin", file, ErrorCode::invalid_argument, "number of steps");
}

TEST(Readers, KindsAreToldByContentThenByEnding) {
  const TemporaryFile file(".mtx");
  write_npy(file.path(), array_of<std::uint8_t>({1, 2}, {1, 0}));
  EXPECT_EQ(elements(load_spikes(file.path()).view()), (std::vector<float>{1, 0}));
  expect_failure(".mtx", "1, 1, 0\n0 0\n", ErrorCode::parse, "is no Matrix Market file");
  expect_failure(".txt", "hello", ErrorCode::parse, "is none of the kinds that are read");
  expect_failure("", "", ErrorCode::parse, "is none of the kinds that are read");
  expect_failure(".pt", "PK\3\4", ErrorCode::unsupported, "scripts/pt_to_npz.py");
  expect_failure(".aedat", "#!AER-DAT2.0\r\n", ErrorCode::unsupported, "older AEDAT");
  EXPECT_EQ(error_of([] { static_cast<void>(load_spikes("/nonexistent.h5:/a")); }), ErrorCode::io);
}

TEST(Readers, AKindThatThisBuildLacksSaysSo) {
  for (const Reader& reader : readers()) {
    if (reader.missing.empty()) continue;
    const std::string start = reader.magic.empty() ? "x" : std::string(reader.magic);
    const std::string ending(reader.endings.substr(0, reader.endings.find(' ')));
    expect_failure(ending, start, ErrorCode::unsupported, "install");
  }
}

TEST(Readers, MembersFollowAColon) {
  const TemporaryFile file(".npz");
  const std::vector<NpzMember> members{{"a:b", array_of<std::uint8_t>({1, 2}, {1, 0})},
                                       {"c", array_of<std::uint8_t>({1, 2}, {0, 1})}};
  write_npz(file.path(), members);
  EXPECT_EQ(elements(load_spikes(file.path() + ":a:b").view()), (std::vector<float>{1, 0}));
  EXPECT_EQ(elements(load_spikes(file.path() + ":c").view()), (std::vector<float>{0, 1}));
  EXPECT_EQ(error_of([&] { static_cast<void>(load_spikes(file.path() + ":")); }), ErrorCode::io);
}

}  // namespace
}  // namespace spiketune::test
