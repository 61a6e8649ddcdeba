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
struct Plain {
  const W* w;
  std::uint32_t n;
  __device__ double operator()(std::uint32_t row, std::uint64_t column) const {
    return static_cast<double>(to_float(w[std::uint64_t{row} * n + column]));
  }
};

struct Quantised {
  WeightView w;
  __device__ double operator()(std::uint32_t row, std::uint64_t column) const {
    const double scale = w.scales == nullptr ? 1.0 : static_cast<double>(w.scales[column]);
    return scale *
           static_cast<double>(load_quantised(w.data, w.type, std::uint64_t{row} * w.n + column));
  }
};

template <class Weights>
__global__ void reference_rows(const SpikeView spikes, const RowMap map, const Weights weights,
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
          sum += static_cast<double>(values[i]) * weights(columns[i], j);
        }
      }
      __syncthreads();
    }
    if (j < n) y[row * n + j] = sum;
  }
}

template <class Weights>
void launch_reference(const CudaContext& context, const SpikeView& spikes, const RowMap& map,
                      const Weights& weights, std::uint32_t n, double* y) {
  const unsigned threads = std::min(max_threads, static_cast<unsigned>(ceil_div(n, 32) * 32));
  const dim3 grid(static_cast<unsigned>(std::min<std::uint64_t>(spikes.shape.m(), 1u << 20)),
                  static_cast<unsigned>(ceil_div(n, threads)));
  if (grid.y > 65535) {
    throw Error(ErrorCode::unsupported, "reference product: N above 67,107,840 columns");
  }
  reference_rows<<<grid, threads, 0, context.stream>>>(spikes, map, weights, y, n);
  check_launch();
}

}  // namespace
}  // namespace cuda

void reference_spmm(const CudaContext& context, const SpikeView& spikes, RowOrder order,
                    const WeightView& weights, double* y) {
  check_reference(spikes, weights, y, Space::device);
  if (spikes.shape.m() == 0 || weights.n == 0) return;
  const RowMap map{spikes.shape.timesteps, spikes.shape.rows, spikes.row_order, order};
  const auto run = [&](const auto& w) {
    cuda::launch_reference(context, spikes, map, w, weights.n, y);
  };
  const std::uint32_t n = weights.n;
  if (is_quantised(weights.type)) {
    run(cuda::Quantised{weights});
  } else if (weights.type == DType::f16) {
    run(cuda::Plain<Half>{static_cast<const Half*>(weights.data), n});
  } else if (weights.type == DType::bf16) {
    run(cuda::Plain<Bfloat16>{static_cast<const Bfloat16*>(weights.data), n});
  } else {
    run(cuda::Plain<float>{static_cast<const float*>(weights.data), n});
  }
}

}  // namespace spiketune
