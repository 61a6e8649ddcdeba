#include "spiketune/datasets/encoded_io.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "spiketune/core/half.hpp"
#include "spiketune/datasets/npz.hpp"
#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

template <class T>
AnyArray view(std::vector<T>& values) {
  return {values.data(), dtype_of<T>, values.size()};
}

const AnyArray pattern{nullptr, DType::bit, 0};

//   . 1 . . 1     two time steps of two rows
//   . . . . .
//   1 . 1 1 .
//   . . . . 1
struct Example {
  MatrixShape matrix{{2, 2, 5}, RowOrder::token_major};
  std::vector<float> dense{0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1};
  std::vector<std::uint32_t> rows{0, 0, 2, 2, 2, 3};
  std::vector<std::uint32_t> row_offsets{0, 2, 2, 5, 6};
  std::vector<std::uint16_t> columns{1, 4, 0, 2, 3, 4, 77, 77};  // with room to spare
  std::vector<std::uint32_t> column_offsets{0, 1, 2, 3, 4, 6};
  std::vector<std::uint32_t> column_rows{2, 0, 2, 2, 0, 3};
};

void expect_example(const std::string& path, const std::string& format) {
  const Example example;
  const ScipyMatrix matrix = read_scipy(path);
  EXPECT_EQ(matrix.format, format);
  EXPECT_EQ(matrix.matrix, example.matrix);
  const SpikeTensor spikes = to_spikes(matrix, DType::bit, ValueKind::binary);
  EXPECT_EQ(spikes.view().row_order, RowOrder::token_major);
  for (std::uint64_t row = 0; row < 4; ++row) {
    for (std::uint32_t k = 0; k < 5; ++k) {
      EXPECT_EQ(load_spike(spikes.view().data, DType::bit, 5, row, k), example.dense[row * 5 + k]);
    }
  }
}

TEST(EncodedIo, RoundTripsEveryFormat) {
  Example e;
  const TemporaryFile file(".npz");
  write_scipy_coo(file.path(), e.matrix, 6, view(e.rows), view(e.columns), pattern);
  expect_example(file.path(), "coo");
  write_scipy_csr(file.path(), e.matrix, e.row_offsets, view(e.columns), pattern);
  expect_example(file.path(), "csr");
  write_scipy_csc(file.path(), e.matrix, e.column_offsets, view(e.column_rows), pattern);
  expect_example(file.path(), "csc");

  // Blocks of 2 x 2: ragged, K = 5. The upper block row has two blocks, the lower three.
  std::vector<std::uint32_t> offsets{0, 2, 5};
  std::vector<std::uint16_t> block_columns{0, 2, 0, 1, 2};
  std::vector<std::uint8_t> blocks{0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0};
  write_scipy_bsr(file.path(), e.matrix, 2, offsets, view(block_columns), view(blocks));
  expect_example(file.path(), "bsr");
  const ScipyMatrix matrix = read_scipy(file.path());
  EXPECT_EQ(matrix.block_size, 2u);
  EXPECT_EQ(matrix.indices, (std::vector<std::uint32_t>{0, 2, 0, 1, 2}));
}

TEST(EncodedIo, HasTheMembersOfScipy) {
  Example e;
  const TemporaryFile file(".npz");
  write_scipy_csr(file.path(), e.matrix, e.row_offsets, view(e.columns), pattern);
  const NpzFile npz(file.path());
  EXPECT_EQ(npz.read("format").type, (NpyType{'S', 3}));
  EXPECT_EQ(to_integers(npz.read("shape"), "shape"), (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(npz.read("indices").type, (NpyType{'i', 4}));
  EXPECT_EQ(npz.read("indices").shape, (std::vector<std::uint64_t>{6}));
  EXPECT_EQ(npz.read("indptr").size(), 5u);
  EXPECT_EQ(npz.read("data").type, (NpyType{'u', 1}));
}

TEST(EncodedIo, KeepsGradedValues) {
  const MatrixShape matrix{{1, 1, 3}, RowOrder::time_major};
  std::vector<std::uint32_t> offsets{0, 2};
  std::vector<std::uint16_t> columns{0, 2};
  std::vector<Half> values{to_half(-0.375f), to_half(1000.0f)};
  const TemporaryFile file(".npz");
  write_scipy_csr(file.path(), matrix, offsets, view(columns), view(values));
  const ScipyMatrix back = read_scipy(file.path());
  EXPECT_EQ(back.values, (std::vector<float>{-0.375f, 1000.0f}));
  EXPECT_EQ(elements(to_spikes(back, DType::f16, ValueKind::graded).view()),
            (std::vector<float>{-0.375f, 0, 1000}));
  EXPECT_EQ(error_of([&] { static_cast<void>(to_spikes(back, DType::u8, ValueKind::binary)); }),
            ErrorCode::invalid_value);
  EXPECT_EQ(error_of([&] { static_cast<void>(to_spikes(back, DType::u8, ValueKind::graded)); }),
            ErrorCode::invalid_argument);
}

TEST(EncodedIo, WritersCheckTheirArrays) {
  const TemporaryFile file(".npz");
  const auto csr = [&](const Example& given) {
    Example e = given;
    return error_of(
        [&] { write_scipy_csr(file.path(), e.matrix, e.row_offsets, view(e.columns), pattern); });
  };
  EXPECT_EQ(csr({}), std::nullopt);
  Example e;
  e.row_offsets = {0, 2, 5, 6};
  EXPECT_EQ(csr(e), ErrorCode::invalid_argument);
  e.row_offsets = {0, 2, 1, 5, 6};
  EXPECT_EQ(csr(e), ErrorCode::invalid_argument);
  e.row_offsets = {0, 2, 2, 5, 9};
  EXPECT_EQ(csr(e), ErrorCode::invalid_argument);
  e.row_offsets = {1, 2, 2, 5, 6};
  EXPECT_EQ(csr(e), ErrorCode::invalid_argument);
  e = {};
  e.columns[5] = 5;
  EXPECT_EQ(csr(e), ErrorCode::invalid_argument);
  e.columns = {4, 1, 0, 2, 3, 4};
  EXPECT_EQ(csr(e), ErrorCode::invalid_argument);
  e = {};
  std::vector<float> few(5, 1.0f);
  EXPECT_EQ(error_of([&] {
              write_scipy_csr(file.path(), e.matrix, e.row_offsets, view(e.columns), view(few));
            }),
            ErrorCode::invalid_argument);
  e.matrix.shape.rows = std::uint64_t{1} << 31;
  EXPECT_EQ(csr(e), ErrorCode::unsupported);
  e = {};
  std::swap(e.rows[0], e.rows[5]);
  EXPECT_EQ(error_of([&] {
              write_scipy_coo(file.path(), e.matrix, 6, view(e.rows), view(e.columns), pattern);
            }),
            ErrorCode::invalid_argument);
}

/// A csr file of scipy's own making, with one member replaced.
std::optional<ErrorCode> read_with(const std::string& name, NpyArray array) {
  std::vector<NpzMember> members{{"indices", array_of<std::int64_t>({3}, {1, 0, 2})},
                                 {"indptr", array_of<std::int64_t>({4}, {0, 1, 1, 3})},
                                 {"format", make_npy_text("csr")},
                                 {"shape", array_of<std::int64_t>({2}, {3, 4})},
                                 {"data", array_of<double>({3}, {1, 0.5, 1})}};
  for (auto& member : members) {
    if (member.first == name) member.second = array;
  }
  if (name == "timesteps" || name == "logical_shape") members.emplace_back(name, array);
  const TemporaryFile file(".npz");
  write_npz(file.path(), members);
  return error_of([&] { static_cast<void>(read_scipy(file.path())); });
}

TEST(EncodedIo, ReaderValidates) {
  const auto integers = [](const std::vector<std::int64_t>& values) {
    return array_of<std::int64_t>({values.size()}, values);
  };
  EXPECT_EQ(read_with("", {}), std::nullopt);
  EXPECT_EQ(read_with("format", make_npy_text("dia")), ErrorCode::unsupported);
  EXPECT_EQ(read_with("format", integers({1})), ErrorCode::parse);
  EXPECT_EQ(read_with("format", make_npy_text("bsr")), ErrorCode::parse);
  EXPECT_EQ(read_with("format", make_npy_text("coo")), ErrorCode::parse);
  EXPECT_EQ(read_with("format", array_of<std::uint32_t>({}, {'c'}, {'U', 4})),
            ErrorCode::unsupported);
  EXPECT_EQ(read_with("indices", integers({1, 0, 4})), ErrorCode::parse);
  EXPECT_EQ(read_with("indices", integers({1, 0, -1})), ErrorCode::parse);
  EXPECT_EQ(read_with("indices", integers({1, 2, 2})), ErrorCode::parse);
  EXPECT_EQ(read_with("indices", integers({1, 2, 0})), std::nullopt);  // sorted on the way
  EXPECT_EQ(read_with("indices", integers({1, 0})), ErrorCode::parse);
  EXPECT_EQ(read_with("indices", integers({1, 0, 2, 3})), ErrorCode::parse);
  EXPECT_EQ(read_with("indptr", integers({0, 1, 1, 4})), ErrorCode::parse);
  EXPECT_EQ(read_with("indptr", integers({0, 1, 3})), ErrorCode::parse);
  EXPECT_EQ(read_with("indptr", integers({0, 3, 1, 3})), ErrorCode::parse);
  EXPECT_EQ(read_with("indptr", integers({})), ErrorCode::parse);
  EXPECT_EQ(read_with("shape", integers({3, std::int64_t{1} << 40})), ErrorCode::parse);
  EXPECT_EQ(read_with("shape", integers({3})), ErrorCode::parse);
  EXPECT_EQ(read_with("shape", integers({std::int64_t{1} << 30, 4})), ErrorCode::parse);
  EXPECT_EQ(read_with("data", array_of<double>({3}, {1, 0.1, 1})), ErrorCode::parse);
  EXPECT_EQ(read_with("data", array_of<double>({1, 3}, {1, 1, 1})), ErrorCode::parse);
  EXPECT_EQ(read_with("data", make_npy_text("abc")), ErrorCode::parse);
  EXPECT_EQ(read_with("timesteps", integers({3})), std::nullopt);
  EXPECT_EQ(read_with("timesteps", integers({2})), ErrorCode::parse);
  EXPECT_EQ(read_with("timesteps", integers({0})), ErrorCode::parse);
  EXPECT_EQ(read_with("logical_shape", integers({3, 3})), ErrorCode::parse);
}

TEST(EncodedIo, ReaderSorts) {
  const TemporaryFile file(".npz");
  const std::vector<NpzMember> coo{{"row", array_of<std::int32_t>({3}, {1, 0, 1})},
                                   {"col", array_of<std::int32_t>({3}, {2, 0, 1})},
                                   {"format", make_npy_text("coo")},
                                   {"shape", array_of<std::int64_t>({2}, {2, 3})},
                                   {"data", array_of<float>({3}, {6, 1, 5})}};
  write_npz(file.path(), coo);
  const ScipyMatrix entries = read_scipy(file.path());
  EXPECT_EQ(entries.row_indices, (std::vector<std::uint32_t>{0, 1, 1}));
  EXPECT_EQ(entries.indices, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(entries.values, (std::vector<float>{1, 5, 6}));

  const std::vector<NpzMember> bsr{
      {"indices", array_of<std::int32_t>({3}, {0, 1, 0})},
      {"indptr", array_of<std::int32_t>({3}, {0, 1, 3})},
      {"format", make_npy_text("bsr")},
      {"shape", array_of<std::int64_t>({2}, {4, 4})},
      {"data", array_of<float>({3, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})}};
  write_npz(file.path(), bsr);
  const ScipyMatrix blocks = read_scipy(file.path());
  EXPECT_EQ(blocks.indices, (std::vector<std::uint32_t>{0, 0, 1}));
  EXPECT_EQ(blocks.values, (std::vector<float>{1, 2, 3, 4, 9, 10, 11, 12, 5, 6, 7, 8}));
}

TEST(EncodedIo, ReaderChecksBlocks) {
  const auto read = [](std::vector<std::uint64_t> data_shape, std::vector<float> data,
                       std::vector<std::int64_t> logical) {
    const std::vector<NpzMember> members{{"indices", array_of<std::int32_t>({1}, {0})},
                                         {"indptr", array_of<std::int32_t>({2}, {0, 1})},
                                         {"format", make_npy_text("bsr")},
                                         {"shape", array_of<std::int64_t>({2}, {2, 2})},
                                         {"logical_shape", array_of<std::int64_t>({2}, logical)},
                                         {"data", array_of<float>(std::move(data_shape), data)}};
    const TemporaryFile file(".npz");
    write_npz(file.path(), members);
    return error_of([&] { static_cast<void>(read_scipy(file.path())); });
  };
  EXPECT_EQ(read({1, 2, 2}, {1, 0, 0, 1}, {2, 2}), std::nullopt);
  EXPECT_EQ(read({1, 2, 2}, {1, 0, 0, 0}, {1, 2}), std::nullopt);
  EXPECT_EQ(read({1, 2, 2}, {1, 0, 0, 1}, {1, 2}), ErrorCode::parse);  // beyond the edge
  EXPECT_EQ(read({1, 2, 2}, {1, 0, 0, 1}, {0, 2}), ErrorCode::parse);
  EXPECT_EQ(read({1, 1, 4}, {1, 0, 0, 1}, {2, 2}), ErrorCode::unsupported);
  EXPECT_EQ(read({4}, {1, 0, 0, 1}, {2, 2}), ErrorCode::parse);
  EXPECT_EQ(read({0, 0, 0}, {}, {2, 2}), ErrorCode::parse);
}

TEST(EncodedIo, SurvivesDamagedFiles) {
  Example e;
  const TemporaryFile file(".npz");
  write_scipy_csr(file.path(), e.matrix, e.row_offsets, view(e.columns), pattern);
  const std::string good = file.read();
  for (std::size_t length = 0; length < good.size(); ++length) {
    file.write(good.substr(0, length));
    ASSERT_TRUE(error_of([&] { static_cast<void>(read_scipy(file.path())); }).has_value());
  }
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    file.write(damaged(good, random, good.size()));
    static_cast<void>(error_of([&] { static_cast<void>(read_scipy(file.path())); }));
  }
}

}  // namespace
}  // namespace spiketune::test
