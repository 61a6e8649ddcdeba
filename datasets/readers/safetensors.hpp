#pragma once
/// \file
/// safetensors: tensors after a JSON header.
///
///   8 bytes   length of the header, little-endian
///   header    {"name": {"dtype": "U8", "shape": [4, 16, 128], "data_offsets": [begin, end]}, ...}
///   data      C-ordered; offsets count from its first byte
///
/// Format: github.com/huggingface/safetensors, README.

#include <string>

#include "spiketune/datasets/byte_source.hpp"
#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

/// The tensor of that name, or else "spikes", or else the only one. BF16 becomes f4, which holds
/// it. Throws Error(parse) where header and data disagree, Error(unsupported) for other types than
/// BOOL, U8 to U64, I8 to I64, F16, BF16, F32 and F64.
[[nodiscard]] Recording read_safetensors(const ByteSource& source, const std::string& member);

}  // namespace spiketune
