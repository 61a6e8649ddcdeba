#include "spiketune/formats/hyb.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/hyb.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

constexpr std::uint16_t pad = 0xffff;

//   columns 0 1 2 3 4
//   row 0   . 1 . . 2
//   row 1   . . . . .
//   row 2   3 . 1 2 .
const Logical example{{1, 3, 5}, {0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 1, 2, 0}};

Encoded<Hyb> encode_example(int width, std::uint64_t capacity = 5) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  EncodeOptions options;
  options.capacity = capacity;
  return encode_to_fit<Hyb>(HostContext{2}, spikes.view(), {width}, options);
}

TEST(Hyb, HasTheArraysOfTheTextbook) {
  const Encoded<Hyb> hyb = encode_example(2);
  EXPECT_EQ(hyb->status->nnz, 5u);
  ASSERT_EQ(hyb->status->needed, 1u);
  ASSERT_EQ(hyb->column_indices.type, DType::u16);
  const auto* columns = hyb->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 6), (std::vector<std::uint16_t>{1, 4, pad, pad, 0, 2}));
  const auto* values = hyb->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(values, values + 6), (std::vector<std::uint8_t>{1, 2, 0, 0, 3, 1}));
  EXPECT_EQ(hyb->tail_row_indices[0], 2u);
  ASSERT_EQ(hyb->tail_column_indices.type, DType::u16);
  EXPECT_EQ(load_index(hyb->tail_column_indices, 0), 3u);
  EXPECT_EQ(load_value(hyb->tail_values, 0), 2.0f);
  EXPECT_EQ(hyb->bytes(1), 6u * (2 + 1) + (4 + 2 + 1));
  EXPECT_NO_THROW(hyb->validate(*hyb->status));
}

TEST(Hyb, WalksRows) {
  for (const int width : {0, 1, 2, 3, 100}) {
    const Encoded<Hyb> hyb = encode_example(width);
    EXPECT_NO_THROW(hyb->validate(*hyb->status));
    for (std::uint64_t row = 0; row < 3; ++row) {
      std::vector<float> dense(5, 0.0f);
      std::uint32_t next = 0;
      for_each_in_row(*hyb, row, [&](std::uint32_t column, float value) {
        EXPECT_GE(column, next);
        next = column + 1;
        dense[column] = value;
      });
      for (std::uint32_t k = 0; k < 5; ++k) {
        EXPECT_EQ(dense[k], example.values[row * 5 + k]) << row << ", " << k;
      }
    }
  }
}

TEST(Hyb, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](int width, auto&& corrupt) {
    const Encoded<Hyb> hyb = encode_example(width);
    corrupt(*hyb);
    EXPECT_THROW(hyb->validate(*hyb->status), Error);
  };
  expect_refused(2, [](const Hyb& hyb) { store_index(hyb.column_indices, 1, 5); });
  expect_refused(2, [](const Hyb& hyb) { store_index(hyb.column_indices, 1, 1); });
  expect_refused(2, [](const Hyb& hyb) { store_index(hyb.column_indices, 0, pad); });
  expect_refused(2, [](const Hyb& hyb) { hyb.values.as<std::uint8_t>()[0] = 0; });
  expect_refused(2, [](const Hyb& hyb) { hyb.values.as<std::uint8_t>()[2] = 1; });
  expect_refused(2, [](const Hyb& hyb) { hyb.tail_row_indices[0] = 1; });  // has free slots
  expect_refused(2, [](const Hyb& hyb) { hyb.tail_row_indices[0] = 3; });
  expect_refused(2, [](const Hyb& hyb) { store_index(hyb.tail_column_indices, 0, 2); });
  expect_refused(2, [](const Hyb& hyb) { store_index(hyb.tail_column_indices, 0, 5); });
  expect_refused(2, [](const Hyb& hyb) { hyb.tail_values.as<std::uint8_t>()[0] = 0; });
  expect_refused(1, [](const Hyb& hyb) { store_index(hyb.tail_column_indices, 2, 2); });
  expect_refused(2, [](const Hyb& hyb) { hyb.status->nnz = 6; });
  expect_refused(2, [](const Hyb& hyb) { hyb.status->needed = hyb.capacity + 1; });
}

TEST(Hyb, ReportsExactlyWhatItNeeds) {
  EXPECT_EQ(encode_example(1, 0)->capacity, 3u);
  EXPECT_EQ(encode_example(1, 2)->capacity, 3u);
  EXPECT_EQ(encode_example(2, 0)->capacity, 1u);
  EXPECT_EQ(encode_example(3, 0)->capacity, 0u);
  EXPECT_EQ(encode_example(0, 0)->capacity, 5u);
}

TEST(Hyb, UsesShortIndicesWhereTheyAndThePaddingFit) {
  for (const std::uint32_t k : {65535u, 65536u, 65537u}) {
    Logical logical{{1, 2, k}, std::vector<float>(2 * std::size_t{k})};
    logical.values[0] = logical.values[k - 2] = logical.values[k - 1] = 1.0f;
    logical.values[2 * std::size_t{k} - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto hyb = encode_to_fit<Hyb>(HostContext{2}, spikes.view(), {2}, {});
    EXPECT_EQ(hyb->column_indices.type, k <= 65535 ? DType::u16 : DType::u32);
    EXPECT_EQ(hyb->tail_column_indices.type, k <= 65536 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(hyb->tail_column_indices, 0), k - 1);
    EXPECT_EQ(load_index(hyb->column_indices, 3), padding_index(hyb->column_indices.type));
    EXPECT_NO_THROW(hyb->validate(*hyb->status));
  }
}

TEST(Hyb, OffersNoWidthTwice) {
  EXPECT_EQ(Hyb::choices({{1, 4, 20}}, DType::f32), (std::vector<Hyb::Params>{{20}, {8}}));
  EXPECT_EQ(Hyb::choices({{1, 4, 500}}, DType::f32), (std::vector<Hyb::Params>{{32}, {8}, {128}}));
}

TEST(Hyb, RefusesAnImpossibleWidth) {
  EXPECT_THROW(static_cast<void>(Hyb::plan({{1, 3, 5}}, {-1}, 0)), Error);
}

TEST(Hyb, ExpectsALittleMoreThanTheTail) {
  const EncodedLayout layout{{1, 10000, 1000}};
  const std::uint64_t exact = 10000 * (100 - 8);  // every row is longer than 8
  EXPECT_GE(Hyb::bound(layout, {8}, 0.1), exact);
  EXPECT_LT(Hyb::bound(layout, {8}, 0.1), exact * 11 / 10);
  EXPECT_LT(Hyb::bound(layout, {128}, 0.05), 1000u);  // hardly any
  EXPECT_EQ(Hyb::bound(layout, {8}, 1.0), Hyb::max_capacity(layout, {8}));
}

}  // namespace
}  // namespace spiketune::test
