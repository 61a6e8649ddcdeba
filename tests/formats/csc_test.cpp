#include "spiketune/formats/csc.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/csc.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

//   columns 0 1 2 3 4
//   row 0   . 1 . . 2
//   row 1   . . . . .
//   row 2   3 . 1 2 .
//   row 3   . 2 . . .
const Logical example{{1, 4, 5}, {0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 1, 2, 0, 0, 2, 0, 0, 0}};

Encoded<Csc> encode_example() {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  return encode_to_fit<Csc>(HostContext{2}, spikes.view());
}

TEST(Csc, HasTheArraysOfTheTextbook) {
  const Encoded<Csc> csc = encode_example();
  ASSERT_EQ(csc->status->nnz, 6u);
  EXPECT_EQ(csc->status->needed, 6u);
  ASSERT_EQ(csc->column_offsets.size, 6u);
  EXPECT_EQ(std::vector(csc->column_offsets.data, csc->column_offsets.data + 6),
            (std::vector<std::uint32_t>{0, 1, 3, 4, 5, 6}));
  ASSERT_EQ(csc->row_indices.type, DType::u16);
  const auto* rows = csc->row_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(rows, rows + 6), (std::vector<std::uint16_t>{2, 0, 3, 2, 2, 0}));
  ASSERT_EQ(csc->values.type, DType::u8);
  const auto* values = csc->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(values, values + 6), (std::vector<std::uint8_t>{3, 1, 2, 1, 2, 2}));
  EXPECT_EQ(csc->bytes(6), 6u * 4 + 6 * (2 + 1));
  EXPECT_NO_THROW(csc->validate(*csc->status));
}

TEST(Csc, WalksColumns) {
  const Encoded<Csc> csc = encode_example();
  for (std::uint32_t k = 0; k < 5; ++k) {
    std::vector<float> dense(4, 0.0f);
    for_each_in_column(*csc, k, [&](std::uint32_t row, float value) { dense[row] = value; });
    for (std::uint64_t row = 0; row < 4; ++row) {
      EXPECT_EQ(dense[row], example.values[row * 5 + k]) << row << ", " << k;
    }
  }
}

// More rows and columns than one tile of the encoder has, and neither a multiple of it.
TEST(Csc, PutsTilesTogether) {
  const Logical logical = random_spikes({3, 250, 1100}, 0.05, ValueKind::graded2, 3);
  for (const RowOrder from : {RowOrder::time_major, RowOrder::token_major}) {
    const SpikeTensor spikes = store(logical, DType::u2, ValueKind::graded2, from);
    for (const RowOrder to : {RowOrder::time_major, RowOrder::token_major}) {
      const auto csc = encode_to_fit<Csc>(HostContext{2}, spikes.view(), {}, {to, 0.05, {}});
      EXPECT_NO_THROW(csc->validate(*csc->status));
      for (std::uint32_t k = 0; k < logical.shape.k; ++k) {
        std::vector<float> column(logical.shape.m());
        for_each_in_column(*csc, k, [&](std::uint32_t row, float value) { column[row] = value; });
        for (std::uint64_t row = 0; row < logical.shape.m(); ++row) {
          ASSERT_EQ(column[row], logical.at(row, k, to)) << row << ", " << k;
        }
      }
    }
  }
}

TEST(Csc, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](auto&& corrupt) {
    const Encoded<Csc> csc = encode_example();
    corrupt(*csc);
    EXPECT_THROW(csc->validate(*csc->status), Error);
  };
  expect_refused([](const Csc& csc) { csc.column_offsets[0] = 1; });
  expect_refused([](const Csc& csc) { csc.column_offsets[2] = 0; });
  expect_refused([](const Csc& csc) { csc.column_offsets[5] = 5; });
  expect_refused([](const Csc& csc) { store_index(csc.row_indices, 2, 0); });
  expect_refused([](const Csc& csc) { store_index(csc.row_indices, 2, 4); });
  expect_refused([](const Csc& csc) { csc.values.as<std::uint8_t>()[3] = 0; });
  expect_refused([](const Csc& csc) { csc.status->nnz = csc.capacity + 1; });
}

TEST(Csc, ReportsExactlyWhatItNeeds) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  EncodeOptions options;
  options.capacity = 1;
  EXPECT_EQ(encode_to_fit<Csc>(HostContext{2}, spikes.view(), {}, options)->capacity, 6u);
}

TEST(Csc, UsesShortIndicesWhereTheyFit) {
  for (const std::uint32_t m : {65535u, 65536u, 65537u}) {
    Logical logical{{1, m, 2}, std::vector<float>(2 * std::size_t{m})};
    logical.values[0] = logical.values[2 * std::size_t{m} - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto csc = encode_to_fit<Csc>(HostContext{2}, spikes.view());
    EXPECT_EQ(csc->row_indices.type, m <= 65536 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(csc->row_indices, 1), m - 1);
    EXPECT_NO_THROW(csc->validate(*csc->status));
  }
}

TEST(Csc, RefusesWhatOffsetsCannotAddress) {
  EXPECT_THROW(static_cast<void>(Csc::plan({{1, 3, 5}}, {}, std::uint64_t{1} << 32)), Error);
}

}  // namespace
}  // namespace spiketune::test
