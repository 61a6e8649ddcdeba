#pragma once
/// \file
/// What a reader makes of a file.

#include <cstdint>
#include <string>
#include <variant>

#include "spiketune/datasets/events.hpp"
#include "spiketune/datasets/npy.hpp"

namespace spiketune {

struct Recording {
  std::string name;  ///< file and part of it, for messages
  std::variant<NpyArray, EventStream> content;
  std::uint64_t packed_length = 0;  ///< of an array of packed bits: spikes of its last axis
};

}  // namespace spiketune
