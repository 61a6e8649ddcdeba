#pragma once
/// \file
/// A gate on a stream: work enqueued behind it waits until the host opens it. With all of a batch
/// enqueued before the gate opens, the device never waits for the CPU between two launches.

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/context.hpp"

namespace spiketune::cuda {

class Gate {
 public:
  /// Throws Error(cuda).
  explicit Gate(const CudaContext& context);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Enqueues a kernel that spins until open() is called, or for one second: work that waits for
  /// the device while the gate is closed would otherwise never end.
  void close();
  void open() noexcept;
  /// Whether the last gate gave up waiting. Ask after the stream is synchronised.
  [[nodiscard]] bool timed_out() const;

 private:
  struct Flags {
    int open;
    int timed_out;
  };
  CudaContext context_;
  Flags* host_ = nullptr;  // mapped, so that the device sees the host write it
  Flags* device_ = nullptr;
};

/// Enqueues a kernel that does nothing.
void launch_empty(const CudaContext& context);

}  // namespace spiketune::cuda
