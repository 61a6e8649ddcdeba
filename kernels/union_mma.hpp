#pragma once
/// \file
/// CUDA product of column vectors and of blocks on the tensor cores, with the roles swapped: W is
/// the wide operand, 16 rows of S the narrow one.
///
/// A block keeps a slab of W, K rows by 32 or 64 columns, in shared memory. Of 16 rows of S, the
/// columns that any of them has are taken 16 at a time: their rows of W, gathered by ldmatrix, are
/// one operand, their bits, expanded in registers, the other. A kernel of its own puts them in an
/// order in which all banks of shared memory work; vectors of 4 and 8 rows are joined to 16, blocks
/// are taken apart into columns, of which empty ones cost nothing.
///
/// Bytes: of each 16 rows the columns that any of them has, times N, through shared memory, which
/// bounds it. W has to be finite: zero times infinity is not a zero. Workspace: at most 64 bytes a
/// vector, or a column of a block, and 50 a row.

#include <string>
#include <vector>

#include "spiketune/formats/bsr.hpp"
#include "spiketune/formats/cvs.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct UnionMma {
  static constexpr std::string_view name = "union_mma";
  int columns = 0;  ///< of the slab: 32, 64, or 0: 64 where all rows of W fit

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("columns", self.columns);
  }
  [[nodiscard]] static std::vector<UnionMma> all() { return {{0}, {32}, {64}}; }
  /// Spikes must be binary, W f16 or bf16 with rows of whole 16-byte pieces, K below 65536, and
  /// with 64 columns a slab at most 225 KB.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const UnionMma&) const = default;
};

[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Cvs& cvs,
                                               const WeightView& weights, const OutputView& output,
                                               const UnionMma& config);
[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Bsr& bsr,
                                               const WeightView& weights, const OutputView& output,
                                               const UnionMma& config);
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty, and
/// Error(unsupported) where the GPU has less shared memory than the slab needs.
void spmm(const CudaContext& context, const Cvs& cvs, const WeightView& weights,
          const OutputView& output, const UnionMma& config, Workspace workspace);
void spmm(const CudaContext& context, const Bsr& bsr, const WeightView& weights,
          const OutputView& output, const UnionMma& config, Workspace workspace);

}  // namespace spiketune
