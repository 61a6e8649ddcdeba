// One block computes up to 1024 columns of one row of Y. The block lists the spikes of the row in
// shared memory, a chunk of K at a time, and each thread then adds the rows of W they name into one
// f64 sum. Order of the spikes within a chunk is whatever the atomics make it: the sums of a sweep
// (small integers over 64) are exact in any order, others differ in the last bits of f64.
// Bytes: M·K of S per 1024 columns, nnz·N·sizeof(W) through L2. Speed is not its purpose.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/kernels/reference.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t chunk = 1024;  // columns of S listed at a time
constexpr unsigned max_threads = 1024;

template <class W>
__global__ void reference_rows(const SpikeView spikes, const RowMap map, const W* __restrict__ w,
                               double* __restrict__ y, std::uint32_t n) {
  __shared__ std::uint32_t columns[chunk];
  __shared__ float values[chunk];
  __shared__ unsigned count;
  const std::uint32_t k = spikes.shape.k;
  const std::uint64_t m = spikes.shape.m();
  const std::uint64_t j = std::uint64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  for (std::uint64_t row = blockIdx.x; row < m; row += gridDim.x) {
    const std::uint64_t source = map.source(row);
    double sum = 0;
    for (std::uint32_t begin = 0; begin < k; begin += chunk) {
      if (threadIdx.x == 0) count = 0;
      __syncthreads();
      const std::uint32_t here = k - begin < chunk ? k - begin : chunk;
      for (std::uint32_t i = threadIdx.x; i < here; i += blockDim.x) {
        const float value = load_spike(spikes.data, spikes.storage, k, source, begin + i);
        if (value != 0.0f) {
          const unsigned slot = atomicAdd(&count, 1u);
          columns[slot] = begin + i;
          values[slot] = value;
        }
      }
      __syncthreads();
      if (j < n) {
        for (unsigned i = 0; i < count; ++i) {
          sum += static_cast<double>(values[i]) *
                 static_cast<double>(to_float(w[std::uint64_t{columns[i]} * n + j]));
        }
      }
      __syncthreads();
    }
    if (j < n) y[row * n + j] = sum;
  }
}

template <class W>
void launch_reference(const CudaContext& context, const SpikeView& spikes, const RowMap& map,
                      const WeightView& weights, double* y) {
  const unsigned threads =
      std::min(max_threads, static_cast<unsigned>(ceil_div(weights.n, 32) * 32));
  const dim3 grid(static_cast<unsigned>(std::min<std::uint64_t>(spikes.shape.m(), 1u << 20)),
                  static_cast<unsigned>(ceil_div(weights.n, threads)));
  if (grid.y > 65535) {
    throw Error(ErrorCode::unsupported, "reference product: N above 67,107,840 columns");
  }
  reference_rows<W><<<grid, threads, 0, context.stream>>>(
      spikes, map, static_cast<const W*>(weights.data), y, weights.n);
  check_launch();
}

}  // namespace
}  // namespace cuda

void reference_spmm(const CudaContext& context, const SpikeView& spikes, RowOrder order,
                    const WeightView& weights, double* y) {
  check_reference(spikes, weights, y, Space::device);
  if (spikes.shape.m() == 0 || weights.n == 0) return;
  const RowMap map{spikes.shape.timesteps, spikes.shape.rows, spikes.row_order, order};
  switch (weights.type) {
    case DType::f16:
      cuda::launch_reference<Half>(context, spikes, map, weights, y);
      break;
    case DType::bf16:
      cuda::launch_reference<Bfloat16>(context, spikes, map, weights, y);
      break;
    default:
      cuda::launch_reference<float>(context, spikes, map, weights, y);
  }
}

}  // namespace spiketune
