// Both comparisons read their inputs once: grid-stride loops, then a reduction over the block, then
// one result per block that the host reduces (or, for positions, an atomicMin).

#include <algorithm>
#include <vector>

#include "spiketune/autotune/verify.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/check.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr int threads = 256;
constexpr std::uint64_t max_blocks = 2048;

/// The worst element of each block: a tree over the threads, a plane of shared memory per member.
__global__ void worst_of_blocks(const OutputView output, const double* __restrict__ reference,
                                detail::ElementError* __restrict__ worst) {
  __shared__ double absolute[threads];
  __shared__ double scaled[threads];
  __shared__ std::uint64_t at[threads];
  const unsigned me = threadIdx.x;
  const std::uint64_t count = output.m * output.n;
  const std::uint64_t step = std::uint64_t{gridDim.x} * threads;
  detail::ElementError mine;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * threads + me; i < count; i += step) {
    mine = detail::worse_of(mine,
                            detail::element_error(detail::load_output(output, i), reference[i], i));
  }
  for (unsigned half = threads / 2;; half /= 2) {
    absolute[me] = mine.absolute;
    scaled[me] = mine.scaled;
    at[me] = mine.at;
    __syncthreads();
    if (half == 0) break;
    if (me < half) {
      mine = detail::worse_of(mine, {absolute[me + half], scaled[me + half], at[me + half]});
    }
    __syncthreads();
  }
  if (me == 0) worst[blockIdx.x] = mine;
}

__global__ void find_difference(const SpikeView a, const SpikeView b, unsigned long long* first) {
  const std::uint64_t count = a.shape.elements();
  const std::uint64_t step = std::uint64_t{gridDim.x} * threads;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * threads + threadIdx.x; i < count; i += step) {
    const std::uint64_t row = i / a.shape.k;
    const auto column = static_cast<std::uint32_t>(i % a.shape.k);
    if (detail::spike_bits(a, row, column) != detail::spike_bits(b, row, column)) {
      atomicMin(first, static_cast<unsigned long long>(i));
      return;  // later elements of this thread lie further back
    }
  }
}

unsigned blocks_for(std::uint64_t count) {
  return static_cast<unsigned>(std::min(ceil_div(count, threads), max_blocks));
}

}  // namespace
}  // namespace cuda

Comparison compare(const CudaContext& context, const OutputView& output, const double* reference) {
  const std::uint64_t count = output.m * output.n;
  if (count == 0) return {};
  const unsigned blocks = cuda::blocks_for(count);
  std::vector<detail::ElementError> worst(blocks);
  const Buffer buffer = allocate(context, blocks * sizeof worst[0]);
  cuda::worst_of_blocks<<<blocks, cuda::threads, 0, context.stream>>>(
      output, reference, static_cast<detail::ElementError*>(buffer.data()));
  cuda::check_launch();
  copy(context, worst.data(), buffer.data(), buffer.bytes());
  synchronize(context);
  detail::ElementError all;
  for (const auto& one : worst) all = detail::worse_of(all, one);
  if (all.at == Comparison::none) return {};

  Comparison result{all.absolute, all.scaled, all.at, 0, 0};
  std::uint32_t element = 0;  // large enough for every type of Y
  OutputView on_host{&element, output.type, 1, 1, Space::host};
  const std::uint64_t size = bits_of(output.type) / 8;
  copy(context, &element, static_cast<const std::byte*>(output.data) + all.at * size, size);
  copy(context, &result.expected, reference + all.at, sizeof(double));
  synchronize(context);
  result.got = detail::load_output(on_host, 0);
  return result;
}

std::uint64_t first_difference(const CudaContext& context, const SpikeView& a, const SpikeView& b) {
  detail::check_same_layout(a, b);
  const std::uint64_t count = a.shape.elements();
  if (count == 0) return Comparison::none;
  unsigned long long first = Comparison::none;
  const Buffer buffer = allocate(context, sizeof first);
  fill(context, buffer.data(), 0xff, sizeof first);
  cuda::find_difference<<<cuda::blocks_for(count), cuda::threads, 0, context.stream>>>(
      a, b, static_cast<unsigned long long*>(buffer.data()));
  cuda::check_launch();
  copy(context, &first, buffer.data(), sizeof first);
  synchronize(context);
  return first;
}

}  // namespace spiketune
