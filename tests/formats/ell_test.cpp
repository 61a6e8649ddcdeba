#include "spiketune/formats/ell.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/ell.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

constexpr std::uint16_t pad = 0xffff;

//   columns 0 1 2 3 4
//   row 0   . 1 . . 2
//   row 1   . . . . .
//   row 2   3 . 1 2 .
const Logical example{{1, 3, 5}, {0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 1, 2, 0}};

Encoded<Ell> encode_example(std::uint64_t width) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  EncodeOptions options;
  options.capacity = width;
  return encode_to_fit<Ell>(HostContext{2}, spikes.view(), {}, options);
}

TEST(Ell, HasTheArraysOfTheTextbook) {
  const Encoded<Ell> ell = encode_example(3);
  ASSERT_EQ(ell->width(), 3u);
  EXPECT_EQ(ell->status->nnz, 5u);
  EXPECT_EQ(ell->status->needed, 3u);
  ASSERT_EQ(ell->column_indices.type, DType::u16);
  const auto* columns = ell->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 9),
            (std::vector<std::uint16_t>{1, 4, pad, pad, pad, pad, 0, 2, 3}));
  ASSERT_EQ(ell->values.type, DType::u8);
  const auto* values = ell->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(values, values + 9),
            (std::vector<std::uint8_t>{1, 2, 0, 0, 0, 0, 3, 1, 2}));
  EXPECT_EQ(ell->bytes(3), 9u * (2 + 1));
  EXPECT_NO_THROW(ell->validate(*ell->status));
}

TEST(Ell, PadsARowThatFillsNoSlot) {
  const Encoded<Ell> ell = encode_example(4);
  const auto* columns = ell->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 12),
            (std::vector<std::uint16_t>{1, 4, pad, pad, pad, pad, pad, pad, 0, 2, 3, pad}));
  EXPECT_NO_THROW(ell->validate(*ell->status));
}

TEST(Ell, WalksRows) {
  const Encoded<Ell> ell = encode_example(3);
  for (std::uint64_t row = 0; row < 3; ++row) {
    std::vector<float> dense(5, 0.0f);
    for_each_in_row(*ell, row, [&](std::uint32_t column, float value) { dense[column] = value; });
    for (std::uint32_t k = 0; k < 5; ++k) {
      EXPECT_EQ(dense[k], example.values[row * 5 + k]) << row << ", " << k;
    }
  }
}

TEST(Ell, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](auto&& corrupt) {
    const Encoded<Ell> ell = encode_example(3);
    corrupt(*ell);
    EXPECT_THROW(ell->validate(*ell->status), Error);
  };
  expect_refused([](const Ell& ell) { store_index(ell.column_indices, 1, 5); });
  expect_refused([](const Ell& ell) { store_index(ell.column_indices, 1, 1); });
  expect_refused([](const Ell& ell) { store_index(ell.column_indices, 0, pad); });
  expect_refused([](const Ell& ell) { detail::store_padding(ell.column_indices, ell.values, 8); });
  expect_refused([](const Ell& ell) { ell.values.as<std::uint8_t>()[0] = 0; });
  expect_refused([](const Ell& ell) { ell.values.as<std::uint8_t>()[4] = 1; });
  expect_refused([](const Ell& ell) { ell.status->needed = 2; });
}

TEST(Ell, ReportsExactlyWhatItNeeds) {
  EXPECT_EQ(encode_example(0)->capacity, 3u);
  EXPECT_EQ(encode_example(2)->capacity, 3u);
  EXPECT_EQ(encode_example(100)->capacity, 5u);  // K: no row is longer
}

TEST(Ell, UsesShortIndicesWhereTheyAndThePaddingFit) {
  for (const std::uint32_t k : {65535u, 65536u, 65537u}) {
    Logical logical{{1, 2, k}, std::vector<float>(2 * std::size_t{k})};
    logical.values[0] = logical.values[k - 1] = logical.values[2 * std::size_t{k} - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    EncodeOptions options;
    options.capacity = 2;
    const auto ell = encode_to_fit<Ell>(HostContext{2}, spikes.view(), {}, options);
    EXPECT_EQ(ell->column_indices.type, k <= 65535 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(ell->column_indices, 1), k - 1);
    EXPECT_EQ(load_index(ell->column_indices, 3), padding_index(ell->column_indices.type));
    EXPECT_NO_THROW(ell->validate(*ell->status));
  }
}

TEST(Ell, RefusesWhatNoMemoryHolds) {
  const EncodedLayout layout{{1, 0xfffffffe, 0xfffffffd}};
  EXPECT_THROW(static_cast<void>(Ell::plan(layout, {}, 0xfffffffd)), Error);
}

TEST(Ell, ExpectsTheLongestRow) {
  const EncodedLayout layout{{1, 1000, 1024}};
  const std::uint64_t width = Ell::bound(layout, {}, 0.05);
  EXPECT_GT(width, 80u);
  EXPECT_LT(width, 110u);
  EXPECT_EQ(Ell::bound(layout, {}, 1.0), 1024u);
}

}  // namespace
}  // namespace spiketune::test
