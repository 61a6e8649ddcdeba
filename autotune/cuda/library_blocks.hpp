#pragma once
/// \file
/// From this project's Block-CSR, whose blocks are bits, to the blocks of values that cuSPARSE
/// multiplies. The library itself converts from dense only to Blocked-ELL, and only once its caller
/// has found the blocks.

#include <cstdint>

#include "spiketune/core/context.hpp"
#include "spiketune/formats/bsr.hpp"

namespace spiketune::cuda {

/// Enqueues *widest = most blocks of any block row, which is 0 without block rows.
void find_widest_row(const CudaContext& context, const Bsr& bsr, std::uint32_t* widest);

/// Enqueues the columns [blocks] and the values [blocks · b²], each block row-major, of Block-CSR.
/// `blocks` is what `bsr` stores; its offsets serve as they are.
void widen_block_csr(const CudaContext& context, const Bsr& bsr, std::uint64_t blocks, DType type,
                     std::int32_t* columns, void* values);

/// Enqueues Blocked-ELL: columns [block_rows, width], values row-major [block_rows · b, width · b].
/// `width` is at least the blocks of any row and at most block_columns(). Rows with fewer blocks
/// are filled with columns that they do not have and zeros, as some versions of the library
/// multiply its mark for "no block", −1, wrongly.
///
///   Block-CSR, 4 block columns     width 3: the blocks of each row, then fillings
///   offsets 0 2 3, columns 1 3 2   columns  1 3 (0)
///                                           2 (0) (1)
void widen_blocked_ell(const CudaContext& context, const Bsr& bsr, std::uint32_t width, DType type,
                       std::int32_t* columns, void* values);

}  // namespace spiketune::cuda
