#pragma once
/// \file
/// Matrix Market's .mtx: a matrix as text, by coordinates or dense.
///
/// Format: math.nist.gov/MatrixMarket/formats.html. Fields pattern, integer and real; general,
/// symmetric and skew-symmetric. Each coordinate may come once.

#include "spiketune/datasets/byte_source.hpp"
#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

/// [rows, columns] of u1 for a pattern, otherwise of f4, to which real numbers are rounded. Throws
/// Error(parse) with the line, Error(unsupported) for complex matrices and as check_elements()
/// does.
[[nodiscard]] Recording read_matrix_market(const ByteSource& source);

}  // namespace spiketune
