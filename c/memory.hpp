#pragma once
/// \file
/// Memory and devices of a context that is known only at run time.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "spiketune/core/context.hpp"

namespace spiketune::bindings {

/// Memory of some allocator, and what keeps it.
struct Block {
  void* data = nullptr;
  std::shared_ptr<void> owner;
};
/// Makes a block in the memory of the call's context, aligned to 256 bytes.
using Allocate = std::function<Block(std::size_t bytes)>;

/// spiketune's own memory. On a device it is the device's pool: neither the allocation nor its
/// release, both in the order of the context's stream, waits.
[[nodiscard]] Allocate own_memory(const Context& context);

/// A context of a CUDA device. Throws Error(unsupported) with the reason where there is none, or in
/// a build without CUDA.
[[nodiscard]] CudaContext cuda_context(int device, CUstream_st* stream);

/// Why no CUDA device can be used, in one sentence; empty where one can.
[[nodiscard]] std::string why_no_cuda();

/// What is enqueued on `later` from now on begins after what is on `earlier` now. Waits for
/// nothing.
void order_streams(const CudaContext& earlier, CUstream_st* later);

/// Makes the context's device the thread's, for as long as it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(const Context& context);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int before_ = -1;
};

}  // namespace spiketune::bindings
