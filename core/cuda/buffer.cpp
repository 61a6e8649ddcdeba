#include "spiketune/core/buffer.hpp"

#include <string>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {

namespace {

void check_allocation(cudaError_t status, std::size_t bytes, const std::string& where) {
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw Error(ErrorCode::out_of_memory,
                "cannot allocate " + std::to_string(bytes) + " bytes of " + where);
  }
  cuda::check(status);
}

}  // namespace

Buffer allocate(const CudaContext& context, std::size_t bytes) {
  if (bytes == 0) return {};
  cuda::check(cudaSetDevice(context.device));
  void* data = nullptr;
  check_allocation(cudaMalloc(&data, bytes), bytes,
                   "memory on CUDA device " + std::to_string(context.device));
  return {data, bytes, Space::device,
          [](void* pointer) noexcept { static_cast<void>(cudaFree(pointer)); }};
}

Buffer allocate_pinned(const CudaContext& context, std::size_t bytes) {
  if (bytes == 0) return {};
  cuda::check(cudaSetDevice(context.device));
  void* data = nullptr;
  check_allocation(cudaMallocHost(&data, bytes), bytes, "pinned host memory");
  return {data, bytes, Space::host,
          [](void* pointer) noexcept { static_cast<void>(cudaFreeHost(pointer)); }};
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
