#pragma once
/// \file
/// DLMC's .smtx: the pattern of a CSR matrix as text.
///
///   3, 4, 5          rows, columns, nonzeros
///   0 2 2 5          row offsets
///   0 3 0 1 2        column indices
///
/// Format: the Deep Learning Matrix Collection, github.com/google-research/google-research/tree/
/// master/sgk.

#include "spiketune/datasets/byte_source.hpp"
#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

/// [rows, columns] of u1. Throws Error(parse) with the line, and as check_elements() does.
[[nodiscard]] Recording read_smtx(const ByteSource& source);

}  // namespace spiketune
