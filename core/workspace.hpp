#pragma once
/// \file
/// Dividing a caller's workspace into arrays, and adding up how large it must be.

#include <cstdint>
#include <string>

#include "spiketune/core/context.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {

/// With a null workspace it only counts: write the layout of a workspace once, as a function of a
/// carver, and use it for the query and for the call.
class WorkspaceCarver {
 public:
  WorkspaceCarver() = default;
  explicit WorkspaceCarver(Workspace workspace) : workspace_(workspace), counting_(false) {}

  /// The next `count` elements, aligned to 256 bytes. Throws Error(invalid_argument) when the
  /// workspace is too small. Null while counting.
  template <class T>
  T* take(std::uint64_t count) {
    const std::size_t begin = used_;
    used_ += align_up(count * sizeof(T));
    if (counting_) return nullptr;
    if (used_ > workspace_.size()) {
      throw Error(ErrorCode::invalid_argument,
                  "the workspace has " + std::to_string(workspace_.size()) +
                      " bytes, but at least " + std::to_string(used_) +
                      " are needed; ask the *_workspace_bytes function");
    }
    return static_cast<T*>(static_cast<void*>(workspace_.data() + begin));
  }

  [[nodiscard]] std::size_t bytes() const { return used_; }

 private:
  Workspace workspace_;
  std::size_t used_ = 0;
  bool counting_ = true;
};

}  // namespace spiketune
