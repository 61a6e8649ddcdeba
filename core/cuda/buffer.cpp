#include "spiketune/core/buffer.hpp"

#include <string>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {

Buffer allocate(const CudaContext& context, std::size_t bytes) {
  if (bytes == 0) return {};
  cuda::check(cudaSetDevice(context.device));
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw Error(ErrorCode::out_of_memory, "cannot allocate " + std::to_string(bytes) +
                                              " bytes of memory on CUDA device " +
                                              std::to_string(context.device));
  }
  cuda::check(status);
  return {data, bytes, Space::device,
          [](void* pointer) noexcept { static_cast<void>(cudaFree(pointer)); }};
}

void copy(const CudaContext& context, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, context.stream));
}

void fill(const CudaContext& context, void* data, unsigned char value, std::size_t bytes) {
  if (bytes == 0) return;
  cuda::check(cudaMemsetAsync(data, value, bytes, context.stream));
}

void synchronize(const CudaContext& context) {
  cuda::check(cudaStreamSynchronize(context.stream));
}

}  // namespace spiketune
