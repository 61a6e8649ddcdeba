#pragma once
/// \file
/// CUDA product of Csr with W from shared memory.
///
/// A block keeps a slab of W, K rows by 16, 32 or 64 columns, in shared memory, and walks rows of S
/// over it: W crosses L2 once for each block instead of once for each spike. Sums are in f32.
/// Binary spikes are first regrouped (in the workspace: at most 64 bytes a nonzero and 50 a row),
/// and the tensor cores add up the rows of W that they name; rows of W that find no room in shared
/// memory are read from L2. W has to be finite then: zero times infinity is not a zero.
/// Bound by shared memory: nnz · N elements, or with slabs of 32 columns of binary spikes those of
/// the columns that each 16 rows of S have in common or alone. Other spikes are multiplied and
/// added by lanes, which is bound by instructions.

#include <string>
#include <vector>

#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

struct SlabGather {
  static constexpr std::string_view name = "slab_gather";
  int columns = 0;  ///< of the slab: 16, 32, 64, or 0: as many as fit

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("columns", self.columns);
  }
  [[nodiscard]] static std::vector<SlabGather> all() { return {{0}, {16}, {32}, {64}}; }
  /// W must be f16 or bf16 with rows of whole 16-byte pieces, and a slab at most 225 KB, unless
  /// spikes are binary and the slab has 32 columns: then K must be below 65536.
  [[nodiscard]] std::string why_invalid(const EncodedLayout& layout, const WeightView& weights,
                                        const OutputView& output) const;
  bool operator==(const SlabGather&) const = default;
};

[[nodiscard]] std::size_t spmm_workspace_bytes(const CudaContext& context, const Csr& csr,
                                               const WeightView& weights, const OutputView& output,
                                               const SlabGather& config);
/// Throws Error(invalid_argument) with config.why_invalid() where that is not empty, and
/// Error(unsupported) where the GPU has less shared memory than the slab needs.
void spmm(const CudaContext& context, const Csr& csr, const WeightView& weights,
          const OutputView& output, const SlabGather& config, Workspace workspace);

}  // namespace spiketune
