#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/autotune/auto_spmm.hpp"

namespace spiketune::test {
namespace {

TEST(AutoSpmmOnGpu, FollowsTheDensityAlsoInGraphs) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  Registry registry;
  add_cuda_formats(registry);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const Problem layer = auto_layer();
  const auto weights = integer_weights(std::uint64_t{layer.k} * layer.n, 3);
  const Buffer w_memory = allocate(context, weights.size() * sizeof(float));
  copy(context, w_memory.data(), weights.data(), weights.size() * sizeof(float));
  const Buffer y_memory = allocate(context, layer.m() * layer.n * sizeof(float));
  const WeightView w{w_memory.data(), DType::f32, layer.k, layer.n, Space::device};
  const OutputView y{y_memory.data(), DType::f32, layer.m(), layer.n, Space::device};
  SpikeTensor spikes(context, layer.shape(), layer.input, layer.value, layer.row_order);
  AutoSpmm product(registry, context, Planner(auto_points(registry, "cuda")), layer);
  product.prepare(spikes.view(), w, y);
  Logical logical;
  const auto load = [&](double density) {
    logical = random_spikes(layer.shape(), density, ValueKind::binary, 7);
    const SpikeTensor host = store(logical, layer.input, layer.value, layer.row_order);
    copy(context, spikes.mutable_view().data, host.view().data, host.view().bytes());
    fill(context, y.data, 0xff, y.bytes());
    synchronize(context);
  };
  const auto check = [&] {
    std::vector<float> result(layer.m() * layer.n);
    copy(context, result.data(), y.data, y.bytes());
    synchronize(context);
    const auto expected = oracle(logical, layer.row_order, weights, layer.n);
    for (std::size_t i = 0; i < result.size(); ++i) {
      ASSERT_EQ(result[i], static_cast<float>(expected[i])) << i;
    }
  };
  for (const double density : {0.01, 0.2, 0.2, 0.9, 0.9, 0.0, 0.0}) {
    load(density);
    product(spikes.view(), w, y);
    check();
  }
  EXPECT_EQ(product.density(), 0);
  for (const AutoSpmm::Choice& choice : product.choices()) EXPECT_GT(choice.calls, 0u);

  // A graph keeps its plan, right for all spikes, and goes on observing them.
  cudaGraph_t graph = nullptr;
  cuda::check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeThreadLocal));
  product(spikes.view(), w, y);
  cuda::check(cudaStreamEndCapture(context.stream, &graph));
  cudaGraphExec_t executable = nullptr;
  cuda::check(cudaGraphInstantiate(&executable, graph, 0));
  for (const double density : {0.0, 0.9}) {
    load(density);
    cuda::check(cudaGraphLaunch(executable, context.stream));
    check();
  }
  EXPECT_TRUE(product.outdated());
  EXPECT_NEAR(product.density(), 0.9, 0.05);
  cuda::check(cudaGraphExecDestroy(executable));
  cuda::check(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace spiketune::test
