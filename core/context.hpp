#pragma once
/// \file
/// Where work runs. Every encoder and kernel is one free function with an overload per context.

#include <cstddef>
#include <span>
#include <string_view>
#include <variant>

struct CUstream_st;  // cudaStream_t is a pointer to it; public headers need no CUDA header

namespace spiketune {

enum class Space : unsigned char { host, device };

/// Runs on the calling thread and OpenMP threads; returns when the work is done.
struct HostContext {
  static constexpr std::string_view name = "host";
  static constexpr Space space = Space::host;
  int threads = 0;  ///< 0: as many as OpenMP offers
};

/// Enqueues on `stream` of `device` and returns at once. Never synchronises, never allocates.
struct CudaContext {
  static constexpr std::string_view name = "cuda";
  static constexpr Space space = Space::device;
  CudaContext(int device_index, CUstream_st* cuda_stream)
      : device(device_index), stream(cuda_stream) {}
  int device;
  CUstream_st* stream;
};

using Context = std::variant<HostContext, CudaContext>;

/// Scratch memory of the caller, in the context's space, aligned to 256 bytes. Its size comes from
/// the matching `*_workspace_bytes` query.
using Workspace = std::span<std::byte>;

/// Alignment of workspaces, and of every array that bind() lays out.
inline constexpr std::size_t alignment = 256;

constexpr std::size_t align_up(std::size_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace spiketune
