#pragma once
/// \file
/// Eigen: the sparse product of the CPU.

#include <cstdint>

#include "spiketune/core/context.hpp"

namespace spiketune::baselines {

/// What Eigen::SparseMatrix<float, RowMajor, int> consists of: CSR with a value for every entry.
/// Owns nothing.
struct EigenCsr {
  std::uint64_t m = 0;
  std::uint32_t k = 0;
  const std::int32_t* row_offsets = nullptr;     ///< [M + 1]
  const std::int32_t* column_indices = nullptr;  ///< [nnz]
  const float* values = nullptr;                 ///< [nnz]
};

/// y[M, N] = s · w[K, N], row-major f32, on the context's number of threads. y need not be
/// initialised.
void eigen_spmm(const HostContext& context, const EigenCsr& s, const float* w, std::uint32_t n,
                float* y);

}  // namespace spiketune::baselines
