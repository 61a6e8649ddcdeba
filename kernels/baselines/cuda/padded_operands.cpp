#include "spiketune/kernels/baselines/cuda/padded_operands.hpp"

#include <cuda_runtime_api.h>

#include "spiketune/core/cuda/check.hpp"

namespace spiketune::baselines {

PaddedOperands::PaddedOperands(const CudaContext& context, const WeightView& weights,
                               const OutputView& output, std::uint64_t m, std::uint64_t n,
                               std::uint64_t k)
    : context_(context), weights_(weights), output_(output), m_(m), n_(n), k_(k) {
  if (k != weights.k || n != weights.n) {
    padded_weights_ = allocate(context, k * n * bits_of(weights.type) / 8);
    fill(context, padded_weights_.data(), 0, padded_weights_.bytes());
    copy_matrix(context, padded_weights_.data(), n, weights.data, weights.n, weights.k, weights.n,
                weights.type);
  }
  if (m != output.m || n != output.n) {
    padded_output_ = allocate(context, m * n * bits_of(output.type) / 8);
  }
}

const void* PaddedOperands::weights() const {
  return padded_weights_.data() == nullptr ? weights_.data : padded_weights_.data();
}

void* PaddedOperands::output() const {
  return padded_output_.data() == nullptr ? output_.data : padded_output_.data();
}

void PaddedOperands::store() const {
  if (padded_output_.data() == nullptr) return;
  copy_matrix(context_, output_.data, output_.n, padded_output_.data(), n_, output_.m, output_.n,
              output_.type);
}

void copy_matrix(const CudaContext& context, void* to, std::uint64_t to_ld, const void* from,
                 std::uint64_t from_ld, std::uint64_t rows, std::uint64_t columns, DType type) {
  if (rows == 0 || columns == 0) return;
  const std::uint64_t element = bits_of(type) / 8;
  cuda::check(cudaMemcpy2DAsync(to, to_ld * element, from, from_ld * element, columns * element,
                                rows, cudaMemcpyDeviceToDevice, context.stream));
}

}  // namespace spiketune::baselines
