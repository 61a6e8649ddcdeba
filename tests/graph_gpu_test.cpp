// encode -> product as one CUDA graph: captured once, replayed on other spikes.

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

/// A graph of what `enqueue` puts on the stream, ready to launch.
class Graph {
 public:
  template <class Enqueue>
  Graph(const CudaContext& context, Enqueue&& enqueue) {
    cudaGraph_t graph = nullptr;
    cuda::check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeThreadLocal));
    enqueue();
    cuda::check(cudaStreamEndCapture(context.stream, &graph));
    cuda::check(cudaGraphInstantiate(&executable_, graph, 0));
    cuda::check(cudaGraphDestroy(graph));
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(const CudaContext& context) {
    cuda::check(cudaGraphLaunch(executable_, context.stream));
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

TEST(GraphsOnGpu, ReplayEncodeAndProductOnOtherSpikes) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  Registry registry;
  add_cuda_formats(registry);
  const CudaStream stream;
  const CudaContext context = stream.context();
  const SpikeShape shape{4, 75, 320};
  const std::uint32_t n = 40;
  const auto weights = integer_weights(std::uint64_t{shape.k} * n, 3);
  const Buffer w_memory = allocate(context, weights.size() * 4);
  copy(context, w_memory.data(), weights.data(), weights.size() * 4);
  const WeightView w{w_memory.data(), DType::f32, shape.k, n, Space::device};
  const Buffer y_memory = allocate(context, shape.m() * n * 4);
  const OutputView y{y_memory.data(), DType::f32, shape.m(), n, Space::device};
  SpikeTensor spikes(context, shape, DType::u8, ValueKind::binary);
  const auto load = [&](const Logical& logical) {
    const SpikeTensor host = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    copy(context, spikes.mutable_view().data, host.view().data, host.view().bytes());
    fill(context, y.data, 0xff, shape.m() * n * 4);
    synchronize(context);
  };
  const Logical dense = random_spikes(shape, 0.6, ValueKind::binary, 1);

  for (const auto& plugin : registry.plugins()) {
    const EncodedLayout layout = layout_of(spikes.view(), RowOrder::token_major);
    const auto encoding =
        plugin->plan(context, layout, plugin->params(layout, w.type).front(), 1.0, {});
    for (const KernelInfo& kernel : plugin->kernels()) {
      SCOPED_TRACE(plugin->name() + "/" + kernel.name);
      const std::string why =
          plugin->why_invalid(kernel.name, kernel.configs.front(), layout, w, y);
      if (!why.empty()) continue;
      load(dense);
      const auto encode = encoding->bind_encode(spikes.view());
      const auto multiply = encoding->bind_spmm(kernel.name, kernel.configs.front(), w, y);
      Graph graph(context, [&] {
        encode();
        multiply();
      });
      for (const double density : {0.3, 0.0, 1.0, 0.05}) {
        const Logical logical = random_spikes(shape, density, ValueKind::binary,
                                              static_cast<unsigned>(100 * density) + 5);
        load(logical);
        graph.launch(context);
        const EncodeStatus status = encoding->status();
        ASSERT_EQ(status.nnz, logical.nnz());
        if (status.lost != 0) continue;  // a pruning format at a density that it cannot hold
        std::vector<float> result(shape.m() * n);
        copy(context, result.data(), y.data, result.size() * 4);
        synchronize(context);
        const auto expected = oracle(logical, RowOrder::token_major, weights, n);
        for (std::size_t i = 0; i < result.size(); ++i) {
          ASSERT_EQ(result[i], static_cast<float>(expected[i]))
              << "density " << density << ", row " << i / n << ", column " << i % n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace spiketune::test
