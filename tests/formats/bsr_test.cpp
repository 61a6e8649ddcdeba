#include "spiketune/formats/bsr.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

/// 10 × 19: with blocks of 8, two block rows and three block columns, ragged both ways.
Logical example() {
  Logical logical{{1, 10, 19}, std::vector<float>(10 * 19)};
  const auto set = [&](std::uint64_t row, std::uint64_t k, float value) {
    logical.values[row * 19 + k] = value;
  };
  set(0, 1, 1);   // block (0, 0)
  set(7, 7, 2);   // block (0, 0), its last element
  set(3, 16, 3);  // block (0, 2)
  set(3, 18, 1);  // block (0, 2), the last column of the matrix
  set(9, 8, 2);   // block (1, 1), the last row of the matrix
  return logical;
}

Encoded<Bsr> encode_example(int block_size = 8) {
  const SpikeTensor spikes = store(example(), DType::u8, ValueKind::graded2, RowOrder::time_major);
  return encode_to_fit<Bsr>(HostContext{2}, spikes.view(), {block_size});
}

std::vector<std::uint32_t> to_vector(const Array<std::uint32_t>& array, std::uint64_t count) {
  return {array.data, array.data + count};
}

TEST(Bsr, HasTheArraysOfTheTextbook) {
  const Encoded<Bsr> bsr = encode_example();
  EXPECT_EQ(bsr->status->nnz, 5u);
  ASSERT_EQ(bsr->status->needed, 3u);
  EXPECT_EQ(to_vector(bsr->block_row_offsets, 3), (std::vector<std::uint32_t>{0, 2, 3}));
  ASSERT_EQ(bsr->block_column_indices.type, DType::u16);
  const auto* columns = bsr->block_column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 3), (std::vector<std::uint16_t>{0, 2, 1}));
  // A byte a row, row 0 lowest.
  EXPECT_EQ(to_vector(bsr->patterns, 6),
            (std::vector<std::uint32_t>{0x00000002, 0x80000000, 0x05000000, 0, 0x00000100, 0}));
  ASSERT_EQ(bsr->values.type, DType::u8);
  std::vector<std::uint8_t> values(3 * 64);
  values[0 * 64 + 0 * 8 + 1] = 1;
  values[0 * 64 + 7 * 8 + 7] = 2;
  values[1 * 64 + 3 * 8 + 0] = 3;
  values[1 * 64 + 3 * 8 + 2] = 1;
  values[2 * 64 + 1 * 8 + 0] = 2;
  const auto* stored = bsr->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(stored, stored + 3 * 64), values);
  EXPECT_EQ(bsr->bytes(3), 3u * 4 + 3 * (2 + 8 + 64));
  EXPECT_NO_THROW(bsr->validate(*bsr->status));
}

TEST(Bsr, PacksRowsOfEverySize) {
  // One block of 16, 32 or 64 holds all of the matrix, but for columns 16 to 18 of the first.
  const Encoded<Bsr> of_16 = encode_example(16);
  ASSERT_EQ(of_16->status->needed, 2u);
  EXPECT_EQ(to_vector(of_16->patterns, 16),
            (std::vector<std::uint32_t>{0x00000002, 0, 0, 0x00800000, 0x01000000, 0, 0, 0,  //
                                        0, 0x00050000, 0, 0, 0, 0, 0, 0}));
  const Encoded<Bsr> of_32 = encode_example(32);
  ASSERT_EQ(of_32->status->needed, 1u);
  std::vector<std::uint32_t> rows(32);
  rows[0] = 0x2;
  rows[3] = 0x50000;
  rows[7] = 0x80;
  rows[9] = 0x100;
  EXPECT_EQ(to_vector(of_32->patterns, 32), rows);
  const Encoded<Bsr> of_64 = encode_example(64);
  ASSERT_EQ(of_64->status->needed, 1u);
  std::vector<std::uint32_t> pairs(128);  // the second word of each row is beyond the last column
  for (std::size_t r = 0; r < 32; ++r) pairs[2 * r] = rows[r];
  EXPECT_EQ(to_vector(of_64->patterns, 128), pairs);
}

TEST(Bsr, StoresNoValuesOfBinarySpikes) {
  const Logical logical = random_spikes({2, 21, 70}, 0.1, ValueKind::binary, 1);
  const SpikeTensor spikes = store(logical, DType::bit, ValueKind::binary, RowOrder::time_major);
  const auto bsr = encode_to_fit<Bsr>(HostContext{2}, spikes.view(), {16});
  EXPECT_EQ(bsr->values.bytes(), 0u);
  EXPECT_EQ(bsr->bytes(10), 4u * 4 + 10 * (2 + 32));
}

TEST(Bsr, WalksRows) {
  const Logical logical = example();
  for (const int block_size : {8, 16, 32, 64}) {
    const Encoded<Bsr> bsr = encode_example(block_size);
    EXPECT_NO_THROW(bsr->validate(*bsr->status));
    for (std::uint64_t row = 0; row < 10; ++row) {
      std::vector<float> dense(19, 0.0f);
      for_each_in_row(*bsr, row, [&](std::uint32_t column, float value) { dense[column] = value; });
      for (std::uint32_t k = 0; k < 19; ++k) {
        EXPECT_EQ(dense[k], logical.values[row * 19 + k]) << row << ", " << k;
      }
    }
  }
}

TEST(Bsr, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](auto&& corrupt) {
    const Encoded<Bsr> bsr = encode_example();
    corrupt(*bsr);
    EXPECT_THROW(bsr->validate(*bsr->status), Error);
  };
  expect_refused([](const Bsr& bsr) { bsr.block_row_offsets[0] = 1; });
  expect_refused([](const Bsr& bsr) { bsr.block_row_offsets[1] = 4; });
  expect_refused([](const Bsr& bsr) { bsr.block_row_offsets[2] = 2; });
  expect_refused([](const Bsr& bsr) { store_index(bsr.block_column_indices, 1, 3); });
  expect_refused([](const Bsr& bsr) { store_index(bsr.block_column_indices, 1, 0); });
  expect_refused([](const Bsr& bsr) { bsr.patterns[0] = 0x3; });         // without a value
  expect_refused([](const Bsr& bsr) { bsr.patterns[0] = 0; });           // a value without a spike
  expect_refused([](const Bsr& bsr) { bsr.patterns[2] = 0x0d000000; });  // beyond the last column
  expect_refused([](const Bsr& bsr) {                                    // below the last row
    bsr.patterns[4] |= 0x00010000;
    bsr.values.as<std::uint8_t>()[2 * 64 + 2 * 8] = 1;
  });
  expect_refused([](const Bsr& bsr) {  // an empty block
    bsr.patterns[4] = 0;
    bsr.values.as<std::uint8_t>()[2 * 64 + 8] = 0;
    bsr.status->nnz = 4;
  });
  expect_refused([](const Bsr& bsr) { bsr.status->nnz = 6; });
  expect_refused([](const Bsr& bsr) { bsr.status->needed = bsr.capacity + 1; });
}

TEST(Bsr, ReportsExactlyWhatItNeeds) {
  const SpikeTensor spikes = store(example(), DType::u8, ValueKind::graded2, RowOrder::time_major);
  for (const std::uint64_t capacity : {0u, 2u}) {
    EncodeOptions options;
    options.capacity = capacity;
    EXPECT_EQ(encode_to_fit<Bsr>(HostContext{2}, spikes.view(), {8}, options)->capacity, 3u);
  }
}

TEST(Bsr, UsesShortIndicesWhereBlockColumnsFit) {
  for (const std::uint32_t k : {8 * 65536u, 8 * 65536u + 1}) {
    Logical logical{{1, 1, k}, std::vector<float>(k)};
    logical.values[0] = logical.values[k - 1] = 1.0f;
    const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    const auto bsr = encode_to_fit<Bsr>(HostContext{2}, spikes.view(), {8});
    EXPECT_EQ(bsr->block_column_indices.type, k == 8 * 65536 ? DType::u16 : DType::u32);
    EXPECT_EQ(load_index(bsr->block_column_indices, 1), (k - 1) / 8);
    EXPECT_NO_THROW(bsr->validate(*bsr->status));
  }
}

TEST(Bsr, ExpectsALittleMoreThanTheOccupiedBlocks) {
  const EncodedLayout layout{{1, 1024, 1024}};
  EXPECT_EQ(Bsr::bound(layout, {16}, 0.0), 64u);
  const std::uint64_t likely = Bsr::bound(layout, {16}, 0.001);  // 22.6 % of 4096 blocks
  EXPECT_GE(likely, 926u);
  EXPECT_LT(likely, 1300u);
  EXPECT_EQ(Bsr::bound(layout, {16}, 1.0), Bsr::max_capacity(layout, {16}));
}

TEST(Bsr, RefusesImpossibleParameters) {
  EXPECT_THROW(static_cast<void>(Bsr::plan({{1, 3, 5}}, {12}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Bsr::plan({{1, 3, 5}}, {0}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Bsr::plan({{1, 3, 5}}, {8}, std::uint64_t{1} << 32)), Error);
}

}  // namespace
}  // namespace spiketune::test
