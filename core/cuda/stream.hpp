#pragma once
/// \file
/// An owned CUDA stream, whether a stream is being captured, and whether there is a device to make
/// one on.

#include <string>

#include "spiketune/core/context.hpp"

namespace spiketune {

/// Why no CUDA device can be used, in one sentence; empty where `device` can.
[[nodiscard]] std::string cuda_unavailable_reason(int device = 0);

/// Whether what is enqueued now becomes part of a graph instead of running.
[[nodiscard]] bool is_capturing(const CudaContext& context);

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
