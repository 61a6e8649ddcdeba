#include "spiketune/formats/two_four.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/two_four.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

constexpr std::uint32_t empty = 0xcccccccc;  ///< metadata of eight groups without a spike

//   columns 0123 45
//   row 0   .1.. 23
//   row 1   12.3 ..
//   row 2   .... .1
//   row 3   3121 12
const Logical example{{1, 4, 6},
                      {0, 1, 0, 0, 2, 3, 1, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 3, 1, 2, 1, 1, 2}};

Encoded<TwoFour> encode_example(bool prune = false) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  return encode_to_fit<TwoFour>(HostContext{2}, spikes.view(), {prune});
}

struct Row {
  std::uint32_t spikes;  ///< bit c: column c
  std::uint32_t metadata, presence, residual;
};
/// The table of formats/slots.hpp.
constexpr Row table[16] = {
    {0x0, 0b1100, 0b00, 0x0}, {0x1, 0b1100, 0b01, 0x0}, {0x2, 0b1101, 0b01, 0x0},
    {0x3, 0b0100, 0b11, 0x0}, {0x4, 0b1110, 0b01, 0x0}, {0x5, 0b1000, 0b11, 0x0},
    {0x6, 0b1001, 0b11, 0x0}, {0x7, 0b0100, 0b11, 0x4}, {0x8, 0b1100, 0b10, 0x0},
    {0x9, 0b1100, 0b11, 0x0}, {0xa, 0b1101, 0b11, 0x0}, {0xb, 0b0100, 0b11, 0x8},
    {0xc, 0b1110, 0b11, 0x0}, {0xd, 0b1000, 0b11, 0x8}, {0xe, 0b1001, 0b11, 0x8},
    {0xf, 0b0100, 0b11, 0xc}};

TEST(Slots, HoldTheTwoLowestSpikesOfAGroup) {
  for (const Row& row : table) {
    for (std::uint32_t group = 0; group < 8; ++group) {
      // All other groups are the complement, so that nothing leaks from one to the next.
      const std::uint32_t here = 0xfu << (4 * group);
      const Row& other = table[~row.spikes & 0xfu];
      const SplitGroups split =
          split_groups((0x11111111u * row.spikes & here) | (0x11111111u * other.spikes & ~here));
      EXPECT_EQ(split.metadata,
                (0x11111111u * row.metadata & here) | (0x11111111u * other.metadata & ~here));
      EXPECT_EQ(split.residual,
                (0x11111111u * row.residual & here) | (0x11111111u * other.residual & ~here));
      const std::uint32_t pair = 3u << (2 * group);
      EXPECT_EQ(split.presence,
                (0x5555u * row.presence & pair) | (0x5555u * other.presence & ~pair & 0xffffu));
      EXPECT_EQ(join_groups(split.metadata, split.presence),
                (0x11111111u * (row.spikes ^ row.residual) & here) |
                    (0x11111111u * (other.spikes ^ other.residual) & ~here));
    }
    EXPECT_LT(row.metadata & 3u, row.metadata >> 2);  // what the hardware demands
  }
}

TEST(TwoFour, HasTheArraysOfTheTextbook) {
  const Encoded<TwoFour> two_four = encode_example();
  EXPECT_EQ(two_four->status->nnz, 13u);
  ASSERT_EQ(two_four->status->needed, 3u);
  EXPECT_EQ(two_four->status->lost, 0u);
  ASSERT_EQ(two_four->words_per_row, 1u);
  EXPECT_EQ(std::vector(two_four->metadata.data, two_four->metadata.data + 4),
            (std::vector<std::uint32_t>{0xcccccc4d, 0xccccccc4, 0xccccccdc, 0xcccccc44}));
  EXPECT_EQ(std::vector(two_four->presence.data, two_four->presence.data + 4),
            (std::vector<std::uint32_t>{0b1101, 0b0011, 0b0100, 0b1111}));
  std::vector<std::uint8_t> values(64);
  values[0 + 0] = 1, values[0 + 2] = 2, values[0 + 3] = 3;
  values[16 + 0] = 1, values[16 + 1] = 2;
  values[32 + 2] = 1;
  values[48 + 0] = 3, values[48 + 1] = 1, values[48 + 2] = 1, values[48 + 3] = 2;
  const auto* stored = two_four->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(stored, stored + 64), values);
  EXPECT_EQ(
      std::vector(two_four->residual_row_offsets.data, two_four->residual_row_offsets.data + 5),
      (std::vector<std::uint32_t>{0, 0, 1, 1, 3}));
  ASSERT_EQ(two_four->residual_column_indices.type, DType::u16);
  const auto* columns = two_four->residual_column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 3), (std::vector<std::uint16_t>{3, 2, 3}));
  const auto* residual = two_four->residual_values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(residual, residual + 3), (std::vector<std::uint8_t>{3, 2, 1}));
  EXPECT_EQ(two_four->bytes(3), 4u * (4 + 4 + 16) + 5 * 4 + 3 * (2 + 1));
  EXPECT_NO_THROW(two_four->validate(*two_four->status));
}

TEST(TwoFour, WalksRows) {
  const Encoded<TwoFour> two_four = encode_example();
  for (std::uint64_t row = 0; row < 4; ++row) {
    std::vector<float> dense(6, 0.0f);
    std::uint32_t next = 0;
    for_each_in_row(*two_four, row, [&](std::uint32_t column, float value) {
      EXPECT_GE(column, next);
      next = column + 1;
      dense[column] = value;
    });
    for (std::uint32_t k = 0; k < 6; ++k) {
      EXPECT_EQ(dense[k], example.values[row * 6 + k]) << row << ", " << k;
    }
  }
}

TEST(TwoFour, PrunesExactlyWhatItSays) {
  const Encoded<TwoFour> pruned = encode_example(true);
  EXPECT_EQ(pruned->status->nnz, 13u);
  EXPECT_EQ(pruned->status->needed, 0u);
  EXPECT_EQ(pruned->status->lost, 3u);
  EXPECT_EQ(pruned->capacity, 0u);
  EXPECT_EQ(pruned->residual_row_offsets.size, 0u);
  EXPECT_EQ(pruned->bytes(0), 4u * (4 + 4 + 16));
  EXPECT_NO_THROW(pruned->validate(*pruned->status));
  const Encoded<TwoFour> whole = encode_example();
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(pruned->metadata[i], whole->metadata[i]);
    EXPECT_EQ(pruned->presence[i], whole->presence[i]);
  }
  std::vector<float> row;
  for_each_in_row(*pruned, 3,
                  [&](std::uint32_t column, float) { row.push_back(static_cast<float>(column)); });
  EXPECT_EQ(row, (std::vector<float>{0, 1, 4, 5}));
}

TEST(TwoFour, PutsTwoWordsIntoOneOfPresence) {
  Logical logical{{1, 2, 70}, std::vector<float>(140)};  // three words, two of presence
  logical.values[0] = logical.values[35] = logical.values[69] = 1.0f;
  logical.values[70 + 64] = logical.values[70 + 65] = logical.values[70 + 66] = 1.0f;
  const SpikeTensor spikes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
  const auto two_four = encode_to_fit<TwoFour>(HostContext{2}, spikes.view());
  EXPECT_EQ(std::vector(two_four->metadata.data, two_four->metadata.data + 6),
            (std::vector<std::uint32_t>{empty, empty, 0xccccccdc, empty, empty, 0xccccccc4}));
  EXPECT_EQ(std::vector(two_four->presence.data, two_four->presence.data + 4),
            (std::vector<std::uint32_t>{0x00020001, 0x00000004, 0, 0x00000003}));
  EXPECT_EQ(two_four->values.bytes(), 0u);
  EXPECT_EQ(two_four->status->needed, 1u);
  EXPECT_EQ(load_index(two_four->residual_column_indices, 0), 66u);
  EXPECT_NO_THROW(two_four->validate(*two_four->status));
}

TEST(TwoFour, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](bool prune, auto&& corrupt) {
    const Encoded<TwoFour> two_four = encode_example(prune);
    corrupt(*two_four);
    EXPECT_THROW(two_four->validate(*two_four->status), Error);
  };
  // Slots in the wrong order, twice the same column, an empty slot that names another column.
  expect_refused(false, [](const TwoFour& f) { f.metadata[1] = 0xccccccc1; });
  expect_refused(false, [](const TwoFour& f) { f.metadata[1] = 0xccccccc0; });
  expect_refused(false, [](const TwoFour& f) { f.metadata[0] = 0xcccccc49; });
  expect_refused(false, [](const TwoFour& f) { f.metadata[2] = 0x4cccccdc; });
  // A missing spike, one without a value, one beyond K, one in a group that is padding.
  expect_refused(false, [](const TwoFour& f) { f.presence[1] = 0b0001; });
  expect_refused(false, [](const TwoFour& f) { f.presence[2] = 0b1100; });
  expect_refused(false, [](const TwoFour& f) { f.metadata[2] = 0xccccccec; });
  expect_refused(false, [](const TwoFour& f) { f.presence[2] |= 1u << 4; });
  expect_refused(false, [](const TwoFour& f) { f.presence[2] |= 1u << 16; });
  expect_refused(false, [](const TwoFour& f) { f.values.as<std::uint8_t>()[0] = 0; });
  expect_refused(false, [](const TwoFour& f) { f.values.as<std::uint8_t>()[1] = 1; });
  // The residual.
  expect_refused(false, [](const TwoFour& f) { f.residual_row_offsets[1] = 2; });
  expect_refused(false, [](const TwoFour& f) { f.residual_row_offsets[4] = 2; });
  expect_refused(false, [](const TwoFour& f) { store_index(f.residual_column_indices, 0, 5); });
  expect_refused(false, [](const TwoFour& f) { store_index(f.residual_column_indices, 0, 1); });
  expect_refused(false, [](const TwoFour& f) { store_index(f.residual_column_indices, 2, 2); });
  expect_refused(false, [](const TwoFour& f) { f.residual_values.as<std::uint8_t>()[1] = 0; });
  expect_refused(false, [](const TwoFour& f) { f.status->nnz = 12; });
  expect_refused(false, [](const TwoFour& f) { f.status->lost = 1, f.status->nnz = 14; });
  expect_refused(false, [](const TwoFour& f) { f.status->needed = f.capacity + 1; });
  expect_refused(true, [](const TwoFour& f) { f.status->lost = 2; });
  expect_refused(true, [](const TwoFour& f) { f.status->needed = 1; });
}

TEST(TwoFour, ReportsExactlyWhatItNeeds) {
  const SpikeTensor spikes = store(example, DType::u8, ValueKind::graded2, RowOrder::time_major);
  for (const std::uint64_t capacity : {0u, 2u}) {
    EncodeOptions options;
    options.capacity = capacity;
    EXPECT_EQ(encode_to_fit<TwoFour>(HostContext{2}, spikes.view(), {}, options)->capacity, 3u);
  }
}

TEST(TwoFour, ExpectsALittleMoreThanTheResidual) {
  const EncodedLayout layout{{1, 1000, 1000}};
  const std::uint64_t likely = TwoFour::bound(layout, {}, 0.1);  // 4 p³ (1 - p) + 2 p⁴ a group
  EXPECT_GE(likely, 950u);
  EXPECT_LT(likely, 1300u);
  EXPECT_EQ(TwoFour::bound(layout, {}, 1.0), 500000u);
  EXPECT_EQ(TwoFour::max_capacity({{1, 10, 7}}, {}), 30u);
  EXPECT_EQ(TwoFour::max_capacity({{1, 10, 6}}, {}), 20u);
  EXPECT_EQ(TwoFour::bound(layout, {true}, 1.0), 0u);
}

TEST(TwoFour, RefusesWhatOffsetsCannotAddress) {
  EXPECT_THROW(static_cast<void>(TwoFour::plan({{1, 3, 5}}, {}, std::uint64_t{1} << 32)), Error);
}

}  // namespace
}  // namespace spiketune::test
