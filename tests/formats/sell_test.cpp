#include "spiketune/formats/sell.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/sell.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

constexpr std::uint16_t pad = 0xffff;

//   columns 0 1 2 3 4
//   row 0   . 1 . . 2
//   row 1   . . . . .
//   row 2   3 . 1 2 .
//   row 3   . . 1 . .
//   row 4   . . . 3 .
const Logical example{{1, 5, 5},
                      {0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0}};

Encoded<Sell> encode_example(const Sell::Params& params, std::uint64_t capacity = 100) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  EncodeOptions options;
  options.capacity = capacity;
  return encode_to_fit<Sell>(HostContext{2}, spikes.view(), params, options);
}

TEST(Sell, HasTheArraysOfTheTextbook) {
  const Encoded<Sell> sell = encode_example({2, 4});
  EXPECT_EQ(sell->status->nnz, 7u);
  ASSERT_EQ(sell->status->needed, 10u);
  EXPECT_EQ(std::vector(sell->ranks.data, sell->ranks.data + 5),
            (std::vector<std::uint16_t>{1, 3, 0, 2, 0}));
  ASSERT_EQ(sell->slices(), 3u);
  EXPECT_EQ(std::vector(sell->slice_offsets.data, sell->slice_offsets.data + 4),
            (std::vector<std::uint32_t>{0, 6, 8, 10}));
  ASSERT_EQ(sell->column_indices.type, DType::u16);
  const auto* columns = sell->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 10),
            (std::vector<std::uint16_t>{0, 1, 2, 4, 3, pad, 2, pad, 3, pad}));
  ASSERT_EQ(sell->values.type, DType::u8);
  const auto* values = sell->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(values, values + 10),
            (std::vector<std::uint8_t>{3, 1, 1, 2, 2, 0, 1, 0, 3, 0}));
  EXPECT_EQ(sell->bytes(10), 5u * 2 + 4 * 4 + 10 * (2 + 1));
  EXPECT_NO_THROW(sell->validate(*sell->status));
}

TEST(Sell, SortsNothingWhereSigmaIsOne) {
  const Encoded<Sell> sell = encode_example({2, 1});
  EXPECT_EQ(sell->ranks.size, 0u);
  ASSERT_EQ(sell->status->needed, 12u);
  EXPECT_EQ(std::vector(sell->slice_offsets.data, sell->slice_offsets.data + 4),
            (std::vector<std::uint32_t>{0, 4, 10, 12}));
  const auto* columns = sell->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 12),
            (std::vector<std::uint16_t>{1, pad, 4, pad, 0, 2, 2, pad, 3, pad, 3, pad}));
  EXPECT_NO_THROW(sell->validate(*sell->status));
}

TEST(Sell, WalksRows) {
  for (const Sell::Params params : {Sell::Params{2, 4}, {2, 1}, {1, 1}, {32, 256}, {1, 1024}}) {
    const Encoded<Sell> sell = encode_example(params, 160);
    EXPECT_NO_THROW(sell->validate(*sell->status));
    for (std::uint64_t row = 0; row < 5; ++row) {
      std::vector<float> dense(5, 0.0f);
      for_each_in_row(*sell, row,
                      [&](std::uint32_t column, float value) { dense[column] = value; });
      for (std::uint32_t k = 0; k < 5; ++k) {
        EXPECT_EQ(dense[k], example.values[row * 5 + k]) << row << ", " << k;
      }
    }
  }
}

TEST(Sell, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](auto&& corrupt) {
    const Encoded<Sell> sell = encode_example({2, 4});
    corrupt(*sell);
    EXPECT_THROW(sell->validate(*sell->status), Error);
  };
  expect_refused([](const Sell& sell) { sell.ranks[0] = 0; });  // taken
  expect_refused([](const Sell& sell) { sell.ranks[4] = 1; });  // no such row
  expect_refused([](const Sell& sell) {  // rows 3 and 1 of slice 1, the shorter one first
    detail::store_padding(sell.column_indices, sell.values, 6);
    store_index(sell.column_indices, 7, 2);
    sell.values.as<std::uint8_t>()[7] = 1;
  });
  expect_refused([](const Sell& sell) {  // a slice wider than its longest row
    detail::store_padding(sell.column_indices, sell.values, 6);
    --sell.status->nnz;
  });
  expect_refused([](const Sell& sell) { sell.slice_offsets[0] = 2; });
  expect_refused([](const Sell& sell) { sell.slice_offsets[1] = 7; });
  expect_refused([](const Sell& sell) { sell.slice_offsets[1] = 100; });
  expect_refused([](const Sell& sell) { sell.slice_offsets[3] = 12; });
  expect_refused([](const Sell& sell) { store_index(sell.column_indices, 3, 5); });
  expect_refused([](const Sell& sell) { store_index(sell.column_indices, 3, 1); });
  expect_refused([](const Sell& sell) { store_index(sell.column_indices, 1, pad); });
  expect_refused([](const Sell& sell) { sell.values.as<std::uint8_t>()[0] = 0; });
  expect_refused([](const Sell& sell) { sell.values.as<std::uint8_t>()[5] = 1; });
  expect_refused([](const Sell& sell) {  // a lane behind the last row
    store_index(sell.column_indices, 9, 1);
    sell.values.as<std::uint8_t>()[9] = 1;
    ++sell.status->nnz;
  });
  expect_refused([](const Sell& sell) { sell.status->nnz = 8; });
}

TEST(Sell, ReportsExactlyWhatItNeeds) {
  EXPECT_EQ(encode_example({2, 4}, 0)->capacity, 10u);
  EXPECT_EQ(encode_example({2, 4}, 9)->capacity, 10u);
  EXPECT_EQ(encode_example({2, 4}, 10)->capacity, 10u);
}

TEST(Sell, UsesShortIndicesWhereTheyAndThePaddingFit) {
  for (const std::uint32_t k : {65535u, 65536u, 65537u}) {
    Logical logical{{1, 2, k}, std::vector<float>(2 * std::size_t{k})};
    logical.values[0] = logical.values[k - 1] = logical.values[2 * std::size_t{k} - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto sell = encode_to_fit<Sell>(HostContext{2}, spikes.view(), {2, 2}, {});
    EXPECT_EQ(sell->column_indices.type, k <= 65535 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(sell->column_indices, 2), k - 1);
    EXPECT_EQ(load_index(sell->column_indices, 3), padding_index(sell->column_indices.type));
    EXPECT_NO_THROW(sell->validate(*sell->status));
  }
}

TEST(Sell, RefusesWindowsThatSplitSlices) {
  const EncodedLayout layout{{1, 3, 5}};
  for (const Sell::Params params :
       {Sell::Params{32, 48}, {32, 0}, {0, 1}, {-8, 8}, {32, 2048}, {2048, 2048}, {32, 16}}) {
    EXPECT_THROW(static_cast<void>(Sell::plan(layout, params, 10)), Error)
        << params.slice_height << ", " << params.sigma;
  }
}

TEST(Sell, RefusesWhatOffsetsCannotAddress) {
  EXPECT_THROW(static_cast<void>(Sell::plan({{1, 3, 5}}, {}, std::uint64_t{1} << 32)), Error);
}

}  // namespace
}  // namespace spiketune::test
