#include "spiketune/formats/vnm.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/encoders/vnm.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

//   columns 01234567 89
//   row 0   .1..23.1 .1     spikes of columns 0 to 7   0 2 1 0 1 1 0 2
//   row 1   .12....3 ..     selected                   1 2 4 7
//   row 17  ........ 2.     in another row of blocks
//
// Columns 8 and 9: block 1 of row 0 selects 8 and 9, and two columns that lie beyond K.
Logical example() {
  Logical logical{{1, 18, 10}, std::vector<float>(180)};
  const std::vector<float> row_0{0, 1, 0, 0, 2, 3, 0, 1, 0, 1};
  const std::vector<float> row_1{0, 1, 2, 0, 0, 0, 0, 3, 0, 0};
  std::copy(row_0.begin(), row_0.end(), logical.values.begin());
  std::copy(row_1.begin(), row_1.end(), logical.values.begin() + 10);
  logical.values[17 * 10 + 8] = 2;
  return logical;
}

Encoded<Vnm> encode_example(const Vnm::Params& params = {16, 8, false}) {
  const SpikeTensor spikes = store(example(), DType::u8, ValueKind::graded2, RowOrder::time_major);
  return encode_to_fit<Vnm>(HostContext{2}, spikes.view(), params);
}

TEST(Vnm, HasTheArraysOfTheTextbook) {
  const Encoded<Vnm> vnm = encode_example();
  EXPECT_EQ(vnm->status->nnz, 9u);
  ASSERT_EQ(vnm->status->needed, 3u);
  EXPECT_EQ(vnm->status->lost, 0u);
  ASSERT_EQ(vnm->words_per_row, 1u);
  // Where no column has a spike, or only the first has: the lowest four.
  EXPECT_EQ(std::vector(vnm->selected.data, vnm->selected.data + 4),
            (std::vector<std::uint32_t>{0x07040201, 0x03020100, 0x03020100, 0x03020100}));
  // Row 0 at columns 1 2 4 7: 1.23 -> slots 0 and 2. Row 1: 12.3 -> slots 0 and 1.
  std::vector<std::uint32_t> metadata(18, 0xcccccccc);
  metadata[0] = 0xccccccd8;
  metadata[1] = 0xccccccc4;
  EXPECT_EQ(std::vector(vnm->metadata.data, vnm->metadata.data + 18), metadata);
  std::vector<std::uint32_t> presence(18, 0);
  presence[0] = 0b0111;
  presence[1] = 0b0011;
  presence[17] = 0b0100;
  EXPECT_EQ(std::vector(vnm->presence.data, vnm->presence.data + 18), presence);
  std::vector<std::uint8_t> values(18 * 16);
  values[0] = 1, values[1] = 2, values[2] = 1;
  values[16] = 1, values[17] = 2;
  values[17 * 16 + 2] = 2;
  const auto* stored = vnm->values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(stored, stored + 18 * 16), values);
  std::vector<std::uint32_t> offsets(19, 3);
  offsets[0] = 0, offsets[1] = 2;
  EXPECT_EQ(std::vector(vnm->residual_row_offsets.data, vnm->residual_row_offsets.data + 19),
            offsets);
  ASSERT_EQ(vnm->residual_column_indices.type, DType::u16);
  const auto* columns = vnm->residual_column_indices.as<std::uint16_t>();
  EXPECT_EQ(std::vector(columns, columns + 3), (std::vector<std::uint16_t>{5, 7, 7}));
  const auto* residual = vnm->residual_values.as<std::uint8_t>();
  EXPECT_EQ(std::vector(residual, residual + 3), (std::vector<std::uint8_t>{3, 1, 3}));
  EXPECT_EQ(vnm->bytes(3), 4u * 4 + 18 * (4 + 4 + 16) + 19 * 4 + 3 * (2 + 1));
  EXPECT_NO_THROW(vnm->validate(*vnm->status));
}

TEST(Vnm, WalksRows) {
  const Logical logical = example();
  for (const Vnm::Params& params : {Vnm::Params{16, 8, false}, Vnm::Params{64, 8, false},
                                    Vnm::Params{16, 16, false}, Vnm::Params{128, 32, false}}) {
    const Encoded<Vnm> vnm = encode_example(params);
    EXPECT_NO_THROW(vnm->validate(*vnm->status));
    for (std::uint64_t row = 0; row < 18; ++row) {
      std::vector<float> dense(10, 0.0f);
      std::uint32_t next = 0;
      for_each_in_row(*vnm, row, [&](std::uint32_t column, float value) {
        EXPECT_GE(column, next);
        next = column + 1;
        dense[column] = value;
      });
      for (std::uint32_t k = 0; k < 10; ++k) {
        EXPECT_EQ(dense[k], logical.values[row * 10 + k]) << row << ", " << k;
      }
    }
  }
}

// Blocks that fill several words of metadata, with rows and columns to spare.
TEST(Vnm, PutsBlocksTogether) {
  const Logical logical = random_spikes({3, 51, 333}, 0.25, ValueKind::graded2, 5);
  for (const int v : {16, 32, 64, 128}) {
    for (const int m : {8, 16, 32}) {
      for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
        const SpikeTensor spikes =
            store(logical, DType::u2, ValueKind::graded2, RowOrder::time_major);
        const auto vnm =
            encode_to_fit<Vnm>(HostContext{2}, spikes.view(), {v, m, false}, {order, 0.25, {}});
        EXPECT_NO_THROW(vnm->validate(*vnm->status));
        for (std::uint64_t row = 0; row < logical.shape.m(); ++row) {
          std::vector<float> dense(333, 0.0f);
          for_each_in_row(*vnm, row,
                          [&](std::uint32_t column, float value) { dense[column] = value; });
          for (std::uint32_t k = 0; k < 333; ++k) {
            ASSERT_EQ(dense[k], logical.at(row, k, order)) << row << ", " << k;
          }
        }
      }
    }
  }
}

TEST(Vnm, SelectsLowerColumnsWhereCountsAreEqual) {
  const Logical full{{1, 16, 8}, std::vector<float>(128, 1.0f)};
  const SpikeTensor spikes = store(full, DType::u8, ValueKind::binary, RowOrder::time_major);
  const auto vnm = encode_to_fit<Vnm>(HostContext{2}, spikes.view());
  EXPECT_EQ(vnm->selected[0], 0x03020100u);
  EXPECT_EQ(vnm->status->needed, Vnm::max_capacity(vnm->layout, {}));
  EXPECT_EQ(vnm->status->needed, 16u * 6);
}

TEST(Vnm, PrunesExactlyWhatItSays) {
  const Encoded<Vnm> pruned = encode_example({16, 8, true});
  EXPECT_EQ(pruned->status->nnz, 9u);
  EXPECT_EQ(pruned->status->needed, 0u);
  EXPECT_EQ(pruned->status->lost, 3u);
  EXPECT_EQ(pruned->capacity, 0u);
  EXPECT_EQ(pruned->residual_row_offsets.size, 0u);
  EXPECT_EQ(pruned->bytes(0), 4u * 4 + 18 * (4 + 4 + 16));
  EXPECT_NO_THROW(pruned->validate(*pruned->status));
  const Encoded<Vnm> whole = encode_example();
  for (std::uint64_t i = 0; i < 18; ++i) {
    EXPECT_EQ(pruned->metadata[i], whole->metadata[i]);
    EXPECT_EQ(pruned->presence[i], whole->presence[i]);
  }
  std::vector<std::uint32_t> columns;
  for_each_in_row(*pruned, 0, [&](std::uint32_t column, float) { columns.push_back(column); });
  EXPECT_EQ(columns, (std::vector<std::uint32_t>{1, 4, 9}));
}

TEST(Vnm, RefusesWhatIsCorrupt) {
  const auto expect_refused = [](bool prune, auto&& corrupt) {
    const Encoded<Vnm> vnm = encode_example({16, 8, prune});
    corrupt(*vnm);
    EXPECT_THROW(vnm->validate(*vnm->status), Error);
  };
  // Selected columns: out of order, twice the same, outside the block, not the fullest.
  expect_refused(false, [](const Vnm& f) { f.selected[0] = 0x07040102; });
  expect_refused(false, [](const Vnm& f) { f.selected[0] = 0x07020201; });
  expect_refused(false, [](const Vnm& f) { f.selected[0] = 0x08040201; });
  expect_refused(false, [](const Vnm& f) { f.selected[2] = 0x04020100; });
  expect_refused(true, [](const Vnm& f) { f.selected[0] = 0x07040102; });
  // Slots.
  expect_refused(false, [](const Vnm& f) { f.metadata[1] = 0xccccccc1; });
  expect_refused(false, [](const Vnm& f) { f.metadata[2] = 0xccccccc4; });
  expect_refused(false, [](const Vnm& f) { f.presence[0] = 0b0011; });
  expect_refused(false, [](const Vnm& f) { f.metadata[17] = 0xccccccec; });  // column 10 of 10
  expect_refused(false, [](const Vnm& f) { f.presence[3] = 1u << 4; });      // block 2 of 2
  expect_refused(false, [](const Vnm& f) { f.values.as<std::uint8_t>()[2] = 0; });
  // The residual.
  expect_refused(false, [](const Vnm& f) { f.residual_row_offsets[1] = 4; });
  expect_refused(false, [](const Vnm& f) { store_index(f.residual_column_indices, 0, 4); });
  expect_refused(false, [](const Vnm& f) { store_index(f.residual_column_indices, 1, 10); });
  expect_refused(false, [](const Vnm& f) { store_index(f.residual_column_indices, 2, 2); });
  expect_refused(false, [](const Vnm& f) { f.residual_values.as<std::uint8_t>()[0] = 0; });
  expect_refused(false, [](const Vnm& f) { f.status->nnz = 10; });
  expect_refused(false, [](const Vnm& f) { f.status->lost = 1, f.status->nnz = 10; });
  expect_refused(false, [](const Vnm& f) { f.status->needed = f.capacity + 1; });
  expect_refused(true, [](const Vnm& f) { f.status->lost = 2; });
}

TEST(Vnm, ReportsExactlyWhatItNeeds) {
  const SpikeTensor spikes = store(example(), DType::u8, ValueKind::graded2, RowOrder::time_major);
  for (const std::uint64_t capacity : {0u, 2u}) {
    EncodeOptions options;
    options.capacity = capacity;
    EXPECT_EQ(encode_to_fit<Vnm>(HostContext{2}, spikes.view(), {}, options)->capacity, 3u);
  }
}

TEST(Vnm, ExpectsMoreThanTheResidual) {
  const EncodedLayout layout{{1, 1000, 1000}};
  const SpikeTensor spikes = store(random_spikes(layout.shape, 0.05, ValueKind::binary, 9),
                                   DType::bit, ValueKind::binary, RowOrder::time_major);
  for (const Vnm::Params& params : Vnm::choices(layout, DType::f32)) {
    EncodeOptions options;
    options.capacity = 0;
    const auto vnm = encode_to_fit<Vnm>(HostContext{2}, spikes.view(), params, options);
    EXPECT_LE(vnm->status->needed, Vnm::bound(layout, params, 0.05));
    EXPECT_LE(Vnm::bound(layout, params, 1.0), Vnm::max_capacity(layout, params));
  }
  EXPECT_EQ(Vnm::max_capacity({{1, 10, 13}}, {}), 10u * (6 + 3));
  EXPECT_EQ(Vnm::bound(layout, {16, 8, true}, 1.0), 0u);
}

TEST(Vnm, RefusesImpossibleParameters) {
  EXPECT_THROW(static_cast<void>(Vnm::plan({{1, 3, 5}}, {8, 8, false}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Vnm::plan({{1, 3, 5}}, {16, 4, false}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Vnm::plan({{1, 3, 5}}, {0, 0, false}, 1)), Error);
  EXPECT_THROW(static_cast<void>(Vnm::plan({{1, 3, 5}}, {}, std::uint64_t{1} << 32)), Error);
}

}  // namespace
}  // namespace spiketune::test
