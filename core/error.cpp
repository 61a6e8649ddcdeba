#include "spiketune/core/error.hpp"

namespace spiketune {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid argument";
    case ErrorCode::invalid_value:
      return "invalid value";
    case ErrorCode::overflow:
      return "overflow";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::io:
      return "input/output";
    case ErrorCode::parse:
      return "parse";
    case ErrorCode::out_of_memory:
      return "out of memory";
    case ErrorCode::cuda:
      return "cuda";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace spiketune
