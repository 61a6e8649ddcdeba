#include "spiketune/kernels/baselines/cuda/cublaslt.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

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
detail::CublasltOwner<cublasLtMatrixLayout_t> row_major(DType type, std::uint64_t rows,
                                                        std::uint64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, data_type(type), columns, rows,
                                   static_cast<std::int64_t>(columns)),
        "cublasLtMatrixLayoutCreate");
  return detail::CublasltOwner<cublasLtMatrixLayout_t>(layout);
}

/// The largest power of two up to 256 that divides an address.
std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return address == 0 ? 256u : std::min(256u, 1u << std::min(8, std::countr_zero(address)));
}

}  // namespace

CublasltMatmul::CublasltMatmul(const CudaContext& context, const void* spikes,
                               const WeightView& weights, const OutputView& output)
    : context_(context), spikes_(spikes), weights_(weights), output_(output) {
  cuda::check(cudaSetDevice(context.device));
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate");
  handle_.reset(handle);
  make_layouts();
  choose_algorithm();
}

/// cuBLASLt knows row-major matrices, but its kernels are written for column-major ones: hence
/// Yᵀ = Wᵀ·Sᵀ, where W is the first operand and nothing moves.
void CublasltMatmul::make_layouts() {
  const bool is_f32 = weights_.type == DType::f32;
  cublasLtMatmulDesc_t operation = nullptr;
  check(cublasLtMatmulDescCreate(
            &operation, is_f32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  operation_.reset(operation);
  weight_layout_ = row_major(weights_.type, weights_.k, weights_.n);
  spike_layout_ = row_major(weights_.type, output_.m, weights_.k);
  output_layout_ = row_major(output_.type, output_.m, output_.n);
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
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(weights_.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(spikes_));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(output_.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(output_.data));

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

cublasStatus_t CublasltMatmul::launch(const cublasLtMatmulAlgo_t& algorithm, void* workspace,
                                      std::size_t workspace_bytes) const {
  return cublasLtMatmul(handle_.get(), operation_.get(), &one, weights_.data, weight_layout_.get(),
                        spikes_, spike_layout_.get(), &zero, output_.data, output_layout_.get(),
                        output_.data, output_layout_.get(), &algorithm, workspace, workspace_bytes,
                        context_.stream);
}

/// Milliseconds of a few runs; infinite where the algorithm refuses the operands after all.
float CublasltMatmul::time(const cublasLtMatmulAlgo_t& algorithm, const Buffer& workspace) const {
  const Event begin = make_event();
  const Event end = make_event();
  for (int run = 0; run < warm_runs + timed_runs; ++run) {
    if (run == warm_runs) cuda::check(cudaEventRecord(begin.get(), context_.stream));
    const cublasStatus_t status = launch(algorithm, workspace.data(), workspace.bytes());
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

void CublasltMatmul::run() const {
  check(launch(algorithm_, workspace_.data(), workspace_.bytes()), "cublasLtMatmul");
}

}  // namespace spiketune::baselines
