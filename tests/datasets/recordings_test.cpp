// Recordings of trained networks that are not part of the project: SPIKETUNE_SHARED names the
// folder that holds data/spikes; ../shared beside the source otherwise.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "spiketune/datasets/imitate.hpp"
#include "spiketune/datasets/inspect.hpp"
#include "spiketune/datasets/load.hpp"

namespace spiketune::test {
namespace {

class Recordings : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("SPIKETUNE_SHARED");
    folder_ = std::filesystem::path(given != nullptr ? given : SPIKETUNE_SOURCE_DIR "/../shared") /
              "data" / "spikes";
    if (!std::filesystem::is_directory(folder_)) {
      GTEST_SKIP() << "no recorded spikes at " << folder_;
    }
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(Recordings, Convolutions) {
  // As NumPy counts them.
  struct Layer {
    const char* name;
    double density, persistence, silent_neurons, fit_two_four;
    double empty_16_token_major, empty_16_time_major;
  };
  for (const Layer& layer :
       {Layer{"conv2d_1", 0.16527938842773438, 0.6768934443145078, 0.7352142333984375,
              0.977386474609375, 0.48687744140625, 0.3487548828125},
        Layer{"conv2d_2", 0.185577392578125, 0.565354147250699, 0.657958984375, 0.97637939453125,
              0.310302734375, 0.1865234375},
        Layer{"conv2d_3", 0.12726593017578125, 0.3630232749403734, 0.72100830078125,
              0.992095947265625, 0.421630859375, 0.290283203125},
        Layer{"conv2d_4", 0.21435546875, 0.4885791715060008, 0.5712890625, 0.963623046875,
              0.1953125, 0.103515625},
        Layer{"conv2d_5", 0.08349609375, 0.3270570028372453, 0.7972412109375, 0.99627685546875,
              0.528076171875, 0.42626953125}}) {
    SCOPED_TRACE(layer.name);
    const std::string file = path("vgg9_cifar10/" + std::string(layer.name) + ".npy");
    const SpikeTensor spikes = load_spikes(file);
    EXPECT_EQ(spikes.view().shape.timesteps, 4u);
    const SpikeStatistics time = inspect(HostContext{}, spikes.view());
    const SpikeStatistics token = inspect(HostContext{}, spikes.view(), RowOrder::token_major);
    EXPECT_NEAR(time.density, layer.density, 1e-12);
    EXPECT_NEAR(time.persistence.value(), layer.persistence, 1e-12);
    EXPECT_NEAR(time.silent_neurons, layer.silent_neurons, 1e-12);
    EXPECT_NEAR(time.groups_fit_two_four, layer.fit_two_four, 1e-12);
    EXPECT_NEAR(1 - token.union_density[3], layer.empty_16_token_major, 1e-12);
    EXPECT_NEAR(1 - time.union_density[3], layer.empty_16_time_major, 1e-12);

    LoadOptions options;
    options.window = {3, 3, 1, 1};
    options.storage = DType::bit;
    const SpikeTensor columns = load_spikes(file, options);
    EXPECT_EQ(columns.view().shape.rows, spikes.view().shape.rows);
    EXPECT_EQ(columns.view().shape.k, 9 * spikes.view().shape.k);
    // Windows see each spike nine times, but for those at the edge.
    const SpikeStatistics seen = inspect(HostContext{}, columns.view());
    EXPECT_LE(seen.nnz, 9 * time.nnz);
    EXPECT_GT(seen.nnz, 6 * time.nnz);
  }
}

TEST_F(Recordings, FullyConnected) {
  const SpikeTensor spikes = load_spikes(path("vgg9_cifar10/fc_0.npy"));
  EXPECT_EQ(spikes.view().shape, (SpikeShape{4, 1, 4096}));
  EXPECT_GT(inspect(HostContext{}, spikes.view()).nnz, 0u);
  EXPECT_EQ(load_spikes(path("lenet5_mnist/fc_1.npy")).view().shape, (SpikeShape{32, 1, 120}));
}

TEST_F(Recordings, Rasters) {
  LoadOptions options;
  options.transpose = true;  // [neurons, T], f8
  options.storage = DType::bit;
  const SpikeTensor in = load_spikes(path("lava_oxford/in.npy"), options);
  EXPECT_EQ(in.view().shape, (SpikeShape{2000, 1, 200}));
  EXPECT_NEAR(inspect(HostContext{}, in.view()).density, 0.0047, 0.00005);
  const SpikeTensor out = load_spikes(path("lava_oxford/out.npy"), options);
  EXPECT_EQ(out.view().shape, (SpikeShape{2000, 1, 256}));
  EXPECT_NEAR(inspect(HostContext{}, out.view()).density, 0.0036, 0.00005);
}

// What a layer pattern made of a recording's statistics looks like. Tolerances: chance moves few
// neurons (a fully connected layer of one image has K of them) more than many.
TEST_F(Recordings, CanBeImitated) {
  struct Recording {
    const char* name;
    bool transpose;
    double density;    // relative
    double share;      // of silent neurons and channels, and persistence
    double deviation;  // of channel rates, relative
  };
  for (const Recording& recording :
       {Recording{"vgg9_cifar10/conv2d_1.npy", false, 0.03, 0.01, 0.05},
        Recording{"vgg9_cifar10/conv2d_3.npy", false, 0.03, 0.01, 0.05},
        Recording{"vgg9_cifar10/conv2d_5.npy", false, 0.05, 0.01, 0.1},
        Recording{"vgg9_cifar10/fc_0.npy", false, 0.05, 0.02, 0.05},
        Recording{"lenet5_mnist/conv2d_1.npy", false, 0.03, 0.01, 0.05},
        Recording{"lenet5_mnist/fc_0.npy", false, 0.1, 0.05, 0.1},
        Recording{"lava_oxford/out.npy", true, 0.1, 0.05, 0.2}}) {
    SCOPED_TRACE(recording.name);
    LoadOptions options;
    options.transpose = recording.transpose;
    const SpikeTensor spikes = load_spikes(path(recording.name), options);
    const SpikeShape shape = spikes.view().shape;
    const SpikeStatistics found = inspect(HostContext{}, spikes.view());
    SpikeTensor imitated(HostContext{}, shape, DType::u8, ValueKind::binary);
    generate(HostContext{}, imitate(found, shape), imitated.mutable_view());
    const SpikeStatistics again = inspect(HostContext{}, imitated.view());
    EXPECT_NEAR(again.density, found.density, recording.density * found.density);
    EXPECT_NEAR(again.persistence.value(), found.persistence.value(), recording.share);
    EXPECT_NEAR(again.silent_neurons, found.silent_neurons, recording.share);
    EXPECT_NEAR(again.silent_channels, found.silent_channels, recording.share);
    EXPECT_NEAR(again.channel_deviation, found.channel_deviation,
                recording.deviation * found.channel_deviation);
  }
}

}  // namespace
}  // namespace spiketune::test
