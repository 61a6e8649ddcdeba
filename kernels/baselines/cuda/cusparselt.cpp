#include "spiketune/kernels/baselines/cuda/cusparselt.hpp"

#include <utility>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/baselines/cuda/check.hpp"

namespace spiketune::baselines {
namespace {

constexpr float one = 1.0f;
constexpr float zero = 0.0f;
constexpr auto as_is = CUSPARSE_OPERATION_NON_TRANSPOSE;
constexpr std::uint32_t alignment_bytes = 16;

// Enumerators of cusparseLt.h.
constexpr int sparsity_50_percent = 0;
constexpr int compute_32f = 2;
constexpr int algorithm_default = 0;
constexpr int prune_strip = 1;
constexpr int sparse_is_a = 1;

/// Runs `init` on fresh memory; `destroy` takes it back, unless `init` throws.
template <class Init>
CusparseltOwner make(Init&& init, void (*destroy)(const CusparseltObject*) noexcept) {
  auto object = std::make_unique<CusparseltObject>();
  init(object.get());
  return {object.release(), destroy};
}

CusparseltOwner nothing() {
  return {nullptr, [](const CusparseltObject*) noexcept {}};
}

CusparseltOwner make_handle() {
  return make([](void* handle) { check(cusparselt().init(handle), "cusparseLtInit"); },
              [](const CusparseltObject* handle) noexcept {
                static_cast<void>(cusparselt().destroy(handle));
                delete handle;
              });
}

void destroy_matrix(const CusparseltObject* matrix) noexcept {
  static_cast<void>(cusparselt().mat_descriptor_destroy(matrix));
  delete matrix;
}

CusparseltOwner make_dense(const CusparseltOwner& handle, std::uint64_t rows, std::uint64_t columns,
                           DType type) {
  return make(
      [&](void* matrix) {
        check(cusparselt().dense_descriptor_init(
                  handle.get(), matrix, static_cast<std::int64_t>(rows),
                  static_cast<std::int64_t>(columns), static_cast<std::int64_t>(columns),
                  alignment_bytes, data_type(type), CUSPARSE_ORDER_ROW),
              "cusparseLtDenseDescriptorInit");
      },
      destroy_matrix);
}

CusparseltOwner make_structured(const CusparseltOwner& handle, std::uint64_t rows,
                                std::uint64_t columns, DType type) {
  return make(
      [&](void* matrix) {
        check(cusparselt().structured_descriptor_init(
                  handle.get(), matrix, static_cast<std::int64_t>(rows),
                  static_cast<std::int64_t>(columns), static_cast<std::int64_t>(columns),
                  alignment_bytes, data_type(type), CUSPARSE_ORDER_ROW, sparsity_50_percent),
              "cusparseLtStructuredDescriptorInit");
      },
      destroy_matrix);
}

}  // namespace

CusparseltMatrix::CusparseltMatrix(const CudaContext& context, std::uint64_t m, std::uint64_t k,
                                   DType type)
    : context_(context), m_(m), k_(k), type_(type), handle_(nothing()), matrix_(nothing()) {
  const Cusparselt& api = cusparselt();
  if (!api.why_unavailable.empty()) throw Error(ErrorCode::unsupported, api.why_unavailable);
  cuda::check(cudaSetDevice(context.device));
  handle_ = make_handle();
  matrix_ = make_structured(handle_, m, k, type);
  std::size_t bytes = 0;
  std::size_t scratch_bytes = 0;
  check(api.compressed_size(handle_.get(), matrix_.get(), &bytes, &scratch_bytes),
        "cusparseLtSpMMACompressedSize2");
  compressed_ = allocate(context, bytes);
  scratch_ = allocate(context, scratch_bytes);
}

void CusparseltMatrix::encode(void* dense) const {
  const Cusparselt& api = cusparselt();
  check(api.prune(handle_.get(), matrix_.get(), sparse_is_a, as_is, dense, dense, prune_strip,
                  context_.stream),
        "cusparseLtSpMMAPrune2");
  check(api.compress(handle_.get(), matrix_.get(), sparse_is_a, as_is, dense, compressed_.data(),
                     scratch_.data(), context_.stream),
        "cusparseLtSpMMACompress2");
}

CusparseltMatmul::CusparseltMatmul(const CusparseltMatrix& spikes, PaddedOperands operands)
    : spikes_(spikes),
      operands_(std::move(operands)),
      weight_matrix_(nothing()),
      output_matrix_(nothing()),
      matmul_(std::make_unique<CusparseltObject>()),
      selection_(nothing()),
      plan_(nothing()) {
  make_plan();
  const Cusparselt& api = cusparselt();
  const void* handle = spikes_.handle_.get();
  cudaStream_t stream = spikes_.context_.stream;
  check(
      api.matmul_search(handle, plan_.get(), &one, spikes_.compressed_.data(), operands_.weights(),
                        &zero, operands_.output(), operands_.output(), nullptr, &stream, 1),
      "cusparseLtMatmulSearch");
  std::size_t bytes = 0;
  check(api.matmul_get_workspace(handle, plan_.get(), &bytes), "cusparseLtMatmulGetWorkspace");
  workspace_ = allocate(spikes_.context_, bytes);
}

void CusparseltMatmul::make_plan() {
  const Cusparselt& api = cusparselt();
  const CusparseltOwner& handle = spikes_.handle_;
  weight_matrix_ = make_dense(handle, operands_.k(), operands_.n(), operands_.weight_type());
  output_matrix_ = make_dense(handle, operands_.m(), operands_.n(), operands_.output_type());
  check(api.matmul_descriptor_init(handle.get(), matmul_.get(), as_is, as_is, spikes_.matrix_.get(),
                                   weight_matrix_.get(), output_matrix_.get(), output_matrix_.get(),
                                   compute_32f),
        "cusparseLtMatmulDescriptorInit");
  selection_ = make(
      [&](void* selection) {
        check(api.matmul_alg_selection_init(handle.get(), selection, matmul_.get(),
                                            algorithm_default),
              "cusparseLtMatmulAlgSelectionInit");
      },
      [](const CusparseltObject* selection) noexcept {
        const auto destroy = cusparselt().matmul_alg_selection_destroy;
        if (destroy != nullptr) static_cast<void>(destroy(selection));
        delete selection;
      });
  plan_ = make(
      [&](void* plan) {
        check(api.matmul_plan_init(handle.get(), plan, matmul_.get(), selection_.get()),
              "cusparseLtMatmulPlanInit");
      },
      [](const CusparseltObject* plan) noexcept {
        static_cast<void>(cusparselt().matmul_plan_destroy(plan));
        delete plan;
      });
}

void CusparseltMatmul::run() const {
  cudaStream_t stream = spikes_.context_.stream;
  check(cusparselt().matmul(spikes_.handle_.get(), plan_.get(), &one, spikes_.compressed_.data(),
                            operands_.weights(), &zero, operands_.output(), operands_.output(),
                            workspace_.data(), &stream, 1),
        "cusparseLtMatmul");
  operands_.store();
}

}  // namespace spiketune::baselines
