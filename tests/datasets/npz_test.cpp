#include "spiketune/datasets/npz.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

std::array<NpzMember, 3> example() {
  std::vector<float> ramp(600);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i % 7);
  return {NpzMember{"spikes", array_of<float>({20, 30}, ramp)},
          NpzMember{"shape", array_of<std::int64_t>({2}, {20, 30})},
          NpzMember{"format", make_npy_text("csr")}};
}

/// Reads every member; the code of the first error.
std::optional<ErrorCode> read_error(const std::string& path) {
  return error_of([&] {
    const NpzFile file(path);
    for (const std::string& name : file.names()) static_cast<void>(file.read(name));
    static_cast<void>(file.read("spikes"));
  });
}

/// Overwrites the little-endian number at the first `marker` + offset.
void patch(std::string& bytes, const std::string& marker, std::size_t offset, std::uint32_t value) {
  const std::size_t at = bytes.find(marker);
  ASSERT_NE(at, std::string::npos);
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[at + offset + i] = static_cast<char>(value >> (8 * i));
  }
}

constexpr auto both = {NpzCompression::stored, NpzCompression::deflated};
const std::string local_header = {'P', 'K', 3, 4};
const std::string central_header = {'P', 'K', 1, 2};

TEST(Npz, RoundTrips) {
  const auto members = example();
  for (const NpzCompression compression : both) {
    const TemporaryFile file(".npz");
    write_npz(file.path(), members, compression);
    const NpzFile back(file.path());
    EXPECT_EQ(back.names(), (std::vector<std::string>{"spikes", "shape", "format"}));
    EXPECT_TRUE(back.contains("shape"));
    EXPECT_FALSE(back.contains("shap"));
    for (const auto& [name, array] : members) {
      const NpyArray found = back.read(name);
      EXPECT_EQ(found.shape, array.shape);
      EXPECT_EQ(found.type, array.type);
      EXPECT_EQ(found.data, array.data);
    }
    EXPECT_EQ(error_of([&] { static_cast<void>(back.read("none")); }), ErrorCode::parse);
    EXPECT_NE(message_of([&] { static_cast<void>(back.read("none")); }).find("'shape'"),
              std::string::npos);
  }
}

TEST(Npz, BytesDependOnTheMembersAlone) {
  const auto members = example();
  const TemporaryFile first(".npz");
  const TemporaryFile second(".npz");
  write_npz(first.path(), members);
  write_npz(second.path(), members);
  EXPECT_EQ(first.read(), second.read());
}

TEST(Npz, RejectsFilesThatAreNotWhole) {
  for (const NpzCompression compression : both) {
    const TemporaryFile file(".npz");
    write_npz(file.path(), example(), compression);
    const std::string good = file.read();
    ASSERT_EQ(read_error(file.path()), std::nullopt);
    for (std::size_t length = 0; length < good.size(); ++length) {
      file.write(good.substr(0, length));
      ASSERT_TRUE(read_error(file.path()).has_value()) << length;
    }
  }
  EXPECT_EQ(read_error("/nonexistent/file.npz"), ErrorCode::io);
}

TEST(Npz, RejectsSizesThatCannotBe) {
  const TemporaryFile file(".npz");
  write_npz(file.path(), example(), NpzCompression::deflated);
  const std::string good = file.read();
  // A bomb by its own account: 4 GB from some hundred bytes.
  std::string bomb = good;
  patch(bomb, central_header, 24, 0xfffffff0u);
  patch(bomb, local_header, 22, 0xfffffff0u);
  file.write(bomb);
  EXPECT_EQ(read_error(file.path()), ErrorCode::parse);
  // More compressed bytes than the archive has.
  std::string larger = good;
  patch(larger, central_header, 20, 0x7ffffff0u);
  patch(larger, local_header, 18, 0x7ffffff0u);
  file.write(larger);
  EXPECT_TRUE(read_error(file.path()).has_value());
  // A wrong checksum.
  std::string altered = good;
  patch(altered, central_header, 16, 0x12345678u);
  patch(altered, local_header, 14, 0x12345678u);
  file.write(altered);
  EXPECT_EQ(read_error(file.path()), ErrorCode::parse);
  // A method that is neither stored nor deflated.
  std::string method = good;
  patch(method, central_header, 10, 99);
  file.write(method);
  EXPECT_TRUE(read_error(file.path()).has_value());
}

TEST(Npz, SurvivesDamagedFiles) {
  std::mt19937 random(7);
  int rejected = 0;
  constexpr int rounds = 1500;  // of either compression
  for (const NpzCompression compression : both) {
    const TemporaryFile file(".npz");
    write_npz(file.path(), example(), compression);
    const std::string good = file.read();
    for (int round = 0; round < rounds; ++round) {
      file.write(damaged(good, random, good.size()));
      rejected += read_error(file.path()).has_value();
    }
  }
  EXPECT_GT(rejected, rounds);
}

TEST(Npz, WritingChecksItsArguments) {
  EXPECT_EQ(error_of([] { write_npz("/tmp/unused.npz", {}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([] { write_npz("/nonexistent/file.npz", example()); }), ErrorCode::io);
  auto members = example();
  members[0].second.shape = {7};
  const TemporaryFile file(".npz");
  EXPECT_EQ(error_of([&] { write_npz(file.path(), members); }), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace spiketune::test
