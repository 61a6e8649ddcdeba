#pragma once
/// \file
/// Encoded spikes as .npz files that scipy.sparse.load_npz reads, and back.
///
/// Members: those of scipy (format, shape, indices, indptr or row and col, data), and some that
/// scipy ignores: `logical_shape` [2], where blocks make scipy's matrix larger than ours, and
/// `timesteps` and `token_major`, which make a spike tensor of the matrix. A pattern has data of
/// ones, u1; f16 and bf16 values become f4, which holds them exactly (scipy has no f2).

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spiketune/core/array.hpp"
#include "spiketune/core/shape.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

/// The matrix of an encoding: [timesteps · rows, k], rows in `row_order`.
struct MatrixShape {
  SpikeShape shape;
  RowOrder row_order = RowOrder::time_major;
  bool operator==(const MatrixShape&) const = default;
};

/// Writers. Arrays are in host memory. Index arrays are u16 or u32 and may be longer than the
/// offsets say (a capacity); values of type `bit` are a pattern. Throw Error(invalid_argument) for
/// arrays that do not fit together or indices outside the matrix, Error(unsupported) for 2^31
/// entries and more (scipy's 32-bit indices), Error(io).
///
/// Entries sorted by row, then column; `nnz` of them.
void write_scipy_coo(const std::string& path, const MatrixShape& matrix, std::uint64_t nnz,
                     const AnyArray& row_indices, const AnyArray& column_indices,
                     const AnyArray& values);
/// row_offsets [M + 1].
void write_scipy_csr(const std::string& path, const MatrixShape& matrix,
                     std::span<const std::uint32_t> row_offsets, const AnyArray& column_indices,
                     const AnyArray& values);
/// column_offsets [K + 1].
void write_scipy_csc(const std::string& path, const MatrixShape& matrix,
                     std::span<const std::uint32_t> column_offsets, const AnyArray& row_indices,
                     const AnyArray& values);
/// block_row_offsets [ceil(M/b) + 1], block_columns and blocks [blocks, b, b] row-major. `blocks`
/// has a value for every position, zero or not: its type must not be `bit`. Edge blocks are full.
void write_scipy_bsr(const std::string& path, const MatrixShape& matrix, std::uint32_t block_size,
                     std::span<const std::uint32_t> block_row_offsets,
                     const AnyArray& block_columns, const AnyArray& blocks);

/// What a file holds, validated: offsets ascend from 0 to the number of entries (or blocks),
/// indices are inside the matrix and strictly ascend within their row (column, for csc; coo by row,
/// then column), and there is a value for each.
struct ScipyMatrix {
  std::string format;  ///< coo, csr, csc or bsr
  MatrixShape matrix;  ///< timesteps 1 where the file does not say
  std::uint32_t block_size = 1;
  std::vector<std::uint32_t> offsets;      ///< rows, columns (csc) or block rows; empty for coo
  std::vector<std::uint32_t> indices;      ///< columns, rows (csc) or block columns
  std::vector<std::uint32_t> row_indices;  ///< coo only
  std::vector<float> values;               ///< one an entry; bsr: block_size² a block
};

/// Reads what the writers, or scipy.sparse.save_npz, wrote, and sorts what scipy left unsorted;
/// data may be of any real type whose values f32 holds exactly. Throws Error(io), Error(parse) for
/// anything that is not as above, and Error(unsupported) for other formats, and for blocks that are
/// not square.
[[nodiscard]] ScipyMatrix read_scipy(const std::string& path);

/// The matrix as a tensor with the rows of the file, in host memory. Throws Error(invalid_value)
/// naming the first value that is not of the kind or not exact in the storage.
[[nodiscard]] SpikeTensor to_spikes(const ScipyMatrix& matrix, DType storage, ValueKind kind);

}  // namespace spiketune
