#pragma once
/// \file
/// CUDA product of Csr with W from shared memory.
///
/// A block keeps a slab of W, all K rows by 16, 32 or 64 columns, in shared memory, and walks rows
/// of S over it: a few lanes take a row and add 8 columns each, in f32 registers. W crosses L2 once
/// for each block instead of once for each spike.
/// Bound by instructions and by shared memory alike: nnz · N elements, of which a lane takes 8 by
/// one load, 8 conversions and 8 additions. Rows of 64 columns fill all banks; narrower ones, for
/// which K has to be larger than 1800, meet in them.

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
  /// W must be f16 or bf16 with rows of whole 16-byte pieces, and a slab at most 226 KB.
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
