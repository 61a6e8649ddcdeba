#include "memory.hpp"

#include <string>
#include <utility>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/error.hpp"
#if SPIKETUNE_HAVE_CUDA
#include <cuda_runtime_api.h>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/stream.hpp"
#endif

namespace spiketune::bindings {
namespace {

Block allocate_own(const HostContext& context, std::size_t bytes) {
  auto buffer = std::make_shared<Buffer>(allocate(context, bytes));
  void* data = buffer->data();
  return {data, std::move(buffer)};
}

#if SPIKETUNE_HAVE_CUDA
/// Of the device's pool: neither this nor its release waits.
Block allocate_own(const CudaContext& context, std::size_t bytes) {
  void* data = nullptr;
  cuda::check(cudaMallocAsync(&data, bytes, context.stream));
  return {data, std::shared_ptr<void>(data, [stream = context.stream](void* pointer) {
            static_cast<void>(cudaFreeAsync(pointer, stream));
          })};
}
#else
Block allocate_own(const CudaContext&, std::size_t) {
  return {};
}
#endif

}  // namespace

Allocate own_memory(const Context& context) {
  return [context](std::size_t bytes) {
    return std::visit([&](const auto& where) { return allocate_own(where, bytes); }, context);
  };
}

#if SPIKETUNE_HAVE_CUDA
CudaContext cuda_context(int device, CUstream_st* stream) {
  // Asked once for each device: properties of a device are slow to get.
  static thread_local int usable = -1;
  if (usable != device) {
    if (const std::string reason = cuda_unavailable_reason(device); !reason.empty()) {
      throw Error(ErrorCode::unsupported, reason);
    }
    usable = device;
  }
  return {device, stream};
}

std::string why_no_cuda() {
  return cuda_unavailable_reason();
}

void order_streams(const CudaContext& earlier, CUstream_st* later) {
  if (earlier.stream == later) return;
  const DeviceGuard guard(earlier);
  cudaEvent_t reached = nullptr;
  cuda::check(cudaEventCreateWithFlags(&reached, cudaEventDisableTiming));
  cudaError_t status = cudaEventRecord(reached, earlier.stream);
  if (status == cudaSuccess) status = cudaStreamWaitEvent(later, reached, 0);
  static_cast<void>(cudaEventDestroy(reached));
  cuda::check(status);
}
#else
CudaContext cuda_context(int, CUstream_st*) {
  throw Error(ErrorCode::unsupported, why_no_cuda());
}

std::string why_no_cuda() {
  return "this spiketune was built without CUDA: build it where a CUDA toolkit 12.4 or later is "
         "found";
}

void order_streams(const CudaContext&, CUstream_st*) {}
#endif

#if SPIKETUNE_HAVE_CUDA
DeviceGuard::DeviceGuard(const Context& context) {
  const auto* device = std::get_if<CudaContext>(&context);
  if (device == nullptr) return;
  int now = 0;
  cuda::check(cudaGetDevice(&now));
  if (now == device->device) return;
  cuda::check(cudaSetDevice(device->device));
  before_ = now;
}

DeviceGuard::~DeviceGuard() {
  if (before_ >= 0) static_cast<void>(cudaSetDevice(before_));
}
#else
DeviceGuard::DeviceGuard(const Context&) {}
DeviceGuard::~DeviceGuard() = default;
#endif

}  // namespace spiketune::bindings
