#include "spiketune/formats/coo.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/coo.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

//   columns 0 1 2 3 4
//   row 0   . 1 . . 2
//   row 1   . . . . .
//   row 2   3 . 1 2 .
const Logical example{{1, 3, 5}, {0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 1, 2, 0}};

Encoded<Coo> encode_example() {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  return encode_to_fit<Coo>(HostContext{2}, spikes.view());
}

TEST(Coo, HasTheArraysOfTheTextbook) {
  const Encoded<Coo> coo = encode_example();
  ASSERT_EQ(coo->status->nnz, 5u);
  EXPECT_EQ(coo->status->needed, 5u);
  EXPECT_EQ(std::vector(coo->row_indices.data, coo->row_indices.data + 5),
            (std::vector<std::uint32_t>{0, 0, 2, 2, 2}));
  ASSERT_EQ(coo->column_indices.type, DType::u16);
  const auto* columns = coo->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 5), (std::vector<std::uint16_t>{1, 4, 0, 2, 3}));
  ASSERT_EQ(coo->values.type, DType::u8);
  const auto* values = coo->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(values, values + 5), (std::vector<std::uint8_t>{1, 2, 3, 1, 2}));
  EXPECT_EQ(coo->bytes(5), 5u * (4 + 2 + 1));
  EXPECT_NO_THROW(coo->validate(*coo->status));
}

TEST(Coo, WalksRows) {
  const Encoded<Coo> coo = encode_example();
  for (std::uint64_t row = 0; row < 3; ++row) {
    std::vector<float> dense(5, 0.0f);
    for_each_in_row(*coo, row, [&](std::uint32_t column, float value) { dense[column] = value; });
    for (std::uint32_t k = 0; k < 5; ++k) {
      EXPECT_EQ(dense[k], example.values[row * 5 + k]) << row << ", " << k;
    }
  }
}

TEST(Coo, StoresNoValuesOfBinarySpikes) {
  const Logical logical = random_spikes({2, 5, 40}, 0.3, ValueKind::binary, 1);
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  const auto coo = encode_to_fit<Coo>(HostContext{2}, spikes.view());
  EXPECT_EQ(coo->values.bytes(), 0u);
  EXPECT_EQ(coo->bytes(logical.nnz()), logical.nnz() * 6);
}

TEST(Coo, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](auto&& corrupt) {
    const Encoded<Coo> coo = encode_example();
    corrupt(*coo);
    EXPECT_THROW(coo->validate(*coo->status), Error);
  };
  expect_refused([](const Coo& coo) { coo.row_indices[1] = 1, coo.row_indices[2] = 0; });
  expect_refused([](const Coo& coo) { coo.row_indices[4] = 3; });
  expect_refused([](const Coo& coo) { store_index(coo.column_indices, 1, 5); });
  expect_refused([](const Coo& coo) { store_index(coo.column_indices, 1, 1); });
  expect_refused([](const Coo& coo) { coo.values.as<std::uint8_t>()[3] = 0; });
  expect_refused([](const Coo& coo) { coo.status->nnz = coo.capacity + 1; });
}

TEST(Coo, ReportsExactlyWhatItNeeds) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  EncodeOptions options;
  options.capacity = 1;
  EXPECT_EQ(encode_to_fit<Coo>(HostContext{2}, spikes.view(), {}, options)->capacity, 5u);
}

TEST(Coo, UsesShortIndicesWhereTheyFit) {
  for (const std::uint32_t k : {65535u, 65536u, 65537u}) {
    Logical logical{{1, 2, k}, std::vector<float>(2 * std::size_t{k})};
    logical.values[0] = logical.values[k - 1] = logical.values[2 * std::size_t{k} - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto coo = encode_to_fit<Coo>(HostContext{2}, spikes.view());
    EXPECT_EQ(coo->column_indices.type, k <= 65536 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(coo->column_indices, 2), k - 1);
    EXPECT_NO_THROW(coo->validate(*coo->status));
  }
}

TEST(Coo, RefusesWhatNoMemoryHolds) {
  EXPECT_THROW(static_cast<void>(Coo::plan({{1, 3, 5}}, {}, std::uint64_t{1} << 60)), Error);
}

}  // namespace
}  // namespace spiketune::test
