#pragma once
/// \file
/// cuSPARSE's generic interface: matrices, conversion from dense, and the product, each an owner
/// whose calls are checked. All memory is the caller's; 32-bit indices, zero-based.

#include <cusparse.h>

#include <cstdint>
#include <memory>
#include <string>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/dtype.hpp"

namespace spiketune::baselines {

namespace detail {
struct CusparseDestroy {
  void operator()(cusparseContext* handle) const noexcept {
    static_cast<void>(cusparseDestroy(handle));
  }
  void operator()(const cusparseSpMatDescr* matrix) const noexcept {
    static_cast<void>(cusparseDestroySpMat(matrix));
  }
  void operator()(const cusparseDnMatDescr* matrix) const noexcept {
    static_cast<void>(cusparseDestroyDnMat(matrix));
  }
};
}  // namespace detail

using CusparseHandle = std::unique_ptr<cusparseContext, detail::CusparseDestroy>;
using SparseMatrix = std::unique_ptr<cusparseSpMatDescr, detail::CusparseDestroy>;
using DenseMatrix = std::unique_ptr<cusparseDnMatDescr, detail::CusparseDestroy>;
using ConstDenseMatrix = std::unique_ptr<const cusparseDnMatDescr, detail::CusparseDestroy>;

/// A handle on the context's device whose calls go to the context's stream.
[[nodiscard]] CusparseHandle make_cusparse_handle(const CudaContext& context);

/// Rows × columns of values of one type.
struct MatrixShape {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  DType type = DType::f16;
};

/// Row-major, leading dimension `shape.columns`.
[[nodiscard]] DenseMatrix dense_matrix(const MatrixShape& shape, void* values);
[[nodiscard]] ConstDenseMatrix const_dense_matrix(const MatrixShape& shape, const void* values);

/// rows: offsets [shape.rows + 1]; columns and values [nnz].
[[nodiscard]] SparseMatrix csr_matrix(const MatrixShape& shape, std::uint64_t nnz, void* rows,
                                      void* columns, void* values);
/// rows, columns and values [nnz], sorted by row.
[[nodiscard]] SparseMatrix coo_matrix(const MatrixShape& shape, std::uint64_t nnz, void* rows,
                                      void* columns, void* values);
/// Square blocks, row-major inside; offsets [rows / block_size + 1], columns [blocks], values
/// [blocks · block_size²]. Throws Error(unsupported) where bsr_unavailable_reason() says why.
[[nodiscard]] SparseMatrix bsr_matrix(const MatrixShape& shape, std::uint32_t block_size,
                                      std::uint64_t blocks, void* offsets, void* columns,
                                      void* values);
/// columns [rows / block_size, width], values row-major [rows, width · block_size].
[[nodiscard]] SparseMatrix blocked_ell_matrix(const MatrixShape& shape, std::uint32_t block_size,
                                              std::uint64_t width, void* columns, void* values);

/// CUSPARSE_SPMM_BSR_ALG1, which headers before CUDA 12.5 update 1 do not name.
inline constexpr auto bsr_algorithm = static_cast<cusparseSpMMAlg_t>(14);
/// Why this build cannot multiply Block-CSR; empty where it can.
[[nodiscard]] std::string bsr_unavailable_reason();

/// cusparseDenseToSparse to CSR or COO. The handle and the matrices must outlive it.
class DenseToSparse {
 public:
  DenseToSparse(const CudaContext& context, const CusparseHandle& handle,
                const ConstDenseMatrix& from, const SparseMatrix& to);
  /// Counts the nonzeros, and for CSR writes the offsets. Waits for the count.
  [[nodiscard]] std::uint64_t analyse() const;
  /// Writes what analyse() counted; the matrix must have been given room for it.
  void convert() const;

 private:
  cusparseHandle_t handle_;
  cusparseConstDnMatDescr_t from_;
  cusparseSpMatDescr_t to_;
  Buffer workspace_;
};

/// Y = S·W by one algorithm, W and Y row-major, sums in f32.
class CusparseSpmm {
 public:
  /// The handle must outlive it; descriptors' memory, too.
  CusparseSpmm(const CudaContext& context, const CusparseHandle& handle,
               cusparseSpMMAlg_t algorithm, ConstDenseMatrix weights, DenseMatrix output);

  /// Makes room for products with such a matrix. Allocates.
  void reserve(const SparseMatrix& matrix);
  /// Lets the library study the pattern of `matrix`, which must then stay as it is. After
  /// reserve().
  void preprocess(const SparseMatrix& matrix) const;
  /// Throws Error(overflow) where the matrix needs more room than was reserved.
  void check_room(const SparseMatrix& matrix) const;
  /// Enqueues the product.
  void run(const SparseMatrix& matrix) const;

 private:
  [[nodiscard]] std::size_t workspace_bytes(const SparseMatrix& matrix) const;

  CudaContext context_;
  cusparseHandle_t handle_;
  cusparseSpMMAlg_t algorithm_;
  ConstDenseMatrix weights_;
  DenseMatrix output_;
  Buffer workspace_;
};

}  // namespace spiketune::baselines
