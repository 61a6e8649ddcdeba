#include "spiketune/kernels/baselines/cuda/cusparse.hpp"

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/baselines/cuda/check.hpp"

namespace spiketune::baselines {
namespace {

constexpr float one = 1.0f;
constexpr float zero = 0.0f;
constexpr auto as_is = CUSPARSE_OPERATION_NON_TRANSPOSE;
constexpr auto to_sparse = CUSPARSE_DENSETOSPARSE_ALG_DEFAULT;

std::int64_t size(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

}  // namespace

CusparseHandle make_cusparse_handle(const CudaContext& context) {
  cuda::check(cudaSetDevice(context.device));
  cusparseHandle_t created = nullptr;
  check(cusparseCreate(&created), "cusparseCreate");
  CusparseHandle handle(created);
  check(cusparseSetStream(created, context.stream), "cusparseSetStream");
  return handle;
}

DenseMatrix dense_matrix(const MatrixShape& shape, void* values) {
  cusparseDnMatDescr_t matrix = nullptr;
  check(cusparseCreateDnMat(&matrix, size(shape.rows), size(shape.columns), size(shape.columns),
                            values, data_type(shape.type), CUSPARSE_ORDER_ROW),
        "cusparseCreateDnMat");
  return DenseMatrix(matrix);
}

ConstDenseMatrix const_dense_matrix(const MatrixShape& shape, const void* values) {
  cusparseConstDnMatDescr_t matrix = nullptr;
  check(
      cusparseCreateConstDnMat(&matrix, size(shape.rows), size(shape.columns), size(shape.columns),
                               values, data_type(shape.type), CUSPARSE_ORDER_ROW),
      "cusparseCreateConstDnMat");
  return ConstDenseMatrix(matrix);
}

SparseMatrix csr_matrix(const MatrixShape& shape, std::uint64_t nnz, void* rows, void* columns,
                        void* values) {
  cusparseSpMatDescr_t matrix = nullptr;
  check(cusparseCreateCsr(&matrix, size(shape.rows), size(shape.columns), size(nnz), rows, columns,
                          values, CUSPARSE_INDEX_32I, CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO,
                          data_type(shape.type)),
        "cusparseCreateCsr");
  return SparseMatrix(matrix);
}

SparseMatrix coo_matrix(const MatrixShape& shape, std::uint64_t nnz, void* rows, void* columns,
                        void* values) {
  cusparseSpMatDescr_t matrix = nullptr;
  check(cusparseCreateCoo(&matrix, size(shape.rows), size(shape.columns), size(nnz), rows, columns,
                          values, CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO,
                          data_type(shape.type)),
        "cusparseCreateCoo");
  return SparseMatrix(matrix);
}

SparseMatrix blocked_ell_matrix(const MatrixShape& shape, std::uint32_t block_size,
                                std::uint64_t width, void* columns, void* values) {
  cusparseSpMatDescr_t matrix = nullptr;
  check(cusparseCreateBlockedEll(&matrix, size(shape.rows), size(shape.columns), block_size,
                                 size(width * block_size), columns, values, CUSPARSE_INDEX_32I,
                                 CUSPARSE_INDEX_BASE_ZERO, data_type(shape.type)),
        "cusparseCreateBlockedEll");
  return SparseMatrix(matrix);
}

#if CUSPARSE_VERSION >= 12501  // CUDA 12.5 update 1

std::string bsr_unavailable_reason() {
  return "";
}

SparseMatrix bsr_matrix(const MatrixShape& shape, std::uint32_t block_size, std::uint64_t blocks,
                        void* offsets, void* columns, void* values) {
  cusparseSpMatDescr_t matrix = nullptr;
  check(cusparseCreateBsr(&matrix, size(shape.rows / block_size), size(shape.columns / block_size),
                          size(blocks), block_size, block_size, offsets, columns, values,
                          CUSPARSE_INDEX_32I, CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO,
                          data_type(shape.type), CUSPARSE_ORDER_ROW),
        "cusparseCreateBsr");
  return SparseMatrix(matrix);
}

#else

std::string bsr_unavailable_reason() {
  return "cuSPARSE multiplies Block-CSR from CUDA 12.5 update 1 on; this was built with an earlier "
         "one";
}

SparseMatrix bsr_matrix(const MatrixShape&, std::uint32_t, std::uint64_t, void*, void*, void*) {
  throw Error(ErrorCode::unsupported, bsr_unavailable_reason());
}

#endif

DenseToSparse::DenseToSparse(const CudaContext& context, const CusparseHandle& handle,
                             const ConstDenseMatrix& from, const SparseMatrix& to)
    : handle_(handle.get()), from_(from.get()), to_(to.get()) {
  std::size_t bytes = 0;
  check(cusparseDenseToSparse_bufferSize(handle_, from_, to_, to_sparse, &bytes),
        "cusparseDenseToSparse_bufferSize");
  workspace_ = allocate(context, bytes);
}

std::uint64_t DenseToSparse::analyse() const {
  check(cusparseDenseToSparse_analysis(handle_, from_, to_, to_sparse, workspace_.data()),
        "cusparseDenseToSparse_analysis");
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t nnz = 0;
  check(cusparseSpMatGetSize(to_, &rows, &columns, &nnz), "cusparseSpMatGetSize");
  return static_cast<std::uint64_t>(nnz);
}

void DenseToSparse::convert() const {
  check(cusparseDenseToSparse_convert(handle_, from_, to_, to_sparse, workspace_.data()),
        "cusparseDenseToSparse_convert");
}

CusparseSpmm::CusparseSpmm(const CudaContext& context, const CusparseHandle& handle,
                           cusparseSpMMAlg_t algorithm, ConstDenseMatrix weights,
                           DenseMatrix output)
    : context_(context),
      handle_(handle.get()),
      algorithm_(algorithm),
      weights_(std::move(weights)),
      output_(std::move(output)) {}

std::size_t CusparseSpmm::workspace_bytes(const SparseMatrix& matrix) const {
  std::size_t bytes = 0;
  check(cusparseSpMM_bufferSize(handle_, as_is, as_is, &one, matrix.get(), weights_.get(), &zero,
                                output_.get(), CUDA_R_32F, algorithm_, &bytes),
        "cusparseSpMM_bufferSize");
  return bytes;
}

void CusparseSpmm::reserve(const SparseMatrix& matrix) {
  const std::size_t bytes = workspace_bytes(matrix);
  if (bytes > workspace_.bytes()) workspace_ = allocate(context_, bytes);
}

void CusparseSpmm::preprocess(const SparseMatrix& matrix) const {
  check(cusparseSpMM_preprocess(handle_, as_is, as_is, &one, matrix.get(), weights_.get(), &zero,
                                output_.get(), CUDA_R_32F, algorithm_, workspace_.data()),
        "cusparseSpMM_preprocess");
}

void CusparseSpmm::check_room(const SparseMatrix& matrix) const {
  const std::size_t bytes = workspace_bytes(matrix);
  if (bytes <= workspace_.bytes()) return;
  throw Error(ErrorCode::overflow,
              "cuSPARSE needs " + std::to_string(bytes) + " bytes for this product, but only " +
                  std::to_string(workspace_.bytes()) + " were reserved; bind the product again");
}

void CusparseSpmm::run(const SparseMatrix& matrix) const {
  check(cusparseSpMM(handle_, as_is, as_is, &one, matrix.get(), weights_.get(), &zero,
                     output_.get(), CUDA_R_32F, algorithm_, workspace_.data()),
        "cusparseSpMM");
}

}  // namespace spiketune::baselines
