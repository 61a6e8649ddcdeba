#include "spiketune/kernels/baselines/cuda/check.hpp"

#include <cstring>
#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune::baselines {
namespace {

[[noreturn]] void fail(ErrorCode code, const char* call, const char* name, const char* meaning,
                       const std::source_location& where) {
  const char* file = std::strrchr(where.file_name(), '/');
  throw Error(code, std::string(call) + ": " + name + ", " + meaning + " (" +
                        (file == nullptr ? where.file_name() : file + 1) + ":" +
                        std::to_string(where.line()) + ")");
}

}  // namespace

void check(cublasStatus_t status, const char* call, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ErrorCode code = status == CUBLAS_STATUS_NOT_SUPPORTED  ? ErrorCode::unsupported
                         : status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::out_of_memory
                                                                : ErrorCode::cuda;
  fail(code, call, cublasLtGetStatusName(status), cublasLtGetStatusString(status), where);
}

void check(cusparseStatus_t status, const char* call, std::source_location where) {
  if (status == CUSPARSE_STATUS_SUCCESS) return;
  const bool unsupported =
      status == CUSPARSE_STATUS_NOT_SUPPORTED || status == CUSPARSE_STATUS_ARCH_MISMATCH;
  const ErrorCode code = unsupported                              ? ErrorCode::unsupported
                         : status == CUSPARSE_STATUS_ALLOC_FAILED ? ErrorCode::out_of_memory
                                                                  : ErrorCode::cuda;
  fail(code, call, cusparseGetErrorName(status), cusparseGetErrorString(status), where);
}

cudaDataType_t data_type(DType type) {
  switch (type) {
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f32:
      return CUDA_R_32F;
    default:
      throw Error(ErrorCode::invalid_argument,
                  "libraries multiply f32, f16 and bf16, not " + std::string(to_string(type)));
  }
}

}  // namespace spiketune::baselines
