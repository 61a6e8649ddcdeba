#include "spiketune/formats/cvs.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/cvs.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

//   columns 0 1 2 3 4
//   row 0   . 1 . . 2
//   row 1   . . . . .
//   row 2   3 2 . . .
//   row 3   . . 1 . .
//   row 4   . 1 . . .
const Logical example{{1, 5, 5},
                      {0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}};

Encoded<Cvs> encode_example(int vector = 4) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  return encode_to_fit<Cvs>(HostContext{2}, spikes.view(), {vector});
}

TEST(Cvs, HasTheArraysOfTheTextbook) {
  const Encoded<Cvs> cvs = encode_example();
  EXPECT_EQ(cvs->status->nnz, 6u);
  ASSERT_EQ(cvs->status->needed, 5u);
  EXPECT_EQ(std::vector(cvs->vector_offsets.data, cvs->vector_offsets.data + 3),
            (std::vector<std::uint32_t>{0, 4, 5}));
  ASSERT_EQ(cvs->column_indices.type, DType::u16);
  const auto* columns = cvs->column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 5), (std::vector<std::uint16_t>{0, 1, 2, 4, 1}));
  ASSERT_EQ(cvs->masks.type, DType::u8);
  const auto* masks = cvs->masks.as<std::uint8_t>();
  EXPECT_EQ(std::vector(masks, masks + 5), (std::vector<std::uint8_t>{4, 5, 8, 1, 1}));
  ASSERT_EQ(cvs->values.type, DType::u8);
  const auto* values = cvs->values.as<std::uint8_t>();
  EXPECT_EQ(
      std::vector(values, values + 20),
      (std::vector<std::uint8_t>{0, 0, 3, 0, 1, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(cvs->bytes(5), 3u * 4 + 5 * (2 + 1 + 4));
  EXPECT_NO_THROW(cvs->validate(*cvs->status));
}

TEST(Cvs, MakesLongerVectors) {
  const Encoded<Cvs> of_8 = encode_example(8);
  ASSERT_EQ(of_8->status->needed, 4u);
  const auto* bytes = of_8->masks.as<std::uint8_t>();
  EXPECT_EQ(std::vector(bytes, bytes + 4), (std::vector<std::uint8_t>{4, 0x15, 8, 1}));
  const Encoded<Cvs> of_16 = encode_example(16);
  ASSERT_EQ(of_16->masks.type, DType::u16);
  const auto* masks = of_16->masks.as<std::uint16_t>();
  EXPECT_EQ(std::vector(masks, masks + 4), (std::vector<std::uint16_t>{4, 0x15, 8, 1}));
  EXPECT_EQ(of_16->bytes(4), 2u * 4 + 4 * (2 + 2 + 16));
}

// Every row and column of a word has its place in the masks.
TEST(Cvs, TransposesBits) {
  for (const int vector : {4, 8, 16}) {
    const Logical logical = random_spikes({1, 37, 75}, 0.3, ValueKind::binary, 3);
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto cvs = encode_to_fit<Cvs>(HostContext{2}, spikes.view(), {vector});
    EXPECT_NO_THROW(cvs->validate(*cvs->status));
    const auto v = static_cast<std::uint64_t>(vector);
    for (std::uint64_t group = 0; group < cvs->groups(); ++group) {
      for (std::uint64_t i = cvs->vector_offsets[group]; i < cvs->vector_offsets[group + 1]; ++i) {
        const std::uint32_t column = load_index(cvs->column_indices, i);
        for (std::uint64_t r = 0; r < v && group * v + r < 37; ++r) {
          EXPECT_EQ((cvs->mask(i) >> r & 1u) != 0,
                    logical.values[(group * v + r) * 75 + column] != 0.0f);
        }
      }
    }
  }
}

TEST(Cvs, WalksRows) {
  for (const int vector : {4, 8, 16}) {
    const Encoded<Cvs> cvs = encode_example(vector);
    EXPECT_NO_THROW(cvs->validate(*cvs->status));
    for (std::uint64_t row = 0; row < 5; ++row) {
      std::vector<float> dense(5, 0.0f);
      for_each_in_row(*cvs, row, [&](std::uint32_t column, float value) { dense[column] = value; });
      for (std::uint32_t k = 0; k < 5; ++k) {
        EXPECT_EQ(dense[k], example.values[row * 5 + k]) << row << ", " << k;
      }
    }
  }
}

TEST(Cvs, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](auto&& corrupt) {
    const Encoded<Cvs> cvs = encode_example();
    corrupt(*cvs);
    EXPECT_THROW(cvs->validate(*cvs->status), Error);
  };
  expect_refused([](const Cvs& cvs) { cvs.vector_offsets[0] = 1; });
  expect_refused([](const Cvs& cvs) { cvs.vector_offsets[1] = 6; });
  expect_refused([](const Cvs& cvs) { cvs.vector_offsets[2] = 4; });
  expect_refused([](const Cvs& cvs) { store_index(cvs.column_indices, 1, 0); });
  expect_refused([](const Cvs& cvs) { store_index(cvs.column_indices, 3, 5); });
  expect_refused([](const Cvs& cvs) { cvs.store_mask(0, 5); });  // without a value
  expect_refused([](const Cvs& cvs) { cvs.store_mask(1, 1); });  // a value without a spike
  expect_refused([](const Cvs& cvs) {                            // below the last row
    cvs.store_mask(4, 3);
    cvs.values.as<std::uint8_t>()[17] = 1;
    cvs.status->nnz = 7;
  });
  expect_refused([](const Cvs& cvs) {  // an empty vector
    cvs.store_mask(0, 0);
    cvs.values.as<std::uint8_t>()[2] = 0;
    cvs.status->nnz = 5;
  });
  expect_refused([](const Cvs& cvs) { cvs.status->nnz = 7; });
  expect_refused([](const Cvs& cvs) { cvs.status->needed = cvs.capacity + 1; });
}

TEST(Cvs, ReportsExactlyWhatItNeeds) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  for (const std::uint64_t capacity : {0u, 4u}) {
    EncodeOptions options;
    options.capacity = capacity;
    EXPECT_EQ(encode_to_fit<Cvs>(HostContext{2}, spikes.view(), {4}, options)->capacity, 5u);
  }
}

TEST(Cvs, UsesShortIndicesWhereTheyFit) {
  for (const std::uint32_t k : {65536u, 65537u}) {
    Logical logical{{1, 2, k}, std::vector<float>(2 * std::size_t{k})};
    logical.values[0] = logical.values[2 * std::size_t{k} - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto cvs = encode_to_fit<Cvs>(HostContext{2}, spikes.view());
    EXPECT_EQ(cvs->column_indices.type, k <= 65536 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(cvs->column_indices, 1), k - 1);
    EXPECT_EQ(cvs->mask(1), 2u);
    EXPECT_EQ(cvs->values.bytes(), 0u);
    EXPECT_NO_THROW(cvs->validate(*cvs->status));
  }
}

TEST(Cvs, ExpectsALittleMoreThanTheVectors) {
  const EncodedLayout layout{{1, 1024, 1024}};
  const std::uint64_t likely = Cvs::bound(layout, {8}, 0.05);  // 33.7 % of 131072
  EXPECT_GE(likely, 44118u);
  EXPECT_LT(likely, 46000u);
  EXPECT_EQ(Cvs::bound(layout, {8}, 1.0), Cvs::max_capacity(layout, {8}));
}

TEST(Cvs, RefusesImpossibleParameters) {
  EXPECT_THROW(static_cast<void>(Cvs::plan({{1, 3, 5}}, {5}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Cvs::plan({{1, 3, 5}}, {0}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Cvs::plan({{1, 3, 5}}, {8}, std::uint64_t{1} << 32)), Error);
}

}  // namespace
}  // namespace spiketune::test
