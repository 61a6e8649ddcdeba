#pragma once
/// \file
/// cuSPARSELt: the 2:4 product of the GPU. The library is no part of the CUDA toolkit, so it is
/// found at run time, and the few functions that are needed are declared here (cusparseLt.h of
/// versions 0.6 to 0.10 agree on them).

#include <cuda_runtime_api.h>
#include <cusparse.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "spiketune/core/buffer.hpp"
#include "spiketune/kernels/baselines/cuda/padded_operands.hpp"

namespace spiketune::baselines {

/// Its functions, and why there are none.
struct Cusparselt {
  std::string why_unavailable;  ///< empty: all of the pointers below are set

  // Every object is opaque and lives in memory of the caller (CusparseltObject).
  cusparseStatus_t (*init)(void* handle) = nullptr;
  cusparseStatus_t (*destroy)(const void* handle) = nullptr;
  cusparseStatus_t (*get_property)(libraryPropertyType property, int* value) = nullptr;
  cusparseStatus_t (*dense_descriptor_init)(const void* handle, void* matrix, std::int64_t rows,
                                            std::int64_t columns, std::int64_t ld,
                                            std::uint32_t alignment, cudaDataType type,
                                            cusparseOrder_t order) = nullptr;
  cusparseStatus_t (*structured_descriptor_init)(const void* handle, void* matrix,
                                                 std::int64_t rows, std::int64_t columns,
                                                 std::int64_t ld, std::uint32_t alignment,
                                                 cudaDataType type, cusparseOrder_t order,
                                                 int sparsity) = nullptr;
  cusparseStatus_t (*mat_descriptor_destroy)(const void* matrix) = nullptr;
  cusparseStatus_t (*matmul_descriptor_init)(const void* handle, void* matmul,
                                             cusparseOperation_t op_a, cusparseOperation_t op_b,
                                             const void* a, const void* b, const void* c,
                                             const void* d, int compute_type) = nullptr;
  cusparseStatus_t (*matmul_alg_selection_init)(const void* handle, void* selection,
                                                const void* matmul, int algorithm) = nullptr;
  cusparseStatus_t (*matmul_plan_init)(const void* handle, void* plan, const void* matmul,
                                       const void* selection) = nullptr;
  cusparseStatus_t (*matmul_plan_destroy)(const void* plan) = nullptr;
  cusparseStatus_t (*matmul_get_workspace)(const void* handle, const void* plan,
                                           std::size_t* bytes) = nullptr;
  cusparseStatus_t (*matmul_search)(const void* handle, void* plan, const void* alpha,
                                    const void* a, const void* b, const void* beta, const void* c,
                                    void* d, void* workspace, cudaStream_t* streams,
                                    std::int32_t stream_count) = nullptr;
  cusparseStatus_t (*matmul)(const void* handle, const void* plan, const void* alpha, const void* a,
                             const void* b, const void* beta, const void* c, void* d,
                             void* workspace, cudaStream_t* streams,
                             std::int32_t stream_count) = nullptr;
  cusparseStatus_t (*prune)(const void* handle, const void* matrix, int is_sparse_a,
                            cusparseOperation_t op, const void* in, void* out, int algorithm,
                            cudaStream_t stream) = nullptr;
  cusparseStatus_t (*compressed_size)(const void* handle, const void* matrix, std::size_t* bytes,
                                      std::size_t* scratch_bytes) = nullptr;
  cusparseStatus_t (*compress)(const void* handle, const void* matrix, int is_sparse_a,
                               cusparseOperation_t op, const void* dense, void* compressed,
                               void* scratch, cudaStream_t stream) = nullptr;
  /// Since 0.8; null before.
  cusparseStatus_t (*matmul_alg_selection_destroy)(const void* selection) = nullptr;
};

/// Loads the library on the first call: from the path in the environment variable
/// SPIKETUNE_CUSPARSELT, else from where the loader looks, else from the folders of Python
/// packages. It stays loaded.
[[nodiscard]] const Cusparselt& cusparselt();

/// Room for one of the library's opaque structs, the largest of which (0.6) has 13,072 bytes.
struct alignas(16) CusparseltObject {
  std::byte data[16384];
};

/// An initialised struct and what destroys it.
using CusparseltOwner =
    std::unique_ptr<CusparseltObject, void (*)(const CusparseltObject*) noexcept>;

/// S[M, K], row-major f16 or bf16, as the library's 2:4 matrix: of every four neighbours of a row
/// the two largest are kept. M and K must be positive multiples of 16.
class CusparseltMatrix {
 public:
  static constexpr std::uint64_t multiple = 16;

  /// Throws Error(unsupported) with cusparselt().why_unavailable.
  CusparseltMatrix(const CudaContext& context, std::uint64_t m, std::uint64_t k, DType type);

  /// Enqueues: zeroes in `dense` what 2:4 cannot hold, then compresses the rest.
  void encode(void* dense) const;

  [[nodiscard]] std::uint64_t bytes() const { return compressed_.bytes(); }

 private:
  friend class CusparseltMatmul;
  CudaContext context_;
  std::uint64_t m_;
  std::uint64_t k_;
  DType type_;
  CusparseltOwner handle_;
  CusparseltOwner matrix_;
  Buffer compressed_;
  Buffer scratch_;
};

/// Y[M, N] = S·W with Y of W's type, sums in f32. N must be a multiple of 8.
class CusparseltMatmul {
 public:
  static constexpr std::uint64_t multiple = 8;

  /// Lets the library time its algorithms on these operands (cusparseLtMatmulSearch) and keeps the
  /// best. Synchronises, allocates, and overwrites Y. `spikes` must be encoded, and outlive this.
  CusparseltMatmul(const CusparseltMatrix& spikes, PaddedOperands operands);

  /// Enqueues the product.
  void run() const;

 private:
  void make_plan();

  const CusparseltMatrix& spikes_;
  PaddedOperands operands_;
  CusparseltOwner weight_matrix_;
  CusparseltOwner output_matrix_;
  std::unique_ptr<CusparseltObject> matmul_;  ///< nothing destroys it
  CusparseltOwner selection_;
  CusparseltOwner plan_;
  Buffer workspace_;
};

}  // namespace spiketune::baselines
