#include "spiketune/datasets/to_spikes.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

std::vector<std::uint8_t> random_bits(std::uint64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> result(count);
  for (std::uint8_t& value : result) value = random() % 3 == 0;
  return result;
}

ArrayOptions graded(DType storage = DType::f32) {
  ArrayOptions options;
  options.storage = storage;
  options.kind = ValueKind::graded;
  return options;
}

std::optional<ErrorCode> error_with(const NpyArray& array, const ArrayOptions& options) {
  return error_of([&] { static_cast<void>(to_spikes(array, options)); });
}

TEST(ToSpikes, Im2colByHand) {
  // One image, one channel:  1 2 3    a kernel of 2 x 2, stride 1, padding 1 sees 4 x 4 windows.
  //                          4 5 6
  //                          7 8 9
  std::vector<float> image(9);
  std::iota(image.begin(), image.end(), 1.0f);
  ArrayOptions options = graded();
  options.window = {2, 2, 1, 1};
  const SpikeTensor spikes = to_spikes(array_of<float>({1, 1, 3, 3}, image), options);
  ASSERT_EQ(spikes.view().shape, (SpikeShape{1, 16, 4}));
  const auto row = [&](std::uint64_t r) {
    const SpikeView view = spikes.view();
    return std::vector<float>{element(view, 0, r, 0), element(view, 0, r, 1),
                              element(view, 0, r, 2), element(view, 0, r, 3)};
  };
  EXPECT_EQ(row(0), (std::vector<float>{0, 0, 0, 1}));  // top left corner
  EXPECT_EQ(row(1), (std::vector<float>{0, 0, 1, 2}));  // top edge
  EXPECT_EQ(row(3), (std::vector<float>{0, 0, 3, 0}));  // top right corner
  EXPECT_EQ(row(5), (std::vector<float>{1, 2, 4, 5}));  // inside
  EXPECT_EQ(row(10), (std::vector<float>{5, 6, 8, 9}));
  EXPECT_EQ(row(15), (std::vector<float>{9, 0, 0, 0}));  // bottom right corner
}

TEST(ToSpikes, Im2colAgainstLoops) {
  struct Case {
    std::uint32_t t, b, c, h, w;
    Window window;
  };
  for (const Case& shape : {Case{2, 3, 4, 7, 6, {3, 3, 1, 1}}, Case{1, 2, 3, 8, 8, {3, 3, 2, 0}},
                            Case{3, 1, 2, 5, 9, {1, 3, 1, 2}}, Case{2, 2, 5, 4, 4, {1, 1, 1, 0}},
                            Case{1, 1, 3, 4, 4, {4, 4, 1, 0}}, Case{1, 2, 2, 9, 7, {5, 3, 3, 4}}}) {
    const auto [t, b, c, h, w, window] = shape;
    const std::vector<std::uint8_t> bits = random_bits(std::uint64_t{t} * b * c * h * w, 3);
    ArrayOptions options;
    options.window = window;
    for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
      options.row_order = order;
      const SpikeTensor spikes = to_spikes(array_of<std::uint8_t>({t, b, c, h, w}, bits), options);
      const std::uint32_t out_h = (h + 2 * window.padding - window.kernel_h) / window.stride + 1;
      const std::uint32_t out_w = (w + 2 * window.padding - window.kernel_w) / window.stride + 1;
      ASSERT_EQ(spikes.view().shape, (SpikeShape{t, std::uint64_t{b} * out_h * out_w,
                                                 c * window.kernel_h * window.kernel_w}));
      std::vector<float> expected;
      for (std::uint32_t step = 0; step < t; ++step) {
        for (std::uint32_t image = 0; image < b; ++image) {
          for (std::uint32_t y = 0; y < out_h; ++y) {
            for (std::uint32_t x = 0; x < out_w; ++x) {
              for (std::uint32_t channel = 0; channel < c; ++channel) {
                for (std::uint32_t i = 0; i < window.kernel_h; ++i) {
                  for (std::uint32_t j = 0; j < window.kernel_w; ++j) {
                    const int at_y =
                        static_cast<int>(y * window.stride + i) - static_cast<int>(window.padding);
                    const int at_x =
                        static_cast<int>(x * window.stride + j) - static_cast<int>(window.padding);
                    const bool inside = at_y >= 0 && at_x >= 0 && at_y < static_cast<int>(h) &&
                                        at_x < static_cast<int>(w);
                    expected.push_back(
                        inside ? bits[(((std::size_t{step} * b + image) * c + channel) * h +
                                       static_cast<std::size_t>(at_y)) *
                                          w +
                                      static_cast<std::size_t>(at_x)]
                               : 0.0f);
                  }
                }
              }
            }
          }
        }
      }
      EXPECT_EQ(elements(spikes.view()), expected);
    }
  }
}

TEST(ToSpikes, ReadsEveryLayout) {
  // Element (t, row, k) of all of these is 100·t + 10·row + k (not zero), for T = 2, rows 3, K 4.
  const auto value = [](std::uint64_t t, std::uint64_t row, std::uint64_t k) {
    return static_cast<float>(100 * t + 10 * row + k + 1);
  };
  std::vector<float> time_major;
  std::vector<float> token_major;
  std::vector<float> transposed(24);
  for (std::uint64_t t = 0; t < 2; ++t) {
    for (std::uint64_t row = 0; row < 3; ++row) {
      for (std::uint64_t k = 0; k < 4; ++k) {
        time_major.push_back(value(t, row, k));
        transposed[(k * 3 + row) * 2 + t] = value(t, row, k);
      }
    }
  }
  for (std::uint64_t row = 0; row < 3; ++row) {
    for (std::uint64_t t = 0; t < 2; ++t) {
      for (std::uint64_t k = 0; k < 4; ++k) token_major.push_back(value(t, row, k));
    }
  }
  const auto same = [&](const NpyArray& array, const ArrayOptions& options) {
    const SpikeTensor spikes = to_spikes(array, options);
    EXPECT_EQ(spikes.view().shape, (SpikeShape{2, 3, 4}));
    EXPECT_EQ(elements(spikes.view()), time_major);
  };
  same(array_of<float>({2, 3, 4}, time_major), graded());
  ArrayOptions options = graded(DType::f16);
  options.timesteps = 2;
  same(array_of<float>({6, 4}, time_major), options);
  options.row_order = RowOrder::token_major;
  same(array_of<float>({6, 4}, time_major), options);
  options.matrix_order = RowOrder::token_major;
  same(array_of<float>({6, 4}, token_major), options);
  options.transpose = true;
  same(array_of<float>({4, 3, 2}, transposed), options);
  // The same bytes as a Fortran-ordered array of the reversed shape, not transposed.
  NpyArray fortran = array_of<float>({2, 3, 4}, transposed);
  fortran.fortran_order = true;
  same(fortran, graded(DType::bf16));

  // A raster [neurons, T], and a matrix without time steps.
  ArrayOptions raster;
  raster.transpose = true;
  const SpikeTensor spikes = to_spikes(array_of<double>({2, 3}, {1, 0, 1, 0, 0, 1}), raster);
  EXPECT_EQ(spikes.view().shape, (SpikeShape{3, 1, 2}));
  EXPECT_EQ(elements(spikes.view()), (std::vector<float>{1, 0, 0, 0, 1, 1}));

  ArrayOptions first = graded();
  first.max_batch = 2;
  const SpikeTensor part = to_spikes(array_of<float>({2, 3, 4}, time_major), first);
  EXPECT_EQ(part.view().shape, (SpikeShape{2, 2, 4}));
  EXPECT_EQ(element(part.view(), 1, 1, 3), value(1, 1, 3));
}

TEST(ToSpikes, ReadsEveryElementType) {
  const std::vector<float> expected{0, 1, 0, 1, 1, 0};
  const auto same = [&](const NpyArray& array) {
    for (const DType storage : {DType::bit, DType::u2, DType::u8, DType::f16, DType::f32}) {
      ArrayOptions options;
      options.storage = storage;
      EXPECT_EQ(elements(to_spikes(array, options).view()), expected) << to_string(array.type);
    }
  };
  same(array_of<std::uint8_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}, {'b', 1}));
  same(array_of<std::uint8_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::int8_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::uint16_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::int16_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::uint32_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::int32_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::uint64_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::int64_t>({1, 2, 3}, {0, 1, 0, 1, 1, 0}));
  same(array_of<std::uint16_t>({1, 2, 3}, {0, 0x3c00, 0x8000, 0x3c00, 0x3c00, 0}, {'f', 2}));
  same(array_of<float>({1, 2, 3}, {0, 1, -0.0f, 1, 1, 0}));
  same(array_of<double>({1, 2, 3}, {0, 1, -0.0, 1, 1, 0}));
}

TEST(ToSpikes, UnpacksBits) {
  // Ten spikes to a row: two bytes. 0b...: least significant first.
  const std::vector<float> expected{1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0};
  ArrayOptions options;
  options.packing = BitPacking::little;
  options.packed_length = 10;
  const NpyArray little = array_of<std::uint8_t>({1, 2, 2}, {0x13, 0x02, 0x04, 0x01});
  EXPECT_EQ(elements(to_spikes(little, options).view()), expected);
  NpyArray fortran = array_of<std::uint8_t>({1, 2, 2}, {0x13, 0x04, 0x02, 0x01});
  fortran.fortran_order = true;
  EXPECT_EQ(elements(to_spikes(fortran, options).view()), expected);
  options.packing = BitPacking::big;
  const NpyArray big = array_of<std::uint8_t>({1, 2, 2}, {0xc8, 0x40, 0x20, 0x80});
  EXPECT_EQ(elements(to_spikes(big, options).view()), expected);
  options.packed_length = 0;
  EXPECT_EQ(to_spikes(big, options).view().shape, (SpikeShape{1, 2, 16}));
  options.packed_length = 17;
  EXPECT_EQ(error_with(big, options), ErrorCode::invalid_argument);
  options.packed_length = 8;
  EXPECT_EQ(error_with(big, options), ErrorCode::invalid_argument);
  options.packed_length = ~std::uint64_t{0};
  EXPECT_EQ(error_with(big, options), ErrorCode::invalid_argument);
  EXPECT_EQ(error_with(array_of<float>({1, 1}, {1}), options), ErrorCode::invalid_argument);
}

TEST(ToSpikes, NamesTheFirstBadElement) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values(2 * 3 * 4, 0.0f);
  values[(1 * 3 + 2) * 4 + 3] = 1;
  values[(1 * 3 + 1) * 4 + 2] = nan;
  values[(1 * 3 + 2) * 4 + 0] = 2;
  const NpyArray array = array_of<float>({2, 3, 4}, values);
  for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
    ArrayOptions options;
    options.row_order = order;
    EXPECT_EQ(error_with(array, options), ErrorCode::invalid_value);
    EXPECT_NE(message_of([&] { static_cast<void>(to_spikes(array, options)); }).find("(1, 1, 2)"),
              std::string::npos);
  }
  EXPECT_EQ(error_with(array, graded()), ErrorCode::invalid_value);
}

TEST(ToSpikes, ValuesMustBeExact) {
  const auto one = [](double value) { return array_of<double>({1, 1, 1}, {value}); };
  EXPECT_EQ(error_with(one(0.1), graded()), ErrorCode::invalid_value);  // no f32
  EXPECT_EQ(error_with(one(0.125), graded(DType::f16)), std::nullopt);
  EXPECT_EQ(error_with(one(1.0 + 1.0 / 1024), graded(DType::f16)), std::nullopt);
  EXPECT_EQ(error_with(one(1.0 + 1.0 / 1024), graded(DType::bf16)), ErrorCode::invalid_value);
  EXPECT_EQ(error_with(one(1e5), graded(DType::f16)), ErrorCode::invalid_value);  // would be inf
  EXPECT_EQ(error_with(one(1e300), graded()), ErrorCode::invalid_value);
  EXPECT_EQ(error_with(one(std::numeric_limits<double>::infinity()), graded()),
            ErrorCode::invalid_value);
  EXPECT_EQ(
      error_with(array_of<std::uint64_t>({1, 1, 1}, {(std::uint64_t{1} << 53) + 1}), graded()),
      ErrorCode::invalid_value);
  ArrayOptions graded2;
  graded2.kind = ValueKind::graded2;
  EXPECT_EQ(error_with(one(3), graded2), std::nullopt);
  EXPECT_EQ(error_with(one(4), graded2), ErrorCode::invalid_value);
  EXPECT_EQ(error_with(one(-1), graded2), ErrorCode::invalid_value);
  ArrayOptions impossible = graded(DType::u8);
  EXPECT_EQ(error_with(one(1), impossible), ErrorCode::invalid_argument);
}

TEST(ToSpikes, RejectsShapesThatDoNotFit) {
  const std::vector<std::uint8_t> bits(64, 0);
  ArrayOptions options;
  EXPECT_EQ(error_with(array_of<std::uint8_t>({64}, bits), options), ErrorCode::invalid_argument);
  EXPECT_EQ(error_with(array_of<std::uint8_t>({2, 2, 2, 2, 2, 2}, bits), options),
            ErrorCode::invalid_argument);
  options.timesteps = 3;
  EXPECT_EQ(error_with(array_of<std::uint8_t>({8, 8}, bits), options), ErrorCode::invalid_argument);
  options.timesteps = 0;
  for (const Window window :
       {Window{9, 1, 1, 0}, Window{1, 11, 1, 1}, Window{0, 1, 1, 0}, Window{1, 1, 0, 0},
        Window{1, 1, 1, 0x7fffffffu}, Window{0xffffffffu, 0xffffffffu, 1, 0xffffffffu}}) {
    options.window = window;
    EXPECT_EQ(error_with(array_of<std::uint8_t>({1, 1, 8, 8}, bits), options),
              ErrorCode::invalid_argument);
  }
  EXPECT_EQ(error_with(array_of<std::uint8_t>({1, 1}, bits), {}), ErrorCode::invalid_argument);
  EXPECT_EQ(error_with(make_npy_text("no numbers"), {}), ErrorCode::invalid_argument);
  EXPECT_EQ(error_with(NpyArray{{'u', 1}, {0, std::uint64_t{1} << 40, 3}, false, {}}, {}),
            ErrorCode::invalid_argument);
  // Empty, but sound.
  EXPECT_EQ(to_spikes(NpyArray{{'u', 1}, {4, 0, 3}, false, {}}, {}).view().shape,
            (SpikeShape{4, 0, 3}));
}

}  // namespace
}  // namespace spiketune::test
