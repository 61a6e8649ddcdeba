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

/// What cuBLASLt multiplies, all row-major: S [M, K], W [K, N] and Y [M, N] in floating point; or
/// in 8 bits, s8 with Y in s32 or e4m3 with a Y of floating point, where W is [N, K].
struct CublasltOperands {
  const void* spikes = nullptr;  ///< those that algorithms are tried on
  const void* weights = nullptr;
  void* output = nullptr;
  cudaDataType_t type = CUDA_R_16F;  ///< of S and W
  cudaDataType_t output_type = CUDA_R_16F;
  std::uint64_t m = 0;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  /// Of e4m3, both or neither: Y[i, j] is row_scales[i] · column_scales[j] times as much.
  const float* row_scales = nullptr;
  const float* column_scales = nullptr;
  /// Sums of e4m3 stay in the tensor cores, which keep some 14 bits.
  bool fast_accumulation = false;
};

/// Y[M, N] = S[M, K] · W[K, N] with S dense in W's type. Sums in f32, of s8 in s32; f32 operands
/// are rounded to TF32 (10 bits of mantissa) as they enter the tensor cores, so the product is
/// exact only for W that TF32 holds.
class CublasltMatmul {
 public:
  /// Asks for the heuristic's best algorithms within 64 MiB of workspace, times each on these very
  /// operands, and keeps the fastest. Synchronises, allocates, and overwrites Y.
  /// M, N and K must be positive. Throws Error(unsupported) where cuBLASLt offers none.
  CublasltMatmul(const CudaContext& context, const CublasltOperands& operands);
  /// W in f32, f16 or bf16, Y in any of them that cuBLASLt offers.
  CublasltMatmul(const CudaContext& context, const void* spikes, const WeightView& weights,
                 const OutputView& output);

  /// Enqueues the product on the context's stream.
  void run() const { run(operands_.spikes); }
  /// The same of spikes elsewhere, aligned as those were.
  void run(const void* spikes) const;

 private:
  void describe();
  void choose_algorithm();
  [[nodiscard]] cublasStatus_t launch(const cublasLtMatmulAlgo_t& algorithm, const void* spikes,
                                      void* workspace, std::size_t workspace_bytes) const;
  [[nodiscard]] float time(const cublasLtMatmulAlgo_t& algorithm, const Buffer& workspace) const;

  CudaContext context_;
  CublasltOperands operands_;
  detail::CublasltOwner<cublasLtHandle_t> handle_;
  detail::CublasltOwner<cublasLtMatmulDesc_t> operation_;
  detail::CublasltOwner<cublasLtMatrixLayout_t> spike_layout_;
  detail::CublasltOwner<cublasLtMatrixLayout_t> weight_layout_;
  detail::CublasltOwner<cublasLtMatrixLayout_t> output_layout_;
  cublasLtMatmulAlgo_t algorithm_{};
  Buffer workspace_;
};

}  // namespace spiketune::baselines
