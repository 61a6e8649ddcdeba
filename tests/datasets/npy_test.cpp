#include "spiketune/datasets/npy.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

using namespace std::string_literals;

/// A file as NumPy writes it: header padded so that data starts at a multiple of 64.
std::string npy_file(const std::string& dictionary, const std::string& data, char version = 1) {
  std::string header = dictionary;
  const std::size_t start = version == 1 ? 10 : 12;
  while ((start + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string file = "\x93NUMPY"s + version + '\0';
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  if (version > 1) file += "\0\0"s;
  return file + header + data;
}

NpyArray read(const std::string& bytes) {
  const TemporaryFile file(".npy");
  file.write(bytes);
  return read_npy(file.path());
}

std::optional<ErrorCode> read_error(const std::string& bytes) {
  return error_of([&] { static_cast<void>(read(bytes)); });
}

TEST(Npy, ReadsWhatNumpyWrites) {
  const std::string dictionary = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }";
  const std::string data = "\1\0\2\0\3\0\4\0\5\0\6\1"s;
  for (const char version : {1, 2, 3}) {
    const NpyArray array = read(npy_file(dictionary, data, version));
    EXPECT_EQ(array.type, (NpyType{'u', 2}));
    EXPECT_EQ(array.shape, (std::vector<std::uint64_t>{2, 3}));
    EXPECT_FALSE(array.fortran_order);
    ASSERT_EQ(array.size(), 6u);
    EXPECT_EQ(array.as<std::uint16_t>()[0], 1);
    EXPECT_EQ(array.as<std::uint16_t>()[5], 0x106);
  }
}

TEST(Npy, WritesWhatNumpyWrites) {
  const TemporaryFile file(".npy");
  write_npy(file.path(), array_of<std::uint16_t>({2, 3}, {1, 2, 3, 4, 5, 0x106}));
  EXPECT_EQ(file.read(), npy_file("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }",
                                  "\1\0\2\0\3\0\4\0\5\0\6\1"s));
  write_npy(file.path(), array_of<std::uint8_t>({2}, {1, 0}, {'b', 1}));
  EXPECT_EQ(file.read(),
            npy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", "\1\0"s));
  write_npy(file.path(), make_npy_text("csr"));
  EXPECT_EQ(file.read(),
            npy_file("{'descr': '|S3', 'fortran_order': False, 'shape': (), }", "csr"));
}

TEST(Npy, AcceptsOtherSpellingsOfTheHeader) {
  for (const char* dictionary :
       {"{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<u2\"}",
        "{'descr' : '<u2' , 'shape' : (2L, 3L,) ,\n 'fortran_order' : False }",
        "{'descr': '=u2', 'fortran_order': False, 'shape': (2, 3)}"}) {
    EXPECT_EQ(read(npy_file(dictionary, std::string(12, '\0'))).size(), 6u) << dictionary;
  }
}

TEST(Npy, RoundTripsEveryTypeAndOrder) {
  for (const NpyType type :
       {NpyType{'b', 1}, NpyType{'u', 1}, NpyType{'u', 2}, NpyType{'u', 4}, NpyType{'u', 8},
        NpyType{'i', 1}, NpyType{'i', 2}, NpyType{'i', 4}, NpyType{'i', 8}, NpyType{'f', 2},
        NpyType{'f', 4}, NpyType{'f', 8}, NpyType{'S', 5}, NpyType{'U', 12}}) {
    for (const std::vector<std::uint64_t>& shape :
         std::vector<std::vector<std::uint64_t>>{{}, {7}, {0, 3}, {2, 3, 4}}) {
      for (const bool fortran : {false, true}) {
        NpyArray array{type, shape, fortran, {}};
        std::uint64_t bytes = type.size;
        for (const std::uint64_t length : shape) bytes *= length;
        for (std::uint64_t i = 0; i < bytes; ++i) array.data.push_back(std::byte(i * 37));
        const TemporaryFile file(".npy");
        write_npy(file.path(), array);
        const NpyArray back = read_npy(file.path());
        EXPECT_EQ(back.type, type) << to_string(type);
        EXPECT_EQ(back.shape, shape);
        EXPECT_EQ(back.fortran_order, fortran);
        EXPECT_EQ(back.data, array.data);
      }
    }
  }
}

TEST(Npy, FortranOrderIsTransposedStorage) {
  // [[1 2 3] [4 5 6]] with the first index fastest.
  NpyArray array = array_of<std::uint8_t>({2, 3}, {1, 4, 2, 5, 3, 6});
  array.fortran_order = true;
  const NpyArray ordered = to_c_order(array);
  EXPECT_FALSE(ordered.fortran_order);
  EXPECT_EQ(to_integers(array, "array"), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(std::to_integer<int>(ordered.data[1]), 2);
}

TEST(Npy, RejectsFilesThatAreNotWhole) {
  const std::string good =
      npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }", std::string(60, 'x'));
  ASSERT_EQ(read_error(good), std::nullopt);
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(read_error(good.substr(0, length)), ErrorCode::parse) << length;
  }
  EXPECT_EQ(read_error(good + "x"), ErrorCode::parse);
  EXPECT_EQ(error_of([] { static_cast<void>(read_npy("/nonexistent/file.npy")); }), ErrorCode::io);
}

TEST(Npy, RejectsHostileHeaders) {
  const auto with = [](const std::string& dictionary) {
    return read_error(npy_file(dictionary, std::string(64, '\0')));
  };
  const auto shape = [&](const std::string& text) {
    return with("{'descr': '<f8', 'fortran_order': False, 'shape': " + text + ", }");
  };
  EXPECT_EQ(shape("(8,)"), std::nullopt);
  EXPECT_EQ(shape("(1000000000000,)"), ErrorCode::parse);  // terabytes that are not there
  EXPECT_EQ(shape("(4294967296, 4294967296, 8)"), ErrorCode::parse);  // 2^64 · 8 · 8
  EXPECT_EQ(shape("(2305843009213693953,)"), ErrorCode::parse);       // 8 · it wraps to 8
  EXPECT_EQ(shape("(0, 4294967296, 4294967296)"), ErrorCode::parse);  // hidden by the zero
  EXPECT_EQ(shape("(99999999999999999999999,)"), ErrorCode::parse);
  EXPECT_EQ(shape("(-8,)"), ErrorCode::parse);
  EXPECT_EQ(shape("(8"), ErrorCode::parse);
  EXPECT_EQ(shape("8"), ErrorCode::parse);
  EXPECT_EQ(shape("(8 1)"), ErrorCode::parse);
  std::string deep = "(";
  for (int i = 0; i < 33; ++i) deep += "1, ";
  EXPECT_EQ(shape(deep + ")"), ErrorCode::parse);

  const auto type = [&](const std::string& text) {
    return with("{'descr': " + text + ", 'fortran_order': False, 'shape': (8,), }");
  };
  for (const char* unsupported :
       {"'>f8'", "'<c16'", "'|O'", "'|O8'", "'<f16'", "'<f3'", "'|S0'", "'<M8[ns]'",
        "'<u99999999999'", "[('a', '<f8')]", "'<U1073741825'", "'|V8'"}) {
    const auto code = type(unsupported);
    EXPECT_TRUE(code == ErrorCode::unsupported || code == ErrorCode::parse) << unsupported;
  }
  EXPECT_EQ(type("''"), ErrorCode::parse);
  EXPECT_EQ(type("7"), ErrorCode::parse);
  EXPECT_EQ(with("{'descr': '<f8', 'shape': (8,), }"), ErrorCode::parse);
  EXPECT_EQ(with("{'descr': '<f8', 'fortran_order': 0, 'shape': (8,)}"), ErrorCode::parse);
  EXPECT_EQ(with("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (8,)}"),
            ErrorCode::parse);
  EXPECT_EQ(with("{'descr': '<f8', 'fortran_order': False, 'shape': (8,), 'more': 1}"),
            ErrorCode::parse);
  EXPECT_EQ(with("{'descr': '<f8', 'fortran_order': False, 'shape': (8,)} x"), ErrorCode::parse);
  EXPECT_EQ(with(""), ErrorCode::parse);
  EXPECT_EQ(read_error("\x93NUMPY\2\0\xff\xff\xff\xff"s), ErrorCode::parse);
  EXPECT_EQ(read_error("\x93NUMPY\4\0\1\0}"s), ErrorCode::parse);
  EXPECT_EQ(read_error("PK\3\4 something else"s), ErrorCode::parse);
}

TEST(Npy, SurvivesDamagedFiles) {
  const std::string good = npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }",
                                    std::string(60, '\1'));
  std::mt19937 random(20240601);
  int rejected = 0;
  constexpr int rounds = 4000;
  for (int round = 0; round < rounds; ++round) {
    const std::string bytes = damaged(good, random, 90);
    // From memory: what a file of that size would give.
    std::size_t at = 0;
    const ByteSource source{
        "fuzz", bytes.size(), [&](std::span<std::byte> to) {
          const std::size_t count = std::min(to.size(), bytes.size() - at);
          std::copy_n(std::as_bytes(std::span(bytes)).begin() + static_cast<std::ptrdiff_t>(at),
                      count, to.begin());
          at += count;
          return count;
        }};
    rejected += error_of([&] {
                  const NpyArray array = read_npy(source);
                  check_npy(array, "fuzz");
                }).has_value();
  }
  EXPECT_GT(rejected, rounds / 2);
}

TEST(Npy, ASourceThatLiesAboutItsSizeCostsNoMemory) {
  // 2^40 bytes are promised by header and size; 100 come.
  const std::string file =
      npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }",
               std::string(100, '\0'));
  std::size_t at = 0;
  const ByteSource source{
      "liar", (std::uint64_t{1} << 40) + 128, [&](std::span<std::byte> to) {
        EXPECT_LE(to.size(), std::size_t{64} << 20);
        const std::size_t count = std::min(to.size(), file.size() - at);
        std::copy_n(std::as_bytes(std::span(file)).begin() + static_cast<std::ptrdiff_t>(at), count,
                    to.begin());
        at += count;
        return count;
      }};
  EXPECT_EQ(error_of([&] { static_cast<void>(read_npy(source)); }), ErrorCode::parse);
}

TEST(Npy, IntegersThatDoNotFitAreErrors) {
  EXPECT_EQ(
      error_of([] {
        static_cast<void>(to_integers(array_of<std::uint64_t>({1}, {~std::uint64_t{0}}), "x"));
      }),
      ErrorCode::parse);
  EXPECT_EQ(error_of([] { static_cast<void>(to_integers(array_of<float>({1}, {1}), "x")); }),
            ErrorCode::parse);
  EXPECT_EQ(to_integers(array_of<std::int8_t>({2}, {-1, 5}), "x"),
            (std::vector<std::int64_t>{-1, 5}));
}

}  // namespace
}  // namespace spiketune::test
