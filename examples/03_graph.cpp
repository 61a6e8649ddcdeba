// encode → product as one CUDA graph, captured once and replayed on other spikes: counts stay on
// the device, so nothing has to be asked in between.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <spiketune/core/cuda/stream.hpp>
#include <spiketune/encoders/csr.hpp>
#include <spiketune/kernels/csr.hpp>
#include <vector>

namespace {

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s\n", cudaGetErrorString(status));
  std::exit(1);
}

}  // namespace

int main() {
  using namespace spiketune;
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 0;
  }
  constexpr std::uint32_t k = 512;
  constexpr std::uint32_t n = 128;
  const SpikeShape shape{4, 64, k};
  const CudaStream stream;
  const CudaContext context = stream.context();

  SpikeTensor spikes(context, shape, DType::u8, ValueKind::binary);
  const Buffer w = allocate(context, k * n * sizeof(float));
  const std::vector<float> ones(k * n, 1.0f);
  copy(context, w.data(), ones.data(), w.bytes());
  const Buffer y = allocate(context, shape.m() * n * sizeof(float));
  const WeightView weights{w.data(), DType::f32, k, n, Space::device};
  const OutputView output{y.data(), DType::f32, shape.m(), n, Space::device};

  // Room for any spikes, so that no replay can overflow.
  const EncodedLayout layout = layout_of(spikes.view(), RowOrder::time_major);
  const Encoded<Csr> csr(context, Csr::plan(layout, {}, Csr::max_capacity(layout, {})));
  const Buffer encode_scratch =
      allocate(context, encode_workspace_bytes(context, spikes.view(), *csr));
  const RowGather config;
  const Buffer scratch =
      allocate(context, spmm_workspace_bytes(context, *csr, weights, output, config));

  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeThreadLocal));
  encode(context, spikes.view(), *csr, encode_scratch.workspace());
  spmm(context, *csr, weights, output, config, scratch.workspace());
  check(cudaStreamEndCapture(context.stream, &graph));
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph, 0));

  bool right = true;
  std::mt19937 random(1);
  for (const double density : {0.01, 0.1, 0.3}) {
    std::bernoulli_distribution fires(density);
    std::vector<std::uint8_t> host(shape.elements());
    for (auto& spike : host) spike = fires(random);
    copy(context, spikes.mutable_view().data, host.data(), host.size());
    check(cudaGraphLaunch(executable, context.stream));
    std::vector<float> result(shape.m() * n);
    copy(context, result.data(), y.data(), y.bytes());
    synchronize(context);
    // With ones for W a row of Y is the number of spikes of its row.
    for (std::uint64_t row = 0; row < shape.m(); ++row) {
      float count = 0;
      for (std::uint32_t i = 0; i < k; ++i) count += host[row * k + i];
      right = right && result[row * n] == count;
    }
    std::printf("%.0f %%: row 0 has %.0f spikes\n", 100 * density, result[0]);
  }
  check(cudaGraphExecDestroy(executable));
  check(cudaGraphDestroy(graph));
  return right ? 0 : 1;
}
