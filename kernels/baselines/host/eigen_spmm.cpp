#include "spiketune/kernels/baselines/host/eigen_spmm.hpp"

#include <Eigen/SparseCore>

#include "spiketune/core/parallel.hpp"

namespace spiketune::baselines {

void eigen_spmm(const HostContext& context, const EigenCsr& s, const float* w, std::uint32_t n,
                float* y) {
  if (s.m == 0 || n == 0) return;
  using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor, std::int32_t>;
  using Dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto rows = static_cast<Eigen::Index>(s.m);
  const auto columns = static_cast<Eigen::Index>(n);
  Eigen::Map<Dense> result(y, rows, columns);
  const std::int32_t entries = s.row_offsets[s.m];
  if (s.k == 0 || entries == 0) {
    result.setZero();
    return;
  }
  Eigen::setNbThreads(thread_count(context));  // OpenMP; one number for the process
  const Eigen::Map<const Sparse> matrix(rows, s.k, entries, s.row_offsets, s.column_indices,
                                        s.values);
  const Eigen::Map<const Dense> weights(w, s.k, columns);
  result.noalias() = matrix * weights;
}

}  // namespace spiketune::baselines
