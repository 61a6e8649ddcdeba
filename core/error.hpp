#pragma once
/// \file
/// The one exception type of spiketune: a code for programs, a sentence for people.

#include <stdexcept>
#include <string>
#include <string_view>

namespace spiketune {

enum class ErrorCode {
  invalid_argument,  ///< shapes, types or pointers that do not fit together
  invalid_value,     ///< a NaN, or a spike outside the declared kind
  overflow,          ///< an encoding needs more room than it was given
  unsupported,       ///< valid, but not in this build or on this device
  io,                ///< a file could not be read or written
  parse,             ///< a file's content is not what its format says
  out_of_memory,
  cuda,     ///< a CUDA call or a CUDA library failed
  internal  ///< a bug in spiketune
};

[[nodiscard]] std::string_view to_string(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Throws Error(code, message) unless `condition` holds.
inline void require(bool condition, ErrorCode code, const char* message) {
  if (!condition) throw Error(code, message);
}

}  // namespace spiketune
