#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "spiketune/autotune/measure.hpp"
#include "spiketune/autotune/sweep.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/stream.hpp"

namespace spiketune {
namespace {

class MeasureOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

std::vector<double> sample(Trial& trial, unsigned count) {
  std::vector<double> samples;
  trial.sample(count, samples);
  EXPECT_EQ(samples.size(), count);
  return samples;
}

TEST_F(MeasureOnGpu, ColdIsSlowerThanHotWhereTheCacheHelps) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const auto meter = make_meter(context);
  constexpr std::size_t bytes = 8u << 20;
  const Buffer from = allocate(context, bytes);
  const Buffer to = allocate(context, bytes);
  const Work work{[&] { copy(context, to.data(), from.data(), bytes); }, false};
  const auto cold = meter->prepare(work, TimingMode::cold);
  const auto hot = meter->prepare(work, TimingMode::hot);
  EXPECT_GT(statistics(sample(*cold, 20)).median, statistics(sample(*hot, 20)).median);
  EXPECT_TRUE(cold->notes().empty());
  EXPECT_TRUE(hot->notes().empty());
}

TEST_F(MeasureOnGpu, LaunchTimeOfTheCpuIsNotMeasured) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const auto meter = make_meter(context);
  const Buffer memory = allocate(context, 256);
  // Fifty launches cost the CPU well over 100 µs; back to back on the device they take less each
  // than a launch does.
  const auto trial = meter->prepare({[&] {
                                       for (int i = 0; i < 50; ++i) {
                                         fill(context, memory.data(), 0, 256);
                                       }
                                     },
                                     false},
                                    TimingMode::cold);
  const double queued = statistics(sample(*trial, 10)).median;
  EXPECT_LT(queued / 50, 4.0);
}

TEST_F(MeasureOnGpu, WorkThatWaitsIsTimedAndNoted) {
  const CudaStream stream;
  const CudaContext context = stream.context();
  const auto meter = make_meter(context);
  const Buffer memory = allocate(context, 1 << 20);
  const auto waits = [&] {
    fill(context, memory.data(), 0, 1 << 20);
    synchronize(context);
  };
  for (const TimingMode mode : {TimingMode::cold, TimingMode::hot}) {
    const auto declared = meter->prepare({waits, true}, mode);
    for (const double time : sample(*declared, 3)) EXPECT_GT(time, 0);
    EXPECT_EQ(declared->notes().size(), 1u);
    // Undeclared, it would wait for a gate that only opens after it: the gate gives up.
    const auto undeclared = meter->prepare({waits, false}, mode);
    for (const double time : sample(*undeclared, 3)) EXPECT_GT(time, 0);
    EXPECT_GE(undeclared->notes().size(), 1u);
  }
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(MeasureOnGpu, MeasuresTheMachine) {
  const CudaStream stream;
  const auto meter = make_meter(stream.context());
  EXPECT_GT(meter->copy_gbps(), 10);
  EXPECT_GT(meter->overhead_us(), 0);
  EXPECT_LT(meter->overhead_us(), 100);
}

TEST_F(MeasureOnGpu, SweepsAllFormats) {
  Registry registry;
  add_cuda_formats(registry);
  add_cuda_baselines(registry);
  SweepOptions options;
  options.max_samples = 3;
  options.max_seconds_per_candidate = 0.1;
  for (const DType weights : {DType::f16, DType::f32}) {
    SuiteEntry entry;
    entry.base.timesteps = 2;
    entry.base.weights = weights;
    entry.base.amortise = 2;
    entry.shapes = {{256, 512, 128}};
    entry.densities = {0.05};
    options.entries.push_back(entry);
  }
  const auto backend = make_cuda_backend(0);
  const nlohmann::json report = run_sweep(*backend, registry, options);
  EXPECT_GT(count_points(report, "ok"), 0u);
  for (const auto& point : report.at("points")) {
    const std::string status = point.at("status");
    EXPECT_TRUE(status == "ok" || status == "skipped") << point.dump();
  }
}

}  // namespace
}  // namespace spiketune
