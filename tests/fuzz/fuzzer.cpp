// libFuzzer's entry to the target that SPIKETUNE_FUZZ_TARGET names; built once for each.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "spiketune/tests/fuzz/targets.hpp"

/// Counters beside those of the compiler: what happens in a child process shows in its messages
/// alone, so each message counts as a place in the program. Numbers in it do not make it another.
__attribute__((section("__libfuzzer_extra_counters"))) static std::uint8_t messages[4096];

static void count(const std::string& message) {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : message) {
    if (c >= '0' && c <= '9') continue;
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  }
  messages[hash % sizeof messages] = 1;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using spiketune::fuzz::Target;
  static const Target& target = [&]() -> const Target& {
    const auto all = spiketune::fuzz::targets();
    const auto found = std::find_if(all.begin(), all.end(), [](const Target& candidate) {
      return candidate.name == SPIKETUNE_FUZZ_TARGET;
    });
    if (found == all.end()) std::abort();
    return *found;
  }();
  count(target.run({reinterpret_cast<const char*>(data), size}));
  return 0;
}
