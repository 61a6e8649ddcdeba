#pragma once
/// \file
/// Owning memory, and the few memory operations that host and device share.
/// The CudaContext overloads are defined in the `cuda` component of the library.

#include <cstddef>
#include <utility>

#include "spiketune/core/context.hpp"

namespace spiketune {

/// Owns a block of host or device memory, aligned to 256 bytes. Movable, not copyable.
class Buffer {
 public:
  using Release = void (*)(void*) noexcept;

  Buffer() = default;
  Buffer(void* data, std::size_t bytes, Space space, Release release)
      : data_(data), bytes_(bytes), space_(space), release_(release) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr) release_(data_);
  }

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] Space space() const { return space_; }
  [[nodiscard]] Workspace workspace() const { return {static_cast<std::byte*>(data_), bytes_}; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(space_, other.space_);
    std::swap(release_, other.release_);
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Space space_ = Space::host;
  Release release_ = nullptr;
};

/// Throws Error(out_of_memory) that names the number of bytes. Content is unspecified.
[[nodiscard]] Buffer allocate(const HostContext& context, std::size_t bytes);
[[nodiscard]] Buffer allocate(const CudaContext& context, std::size_t bytes);

/// Host memory that copies of the context reach while the host goes on. Throws as allocate().
[[nodiscard]] Buffer allocate_pinned(const HostContext& context, std::size_t bytes);
[[nodiscard]] Buffer allocate_pinned(const CudaContext& context, std::size_t bytes);

/// Copies between host and device, either way, or within one. On CUDA the copy is enqueued on the
/// context's stream; synchronize() before host memory is read or released.
void copy(const HostContext& context, void* to, const void* from, std::size_t bytes);
void copy(const CudaContext& context, void* to, const void* from, std::size_t bytes);

/// Sets every byte to `value`.
void fill(const HostContext& context, void* data, unsigned char value, std::size_t bytes);
void fill(const CudaContext& context, void* data, unsigned char value, std::size_t bytes);

/// Waits until everything enqueued on the context is done; throws Error(cuda) if any of it failed.
void synchronize(const HostContext& context);
void synchronize(const CudaContext& context);

}  // namespace spiketune
