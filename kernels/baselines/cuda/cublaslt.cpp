#include "spiketune/kernels/baselines/cuda/cublaslt.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <tuple>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/baselines/cuda/check.hpp"

namespace spiketune::baselines {
namespace {

constexpr int candidate_algorithms = 32;
constexpr std::size_t candidate_workspace_bytes = std::size_t{64} << 20;
constexpr int warm_runs = 2;
constexpr int timed_runs = 5;
constexpr float one = 1.0f;
constexpr float zero = 0.0f;
constexpr std::int32_t integer_one = 1;
constexpr std::int32_t integer_zero = 0;

struct DestroyEvent {
  void operator()(CUevent_st* event) const noexcept { static_cast<void>(cudaEventDestroy(event)); }
};
using Event = std::unique_ptr<CUevent_st, DestroyEvent>;

Event make_event() {
  cudaEvent_t event = nullptr;
  cuda::check(cudaEventCreate(&event));
  return Event(event);
}

/// A row-major [rows, columns] matrix is the column-major [columns, rows] one.
detail::CublasltOwner<cublasLtMatrixLayout_t> row_major(cudaDataType_t type, std::uint64_t rows,
                                                        std::uint64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(
      cublasLtMatrixLayoutCreate(&layout, type, columns, rows, static_cast<std::int64_t>(columns)),
      "cublasLtMatrixLayoutCreate");
  return detail::CublasltOwner<cublasLtMatrixLayout_t>(layout);
}

/// The largest power of two up to 256 that divides an address.
std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return address == 0 ? 256u : std::min(256u, 1u << std::min(8, std::countr_zero(address)));
}

bool is_integer(const CublasltOperands& operands) {
  return operands.type == CUDA_R_8I;
}

bool is_eight_bits(const CublasltOperands& operands) {
  return is_integer(operands) || operands.type == CUDA_R_8F_E4M3;
}

cublasComputeType_t compute_type(const CublasltOperands& operands) {
  if (is_integer(operands)) return CUBLAS_COMPUTE_32I;
  return operands.type == CUDA_R_32F ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

}  // namespace

CublasltMatmul::CublasltMatmul(const CudaContext& context, const void* spikes,
                               const WeightView& weights, const OutputView& output)
    : CublasltMatmul(context, {.spikes = spikes,
                               .weights = weights.data,
                               .output = output.data,
                               .type = data_type(weights.type),
                               .output_type = data_type(output.type),
                               .m = output.m,
                               .k = weights.k,
                               .n = weights.n}) {}

CublasltMatmul::CublasltMatmul(const CudaContext& context, const CublasltOperands& operands)
    : context_(context), operands_(operands) {
  cuda::check(cudaSetDevice(context.device));
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate");
  handle_.reset(handle);
  describe();
  choose_algorithm();
}

/// cuBLASLt knows row-major matrices, but its kernels are written for column-major ones: hence
/// Yᵀ = Wᵀ·Sᵀ, where W is the first operand and nothing moves. Those of 8 bits want both operands
/// with K along.
void CublasltMatmul::describe() {
  cublasLtMatmulDesc_t operation = nullptr;
  check(cublasLtMatmulDescCreate(&operation, compute_type(operands_),
                                 is_integer(operands_) ? CUDA_R_32I : CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  operation_.reset(operation);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  };
  const auto& [m, k, n] = std::tie(operands_.m, operands_.k, operands_.n);
  if (is_eight_bits(operands_)) {
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    weight_layout_ = row_major(operands_.type, n, k);
  } else {
    weight_layout_ = row_major(operands_.type, k, n);
  }
  if (operands_.fast_accumulation) set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
  if (operands_.column_scales != nullptr) {
    const cublasLtMatmulMatrixScale_t outer = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, outer);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, outer);
    set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, operands_.column_scales);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, operands_.row_scales);
  }
  spike_layout_ = row_major(operands_.type, m, k);
  output_layout_ = row_major(operands_.output_type, m, n);
}

void CublasltMatmul::choose_algorithm() {
  cublasLtMatmulPreference_t created = nullptr;
  check(cublasLtMatmulPreferenceCreate(&created), "cublasLtMatmulPreferenceCreate");
  const detail::CublasltOwner<cublasLtMatmulPreference_t> preference(created);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, candidate_workspace_bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(operands_.weights));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(operands_.spikes));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(operands_.output));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(operands_.output));

  std::array<cublasLtMatmulHeuristicResult_t, candidate_algorithms> candidates{};
  int count = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle_.get(), operation_.get(), weight_layout_.get(),
                                       spike_layout_.get(), output_layout_.get(),
                                       output_layout_.get(), preference.get(), candidate_algorithms,
                                       candidates.data(), &count),
        "cublasLtMatmulAlgoGetHeuristic");
  const Buffer workspace = allocate(context_, candidate_workspace_bytes);
  float best = std::numeric_limits<float>::infinity();
  std::size_t workspace_bytes = 0;
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& candidate = candidates[static_cast<std::size_t>(i)];
    if (candidate.state != CUBLAS_STATUS_SUCCESS) continue;
    const float milliseconds = time(candidate.algo, workspace);
    if (milliseconds >= best) continue;
    best = milliseconds;
    algorithm_ = candidate.algo;
    workspace_bytes = candidate.workspaceSize;
  }
  require(best < std::numeric_limits<float>::infinity(), ErrorCode::unsupported,
          "cuBLASLt's heuristic offers no algorithm for this product");
  workspace_ = allocate(context_, workspace_bytes);
}

cublasStatus_t CublasltMatmul::launch(const cublasLtMatmulAlgo_t& algorithm, const void* spikes,
                                      void* workspace, std::size_t workspace_bytes) const {
  const void* alpha = is_integer(operands_) ? static_cast<const void*>(&integer_one) : &one;
  const void* beta = is_integer(operands_) ? static_cast<const void*>(&integer_zero) : &zero;
  return cublasLtMatmul(handle_.get(), operation_.get(), alpha, operands_.weights,
                        weight_layout_.get(), spikes, spike_layout_.get(), beta, operands_.output,
                        output_layout_.get(), operands_.output, output_layout_.get(), &algorithm,
                        workspace, workspace_bytes, context_.stream);
}

/// Milliseconds of a few runs; infinite where the algorithm refuses the operands after all.
float CublasltMatmul::time(const cublasLtMatmulAlgo_t& algorithm, const Buffer& workspace) const {
  const Event begin = make_event();
  const Event end = make_event();
  for (int run = 0; run < warm_runs + timed_runs; ++run) {
    if (run == warm_runs) cuda::check(cudaEventRecord(begin.get(), context_.stream));
    const cublasStatus_t status =
        launch(algorithm, operands_.spikes, workspace.data(), workspace.bytes());
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) {
      return std::numeric_limits<float>::infinity();
    }
    check(status, "cublasLtMatmul");
  }
  cuda::check(cudaEventRecord(end.get(), context_.stream));
  cuda::check(cudaEventSynchronize(end.get()));
  float milliseconds = 0;
  cuda::check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
  return milliseconds;
}

void CublasltMatmul::run(const void* spikes) const {
  check(launch(algorithm_, spikes, workspace_.data(), workspace_.bytes()), "cublasLtMatmul");
}

}  // namespace spiketune::baselines
