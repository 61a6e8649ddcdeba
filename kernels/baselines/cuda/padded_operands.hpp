#pragma once
/// \file
/// W and Y with rows and columns added, for libraries that only take multiples of a block.

#include <cstdint>

#include "spiketune/core/buffer.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::baselines {

/// W of a layer is constant, so it is padded with zeros once, here. Y is copied back by store(),
/// which a caller counts as part of its product. What needs no padding is used in place.
class PaddedOperands {
 public:
  /// `m`, `n`, `k`: sizes wanted, at least those of the views. `weights` and `output` must be on
  /// the device and outlive this.
  PaddedOperands(const CudaContext& context, const WeightView& weights, const OutputView& output,
                 std::uint64_t m, std::uint64_t n, std::uint64_t k);

  [[nodiscard]] const void* weights() const;  ///< [k, n], leading dimension n
  [[nodiscard]] void* output() const;         ///< [m, n], leading dimension n
  /// Enqueues the copy of output() to Y.
  void store() const;

  [[nodiscard]] std::uint64_t m() const { return m_; }
  [[nodiscard]] std::uint64_t n() const { return n_; }
  [[nodiscard]] std::uint64_t k() const { return k_; }
  [[nodiscard]] DType weight_type() const { return weights_.type; }
  [[nodiscard]] DType output_type() const { return output_.type; }

 private:
  CudaContext context_;
  WeightView weights_;
  OutputView output_;
  std::uint64_t m_;
  std::uint64_t n_;
  std::uint64_t k_;
  Buffer padded_weights_;
  Buffer padded_output_;
};

/// Enqueues the copy of the top left [rows, columns] of a row-major matrix with leading dimension
/// `from_ld` into one with `to_ld`.
void copy_matrix(const CudaContext& context, void* to, std::uint64_t to_ld, const void* from,
                 std::uint64_t from_ld, std::uint64_t rows, std::uint64_t columns, DType type);

}  // namespace spiketune::baselines
