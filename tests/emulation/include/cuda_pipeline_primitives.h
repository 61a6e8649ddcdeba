#pragma once
// Copies to shared memory that the emulation makes as late as it may.

#include <cstddef>
#include <cstdint>

inline void __pipeline_memcpy_async(void* to, const void* from, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(to) % bytes != 0 ||
      reinterpret_cast<std::uintptr_t>(from) % bytes != 0) {
    throw "misaligned copy";
  }
  emulation::copy_later(to, from, bytes);
}
inline void __pipeline_commit() {
  emulation::commit_copies();
}
inline void __pipeline_wait_prior(std::size_t commits) {
  emulation::finish_copies(commits);
}
