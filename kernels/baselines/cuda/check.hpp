#pragma once
/// \file
/// Every call of an NVIDIA library goes through here, as every CUDA call goes through
/// core/cuda/check.hpp.

#include <cublasLt.h>
#include <cusparse.h>

#include <source_location>

#include "spiketune/core/dtype.hpp"

namespace spiketune::baselines {

/// Throws an Error that names the call, the library's status and the place: unsupported where the
/// library says that it does not do such a thing, out_of_memory where it found none, cuda
/// otherwise.
void check(cublasStatus_t status, const char* call,
           std::source_location where = std::source_location::current());
/// cuSPARSELt's statuses are those of cuSPARSE.
void check(cusparseStatus_t status, const char* call,
           std::source_location where = std::source_location::current());

/// Throws Error(invalid_argument) for a type other than f32, f16 and bf16.
[[nodiscard]] cudaDataType_t data_type(DType type);

}  // namespace spiketune::baselines
