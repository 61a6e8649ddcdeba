#pragma once
/// \file
/// An owned CUDA stream, and whether there is a device to make one on.

#include <string>

#include "spiketune/core/context.hpp"

namespace spiketune {

/// Why no CUDA device can be used, in one sentence; empty where `device` can.
[[nodiscard]] std::string cuda_unavailable_reason(int device = 0);

/// Owns a non-blocking stream. Throws Error(unsupported) with cuda_unavailable_reason().
class CudaStream {
 public:
  explicit CudaStream(int device = 0);
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  [[nodiscard]] CudaContext context() const { return {device_, stream_}; }

 private:
  int device_;
  CUstream_st* stream_ = nullptr;
};

}  // namespace spiketune
