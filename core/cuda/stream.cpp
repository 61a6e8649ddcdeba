#include "spiketune/core/cuda/stream.hpp"

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {

std::string cuda_unavailable_reason(int device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return std::string("no CUDA device: ") + cudaGetErrorString(status);
  }
  if (device < 0 || device >= count) {
    return "no CUDA device " + std::to_string(device) + " (there are " + std::to_string(count) +
           ")";
  }
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, device));
  if (properties.major < 8) {
    return std::string(properties.name) + " has compute capability " +
           std::to_string(properties.major) + "." + std::to_string(properties.minor) +
           "; 8.0 or later is needed";
  }
  return "";
}

bool is_capturing(const CudaContext& context) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cuda::check(cudaStreamIsCapturing(context.stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

CudaStream::CudaStream(int device) : device_(device) {
  if (const std::string reason = cuda_unavailable_reason(device); !reason.empty()) {
    throw Error(ErrorCode::unsupported, reason);
  }
  cuda::check(cudaSetDevice(device));
  cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

CudaStream::~CudaStream() {
  static_cast<void>(cudaStreamDestroy(stream_));
}

}  // namespace spiketune
