#pragma once
/// \file
/// cuBLASLt: the dense product of the GPU.

#include <cublasLt.h>

#include <memory>
#include <type_traits>

#include "spiketune/core/buffer.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::baselines {

namespace detail {
struct CublasltDestroy {
  void operator()(cublasLtContext* handle) const noexcept {
    static_cast<void>(cublasLtDestroy(handle));
  }
  void operator()(cublasLtMatmulDescOpaque_t* descriptor) const noexcept {
    static_cast<void>(cublasLtMatmulDescDestroy(descriptor));
  }
  void operator()(cublasLtMatrixLayoutOpaque_t* layout) const noexcept {
    static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
  }
  void operator()(cublasLtMatmulPreferenceOpaque_t* preference) const noexcept {
    static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
  }
};
/// Owns what a cublasLt*_t points to.
template <class Pointer>
using CublasltOwner = std::unique_ptr<std::remove_pointer_t<Pointer>, CublasltDestroy>;
}  // namespace detail

/// Y[M, N] = S[M, K] · W[K, N] with S dense in W's type. Sums in f32; f32 operands are rounded to
/// TF32 (10 bits of mantissa) as they enter the tensor cores, so the product is exact only for W
/// that TF32 holds.
class CublasltMatmul {
 public:
  /// Asks for the heuristic's best algorithms within 64 MiB of workspace, times each on these very
  /// operands, and keeps the fastest. Synchronises, allocates, and overwrites Y.
  /// M, N and K must be positive. Throws Error(unsupported) where cuBLASLt offers none.
  CublasltMatmul(const CudaContext& context, const void* spikes, const WeightView& weights,
                 const OutputView& output);

  /// Enqueues the product on the context's stream.
  void run() const;

 private:
  void make_layouts();
  void choose_algorithm();
  [[nodiscard]] cublasStatus_t launch(const cublasLtMatmulAlgo_t& algorithm, void* workspace,
                                      std::size_t workspace_bytes) const;
  [[nodiscard]] float time(const cublasLtMatmulAlgo_t& algorithm, const Buffer& workspace) const;

  CudaContext context_;
  const void* spikes_;
  WeightView weights_;
  OutputView output_;
  detail::CublasltOwner<cublasLtHandle_t> handle_;
  detail::CublasltOwner<cublasLtMatmulDesc_t> operation_;
  detail::CublasltOwner<cublasLtMatrixLayout_t> spike_layout_;
  detail::CublasltOwner<cublasLtMatrixLayout_t> weight_layout_;
  detail::CublasltOwner<cublasLtMatrixLayout_t> output_layout_;
  cublasLtMatmulAlgo_t algorithm_{};
  Buffer workspace_;
};

}  // namespace spiketune::baselines
