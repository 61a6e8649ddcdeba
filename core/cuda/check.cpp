#include "spiketune/core/cuda/check.hpp"

#include <cstring>
#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune::cuda {

void check(cudaError_t status, std::source_location where) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  const char* file = std::strrchr(where.file_name(), '/');
  throw Error(status == cudaErrorMemoryAllocation ? ErrorCode::out_of_memory : ErrorCode::cuda,
              std::string(cudaGetErrorName(status)) + ": " + cudaGetErrorString(status) + " (" +
                  (file == nullptr ? where.file_name() : file + 1) + ":" +
                  std::to_string(where.line()) + ")");
}

}  // namespace spiketune::cuda
