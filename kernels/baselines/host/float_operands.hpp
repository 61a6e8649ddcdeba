#pragma once
/// \file
/// W and Y as f32, for CPU libraries that know no 16-bit types.

#include <cstdint>

#include "spiketune/core/buffer.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::baselines {

/// W of a layer is constant, so it is converted once, here. Y is converted by store(), which a
/// caller counts as part of its product. Where a view is f32 already it is used in place.
/// `weights` and `output` must be in host memory and outlive this.
class FloatOperands {
 public:
  FloatOperands(const HostContext& context, const WeightView& weights, const OutputView& output);

  [[nodiscard]] const float* weights() const;  ///< [K, N]
  [[nodiscard]] float* output() const;         ///< [M, N], to be written before store()
  [[nodiscard]] std::uint32_t columns() const { return weights_.n; }
  /// Rounds what was written to output() into Y. Nothing to do where Y is f32.
  void store() const;

 private:
  HostContext context_;
  WeightView weights_;
  OutputView output_;
  Buffer converted_weights_;
  Buffer unrounded_output_;
};

}  // namespace spiketune::baselines
