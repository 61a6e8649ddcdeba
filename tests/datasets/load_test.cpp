#include "spiketune/datasets/load.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "spiketune/core/half.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/datasets/npz.hpp"
#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

SpikeTensor random_tensor(SpikeShape shape, DType storage, ValueKind kind, RowOrder order) {
  SpikeTensor tensor(HostContext{}, shape, storage, kind, order);
  PatternSpec spec;
  spec.density = 0.3;
  generate(HostContext{}, spec, tensor.mutable_view());
  return tensor;
}

std::vector<std::uint16_t> halves(std::size_t count) {
  std::vector<std::uint16_t> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = to_half(static_cast<float>(i)).bits;
  return result;
}

/// Bits of rows of `length`, as np.packbits(..., bitorder="little") along the last axis.
NpyArray packed(std::vector<std::uint64_t> shape, const std::vector<std::uint8_t>& bits) {
  const std::uint64_t length = shape.back();
  shape.back() = (length + 7) / 8;
  std::vector<std::uint8_t> bytes(bits.size() / length * shape.back());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bytes[i / length * shape.back() + i % length / 8] |=
        static_cast<std::uint8_t>(bits[i] << (i % length % 8));
  }
  return array_of<std::uint8_t>(std::move(shape), bytes);
}

/// A convolution of 3 channels of 5 x 6 into 4 channels, 2 time steps, 3 images.
struct Recording {
  std::vector<std::uint64_t> shape{2, 3, 3, 5, 6};
  std::vector<std::uint8_t> bits;
  std::vector<NpzMember> members;

  Recording() : bits(2 * 3 * 3 * 5 * 6) {
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = i * 7919 % 5 == 0;
    members = {{"spikes", packed(shape, bits)},
               {"shape", array_of<std::int64_t>({5}, {2, 3, 3, 5, 6})},
               {"weight", array_of<std::uint16_t>({4, 3, 3, 3}, halves(108), {'f', 2})},
               {"bias", array_of<float>({4}, {0, 1, 2, 3})},
               {"stride", array_of<std::int64_t>({}, {2})},
               {"padding", array_of<std::int64_t>({}, {1})}};
  }
  NpyArray& member(const std::string& name) {
    for (auto& [known, array] : members) {
      if (known == name) return array;
    }
    return members.emplace_back(name, NpyArray{}).second;
  }
  [[nodiscard]] std::optional<ErrorCode> error() const {
    const TemporaryFile file(".npz");
    write_npz(file.path(), members);
    return error_of([&] { static_cast<void>(load_layer(file.path())); });
  }
};

TEST(Load, SavedSpikesComeBack) {
  struct Target {
    DType storage;
    ValueKind kind;
  };
  for (const char* ending : {".npy", ".npz"}) {
    for (const Target target :
         {Target{DType::bit, ValueKind::binary}, Target{DType::u8, ValueKind::binary},
          Target{DType::u2, ValueKind::graded2}, Target{DType::f16, ValueKind::graded},
          Target{DType::bf16, ValueKind::graded}, Target{DType::f32, ValueKind::graded}}) {
      for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
        for (const std::uint32_t k : {1u, 8u, 29u, 40u}) {
          const SpikeTensor spikes = random_tensor({3, 7, k}, target.storage, target.kind, order);
          const TemporaryFile file(ending);
          save_spikes(file.path(), spikes.view());
          LoadOptions options;
          options.storage = target.storage;
          options.kind = target.kind;
          const SpikeTensor back = load_spikes(file.path(), options);
          EXPECT_EQ(back.view().shape, spikes.view().shape);
          EXPECT_EQ(elements(back.view()), elements(spikes.view())) << ending << k;
        }
      }
    }
  }
}

TEST(Load, SavingRejectsBadSpikes) {
  SpikeTensor spikes(HostContext{}, {1, 2, 2}, DType::u8, ValueKind::binary);
  fill(HostContext{}, spikes.mutable_view().data, 2, 4);
  const TemporaryFile file(".npy");
  EXPECT_EQ(error_of([&] { save_spikes(file.path(), spikes.view()); }), ErrorCode::invalid_value);
}

TEST(Load, FindsTheMember) {
  const NpyArray array = array_of<std::uint8_t>({1, 1, 2}, {0, 1});
  const auto load = [&](const std::vector<NpzMember>& members, const std::string& member) {
    const TemporaryFile file(".dat");  // told apart by content
    write_npz(file.path(), members);
    LoadOptions options;
    options.member = member;
    return error_of([&] {
      EXPECT_EQ(elements(load_spikes(file.path(), options).view()), (std::vector<float>{0, 1}));
    });
  };
  EXPECT_EQ(load({{"anything", array}}, ""), std::nullopt);
  EXPECT_EQ(load({{"other", make_npy_text("x")}, {"spikes", array}}, ""), std::nullopt);
  EXPECT_EQ(load({{"other", make_npy_text("x")}, {"mine", array}}, "mine"), std::nullopt);
  EXPECT_EQ(load({{"other", make_npy_text("x")}, {"mine", array}}, ""),
            ErrorCode::invalid_argument);
  EXPECT_EQ(load({{"spikes", array}}, "mine"), ErrorCode::parse);
  EXPECT_EQ(load({{"spikes", array}, {"shape", array_of<std::int64_t>({3}, {1, 1, 17})}}, ""),
            ErrorCode::invalid_argument);
  EXPECT_EQ(load({{"spikes", array}, {"shape", array_of<std::int64_t>({2}, {1, 16})}}, ""),
            ErrorCode::parse);
  EXPECT_EQ(load({{"spikes", array}, {"shape", array_of<std::int64_t>({3}, {1, 1, -16})}}, ""),
            ErrorCode::parse);
}

TEST(Load, ReadsAConvolution) {
  const Recording recording;
  const TemporaryFile file(".npz");
  write_npz(file.path(), recording.members);
  const LayerTrace layer = load_layer(file.path(), 2, RowOrder::token_major);
  EXPECT_TRUE(layer.convolution);
  EXPECT_EQ(layer.window, (Window{3, 3, 2, 1}));
  EXPECT_EQ(layer.n, 4u);
  EXPECT_EQ(layer.images, 2u);
  EXPECT_EQ(layer.recorded_shape, recording.shape);
  EXPECT_EQ(layer.bias, (std::vector<float>{0, 1, 2, 3}));
  ASSERT_EQ(layer.spikes.view().shape, (SpikeShape{2, 2 * 3 * 3, 27}));
  EXPECT_EQ(layer.spikes.view().row_order, RowOrder::token_major);

  ArrayOptions options;
  options.window = layer.window;
  options.max_batch = 2;
  const SpikeTensor expected =
      to_spikes(array_of<std::uint8_t>(recording.shape, recording.bits), options);
  EXPECT_EQ(elements(layer.spikes.view()), elements(expected.view()));
  ASSERT_EQ(layer.weights_f16.size(), 27u * 4);
  for (std::uint32_t k = 0; k < 27; ++k) {
    for (std::uint32_t n = 0; n < 4; ++n) {
      EXPECT_EQ(to_float(Half{layer.weights_f16[k * 4 + n]}), static_cast<float>(n * 27 + k));
    }
  }
}

TEST(Load, ReadsAFullyConnectedLayer) {
  Recording recording;
  recording.member("weight") = array_of<std::uint16_t>({2, 90}, halves(180), {'f', 2});
  recording.member("bias") = array_of<std::uint16_t>({2}, {0x3c00, 0xc000}, {'f', 2});
  const TemporaryFile file(".npz");
  write_npz(file.path(), recording.members);
  const LayerTrace layer = load_layer(file.path());
  EXPECT_FALSE(layer.convolution);
  EXPECT_EQ(layer.images, 3u);
  EXPECT_EQ(layer.bias, (std::vector<float>{1, -2}));
  ASSERT_EQ(layer.spikes.view().shape, (SpikeShape{2, 3, 90}));
  EXPECT_EQ(elements(layer.spikes.view()),
            std::vector<float>(recording.bits.begin(), recording.bits.end()));

  const std::vector<std::uint8_t> bits{1, 0, 0, 1, 1, 0, 1, 1, 1, 0};
  const std::array<NpzMember, 3> members{
      NpzMember{"spikes", packed({1, 1, 10}, bits)},
      NpzMember{"shape", array_of<std::int64_t>({3}, {1, 1, 10})},
      NpzMember{"weight", array_of<std::uint16_t>({3, 10}, halves(30), {'f', 2})}};
  write_npz(file.path(), members);
  const LayerTrace flat = load_layer(file.path());
  EXPECT_EQ(elements(flat.spikes.view()), std::vector<float>(bits.begin(), bits.end()));
  EXPECT_EQ(to_float(Half{flat.weights_f16[1]}), 10.0f);
}

TEST(Load, RejectsLayersThatDoNotFit) {
  EXPECT_EQ(Recording().error(), std::nullopt);
  const auto with = [](const std::string& name, NpyArray array) {
    Recording recording;
    recording.member(name) = std::move(array);
    return recording.error();
  };
  EXPECT_EQ(with("shape", array_of<std::int64_t>({5}, {2, 3, 3, 5, 9})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(with("shape", array_of<std::int64_t>({5}, {2, 3, 4, 5, 6})), ErrorCode::parse);
  EXPECT_EQ(with("shape", array_of<std::int64_t>({4}, {2, 9, 5, 6})), ErrorCode::parse);
  EXPECT_EQ(with("shape", array_of<double>({5}, {2, 3, 3, 5, 6})), ErrorCode::parse);
  EXPECT_EQ(with("weight", array_of<std::uint16_t>({4, 2, 3, 3}, halves(72), {'f', 2})),
            ErrorCode::parse);
  EXPECT_EQ(with("weight", array_of<std::uint16_t>({4, 89}, halves(356), {'f', 2})),
            ErrorCode::parse);
  EXPECT_EQ(with("weight", array_of<std::uint16_t>({4, 3, 9, 9}, halves(972), {'f', 2})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(with("weight", array_of<float>({4, 90}, std::vector<float>(360))), ErrorCode::parse);
  EXPECT_EQ(with("weight", array_of<std::uint16_t>({0, 3, 3, 3}, {}, {'f', 2})), ErrorCode::parse);
  EXPECT_EQ(with("bias", array_of<float>({3}, {1, 2, 3})), ErrorCode::parse);
  EXPECT_EQ(with("stride", array_of<std::int64_t>({}, {0})), ErrorCode::invalid_argument);
  EXPECT_EQ(with("padding", array_of<std::int64_t>({2}, {1, 1})), ErrorCode::parse);
  EXPECT_EQ(with("padding", array_of<std::int64_t>({}, {-1})), ErrorCode::parse);
  Recording without;
  without.members.erase(without.members.begin() + 2);
  EXPECT_EQ(without.error(), ErrorCode::parse);
}

TEST(Load, SurvivesDamagedLayers) {
  const TemporaryFile file(".npz");
  write_npz(file.path(), Recording().members, NpzCompression::stored);
  const std::string good = file.read();
  std::mt19937 random(5);
  for (int round = 0; round < 1500; ++round) {
    file.write(damaged(good, random, good.size()));
    static_cast<void>(error_of([&] { static_cast<void>(load_layer(file.path())); }));
    static_cast<void>(error_of([&] { static_cast<void>(load_spikes(file.path())); }));
  }
}

}  // namespace
}  // namespace spiketune::test
