#include "spiketune/core/buffer.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune {

Buffer allocate(const HostContext&, std::size_t bytes) {
  if (bytes == 0) return {};
  void* data =
      bytes > SIZE_MAX - alignment ? nullptr : std::aligned_alloc(alignment, align_up(bytes));
  if (data == nullptr) {
    throw Error(ErrorCode::out_of_memory,
                "cannot allocate " + std::to_string(bytes) + " bytes of host memory");
  }
  return {data, bytes, Space::host, [](void* pointer) noexcept { std::free(pointer); }};
}

Buffer allocate_pinned(const HostContext& context, std::size_t bytes) {
  return allocate(context, bytes);
}

void copy(const HostContext&, void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

void fill(const HostContext&, void* data, unsigned char value, std::size_t bytes) {
  if (bytes != 0) std::memset(data, value, bytes);
}

void synchronize(const HostContext&) {}

}  // namespace spiketune
