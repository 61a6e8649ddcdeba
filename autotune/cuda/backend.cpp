#include "spiketune/autotune/backend.hpp"

#include <cuda_runtime_api.h>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/stream.hpp"

namespace spiketune {
namespace {

using cuda::check;

/// Owns the stream; a base, so that the stream exists before the context that names it.
struct OwnedStream {
  explicit OwnedStream(int device) : stream(device) {}
  CudaStream stream;
};

/// Dense tensor-core operations per clock and multiprocessor with f16 operands and f32 sums, from
/// NVIDIA's architecture white papers; 0 for an architecture not listed here.
double operations_per_clock(int major, int minor) {
  if (major == 8) return minor == 0 ? 2048 : 1024;
  if (major == 9) return 4096;
  if (major == 10) return 8192;
  return 0;
}

class CudaBackend final : private OwnedStream, public detail::ContextBackend<CudaContext> {
 public:
  explicit CudaBackend(int device) : OwnedStream(device), ContextBackend(stream.context()) {}
  ~CudaBackend() override { meter_.reset(); }

  std::uint64_t memory_budget() const override {
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    check(cudaMemGetInfo(&free_bytes, &total_bytes));
    return free_bytes / 10 * 8;
  }

  double peak_operations(DType weights) const override {
    const auto attribute = [&](cudaDeviceAttr which) {
      int value = 0;
      check(cudaDeviceGetAttribute(&value, which, context_.device));
      return value;
    };
    const double per_clock = operations_per_clock(attribute(cudaDevAttrComputeCapabilityMajor),
                                                  attribute(cudaDevAttrComputeCapabilityMinor));
    const double clocks = 1e3 * attribute(cudaDevAttrClockRate);
    const double share = weights == DType::f32 ? 0.5 : 1;  // f32 runs as tf32
    return per_clock * share * clocks * attribute(cudaDevAttrMultiProcessorCount);
  }

  std::string why_broken() const override {
    const cudaError_t status = cudaStreamSynchronize(context_.stream);
    if (status == cudaSuccess) return "";
    static_cast<void>(cudaGetLastError());
    return std::string("the CUDA context is lost: ") + cudaGetErrorString(status);
  }
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(int device) {
  return std::make_unique<CudaBackend>(device);
}

}  // namespace spiketune
