#pragma once
/// \file
/// What the fuzzers feed with bytes: one function per kind of file, from its bytes to spikes.

#include <span>
#include <string>
#include <string_view>

namespace spiketune::fuzz {

struct Target {
  std::string_view name;  ///< of its program, fuzz_<name>, and of its folder in corpus/
  /// Reads the bytes as such a file would be. Returns the sentence of the Error, or nothing where
  /// they were read. Anything else that is thrown, and a sentence that is none, end the program.
  std::string (*run)(std::string_view bytes);
};

[[nodiscard]] std::span<const Target> targets();

}  // namespace spiketune::fuzz
